"""The figures of a report: SVG text that needs no font, script or network."""

from stabilitybench.reports.figures.curves import curve_figures
from stabilitybench.reports.figures.drawing import BLUE, GREY, STYLE, VERMILION, WIDTH, Figure
from stabilitybench.reports.figures.ecdf import ecdf_figures
from stabilitybench.reports.figures.forest import forest_figures
from stabilitybench.reports.figures.heatmap import disagreement_figures
from stabilitybench.reports.figures.rates import rate_figures
from stabilitybench.reports.figures.ratios import ratio_figures
from stabilitybench.reports.figures.seeds import seed_figures

__all__ = [
    "BLUE",
    "GREY",
    "STYLE",
    "VERMILION",
    "WIDTH",
    "Figure",
    "curve_figures",
    "disagreement_figures",
    "ecdf_figures",
    "forest_figures",
    "rate_figures",
    "ratio_figures",
    "seed_figures",
]
