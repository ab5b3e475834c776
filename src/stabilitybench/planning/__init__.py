"""Planning: what a number of seeds can show, and what it costs."""
