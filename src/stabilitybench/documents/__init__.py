"""Documents: tables, figures and reports as data, and their HTML, Markdown and LaTeX."""
