"""How numbers are printed: scores in points, p-values and intervals short enough for a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stabilitybench.statistics import DetectableRate, DetectableRatio

ABSENT = "–"  # noqa: RUF001 - the sign that tables use for "no value"


def metric(name: str) -> str:
    """Print a metric as papers write it.

    >>> metric("mcc"), metric("accuracy")
    ('MCC', 'accuracy')
    """
    return {"mcc": "MCC", "f1": "F1", "spearman": "Spearman", "pearson": "Pearson"}.get(name, name)


def points(score: float | None, digits: int = 1) -> str:
    """Print a fraction in points (x100).

    >>> points(0.60349), points(None)
    ('60.3', '–')
    """
    if score is None or not math.isfinite(score):
        return ABSENT
    text = f"{100 * score:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def spread(sd: float | None) -> str:
    """Print an SD in points; small ones with the digits that tell them from 0.

    >>> spread(0.0143), spread(0.00043), spread(0.0)
    ('1.4', '0.043', '0.0')
    """
    if sd is None or not math.isfinite(sd):
        return ABSENT
    value = 100 * sd
    if value == 0 or value >= 0.095:
        return f"{value:.1f}"
    return f"{value:.2g}" if value >= 1e-4 else f"{value:.0e}"


def mean_sd(mean: float | None, sd: float | None) -> str:
    """Print mean and SD in points; no SD for a single run.

    >>> mean_sd(0.603, 0.014)
    '60.3 ± 1.4'
    """
    return points(mean) if sd is None else f"{points(mean)} ± {spread(sd)}"


def p_value(p: float | None) -> str:
    """Print a p-value with two digits from 0.001 on, in powers of ten below.

    >>> p_value(0.4312), p_value(0.0091), p_value(2.4e-6), p_value(1.0), p_value(0.9996)
    ('0.43', '0.0091', '2e-6', '1', '1')
    """
    if p is None:
        return ABSENT
    if p >= 0.995:
        return "1"
    if p >= 0.001:
        return f"{p:.2g}"
    if p < 1e-99:
        return "< 1e-99"
    mantissa, exponent = f"{p:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def ratio(value: float | None) -> str:
    """Print a ratio with two decimals near 1 and two digits far from it.

    >>> ratio(0.5449), ratio(0.00432), ratio(123.4), ratio(1e9)
    ('0.54', '0.0043', '120', '1e+09')
    """
    if value is None:
        return ABSENT
    if 0.095 <= value < 10 or value == 0:
        return f"{value:.2f}"
    if 10 <= value < 1e5:
        return f"{float(f'{value:.2g}'):.0f}"
    return f"{value:.2g}"


def interval(low: float | None, high: float | None) -> str:
    """Print the limits of a ratio.

    >>> interval(0.358, 0.82)
    '[0.36, 0.82]'
    """
    return "" if low is None or high is None else f"[{ratio(low)}, {ratio(high)}]"


def estimate(value: float | None, low: float | None, high: float | None) -> str:
    """Print a ratio with its interval where it has one.

    >>> estimate(0.5449, 0.358, 0.82), estimate(0.5449, None, None)
    ('0.54 [0.36, 0.82]', '0.54')
    """
    return f"{ratio(value)} {interval(low, high)}".strip()


def percent(rate: float | None) -> str:
    """Print a rate in per cent without decimals.

    >>> percent(0.1611)
    '16'
    """
    return ABSENT if rate is None else f"{100 * rate:.0f}"


def detectable_ratio(found: DetectableRatio | None) -> str:
    """Print the SD ratios that a test can show.

    >>> from stabilitybench.statistics import DetectableRatio
    >>> detectable_ratio(DetectableRatio(0.348, 2.87, 0.008, 0.8)), detectable_ratio(None)
    ('≤ 0.35 or ≥ 2.87', '–')
    """
    if found is None:
        return ABSENT
    return _beyond(*(None if r is None else ratio(r) for r in (found.below, found.above)))


def detectable_rate(found: DetectableRate | None) -> str:
    """Print the failure rates that a test can tell from the baseline's, rounded to the safe side.

    >>> from stabilitybench.statistics import DetectableRate
    >>> detectable_rate(DetectableRate(None, 0.306, 0.05, 0.8))
    '≥ 31 %'
    """
    if found is None:
        return ABSENT
    below = None if found.below is None else f"{math.floor(100 * found.below)} %"
    above = None if found.above is None else f"{math.ceil(100 * found.above)} %"
    return _beyond(below, above)


def _beyond(below: str | None, above: str | None) -> str:
    parts = [f"≤ {below}"] if below is not None else []
    parts += [f"≥ {above}"] if above is not None else []
    return " or ".join(parts) or "none"
