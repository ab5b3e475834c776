"""The tables of a report as data, printed alike in HTML, Markdown and LaTeX."""
