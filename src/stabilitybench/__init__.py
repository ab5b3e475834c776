"""stabilitybench."""
