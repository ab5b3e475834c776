"""The figures of a report: SVG text that needs no font, script or network."""

from stabilitybench.comparison.figures.curves import curve_figures
from stabilitybench.comparison.figures.ecdf import ecdf_figures
from stabilitybench.comparison.figures.forest import forest_figures
from stabilitybench.comparison.figures.heatmap import disagreement_figures
from stabilitybench.comparison.figures.rates import rate_figures
from stabilitybench.comparison.figures.ratios import ratio_figures
from stabilitybench.comparison.figures.seeds import seed_figures
from stabilitybench.documents.drawing import BLUE, GREY, STYLE, VERMILION, WIDTH, Figure

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
