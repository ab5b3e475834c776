"""How numbers and names are printed: scores in points, p-values and intervals short enough for a table."""

from __future__ import annotations

import math

ABSENT = "–"  # noqa: RUF001 - the sign that tables use for "no value"


def metric(name: str) -> str:
    """Print a metric as papers write it.

    Parameters
    ----------
    name : str
        As tasks name it; one that is not known is printed as it is.

    Examples
    --------
    >>> metric("mcc"), metric("accuracy")
    ('MCC', 'accuracy')
    """
    return {"mcc": "MCC", "f1": "F1", "spearman": "Spearman", "pearson": "Pearson"}.get(name, name)


def points(score: float | None, digits: int = 1) -> str:
    """Print a fraction in points (x100).

    Parameters
    ----------
    score : float or None
        A fraction; `ABSENT` is printed for None and for what is not finite.
    digits : int, default 1
        Decimals.

    Examples
    --------
    >>> points(0.60349), points(None)
    ('60.3', '–')
    """
    if score is None or not math.isfinite(score):
        return ABSENT
    text = f"{100 * score:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def spread(sd: float | None) -> str:
    """Print an SD in points; small ones with the digits that tell them from 0.

    Parameters
    ----------
    sd : float or None
        A fraction; `ABSENT` is printed for None and for what is not finite.

    Examples
    --------
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
    """Print mean and SD in points.

    Parameters
    ----------
    mean : float or None
        A fraction.
    sd : float or None
        A fraction; None, as for a single run, leaves it out.

    Examples
    --------
    >>> mean_sd(0.603, 0.014)
    '60.3 ± 1.4'
    """
    return points(mean) if sd is None else f"{points(mean)} ± {spread(sd)}"


def p_value(p: float | None) -> str:
    """Print a p-value with two digits from 0.001 on, in powers of ten below.

    Parameters
    ----------
    p : float or None
        Between 0 and 1; `ABSENT` is printed for None.

    Examples
    --------
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

    Parameters
    ----------
    value : float or None
        At least 0; `ABSENT` is printed for None.

    Examples
    --------
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

    Parameters
    ----------
    low, high : float or None
        At least 0; nothing is printed where one is None.

    Examples
    --------
    >>> interval(0.358, 0.82)
    '[0.36, 0.82]'
    """
    return "" if low is None or high is None else f"[{ratio(low)}, {ratio(high)}]"


def estimate(value: float | None, low: float | None, high: float | None) -> str:
    """Print a ratio with its interval where it has one.

    Parameters
    ----------
    value : float or None
        The ratio; `ABSENT` is printed for None.
    low, high : float or None
        Limits of the interval, None where there is none.

    Examples
    --------
    >>> estimate(0.5449, 0.358, 0.82), estimate(0.5449, None, None)
    ('0.54 [0.36, 0.82]', '0.54')
    """
    return f"{ratio(value)} {interval(low, high)}".strip()


def percent(rate: float | None) -> str:
    """Print a rate in per cent without decimals.

    Parameters
    ----------
    rate : float or None
        A fraction; `ABSENT` is printed for None.

    Examples
    --------
    >>> percent(0.1611)
    '16'
    """
    return ABSENT if rate is None else f"{100 * rate:.0f}"


def counted(n: int, word: str) -> str:
    """Print a number of things.

    Parameters
    ----------
    n : int
        How many.
    word : str
        The thing, in the singular, of which the plural ends in s.

    Examples
    --------
    >>> counted(1, "run"), counted(20, "run")
    ('1 run', '20 runs')
    """
    return f"{n} {word}" if n == 1 else f"{n} {word}s"
