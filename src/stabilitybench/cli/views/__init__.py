"""Views: what each command prints."""
