"""The figures of a report, a group each: SVG text that needs no font, script or network."""
