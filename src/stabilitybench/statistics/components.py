"""Where the variance of scores comes from: init, order, dropout, subset and their interactions, in crossed designs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from stabilitybench.argument_checks import of_kind, several, text
from stabilitybench.errors import Argument, UserError
from stabilitybench.statistics.reml import fit_reml
from stabilitybench.statistics.results import Floats, check_level, sample

RESIDUAL = "residual"
BALANCED = "ANOVA (method of moments), modified-large-sample interval"
UNBALANCED = "REML mixed model, modified-large-sample interval with harmonic means"
Term = tuple[str, ...]
Row = dict[str, object]


def variance_components(
    runs: pd.DataFrame, factors: Sequence[str], score: str = "score", level: float = 0.95
) -> pd.DataFrame:
    r"""Split the variance of scores over crossed random factors: one row per component.

    All interactions enter that the design can tell apart from each other; the highest one is the residual where every
    combination was run once. Effects are taken as normal.

    Balanced designs: with :math:`MS_S` the mean square of effect S and :math:`n_S` the runs per combination of its
    levels, :math:`\hat\sigma^2_S = \frac{1}{n_S} \sum_{T \supseteq S} (-1)^{|T \setminus S|} MS_T`, unbiased; the
    interval is the modified large-sample one of Ting et al. [1]_, exact for the residual. Unbalanced designs:
    restricted maximum likelihood through statsmodels' MixedLM; the interval is that of a balanced design with the same
    estimates and the harmonic mean of the runs per level.

    Parameters
    ----------
    runs : pandas.DataFrame
        One row per run, with the score and the levels (seeds) of each factor.
    factors : sequence of str
        Columns with levels. A factor with one level is left out and listed with a note.
    score : str, default "score"
        The column of finite scores.
    level : float, default 0.95
        Confidence level, in (0, 1).

    Returns
    -------
    pandas.DataFrame
        component ("init", "init:order", ..., "residual"); levels; df (degrees of freedom); variance (in squared units
        of the score; a negative estimate is set to 0) and estimate (before that); sd (square root of variance); share
        (of the sum of all variances, in [0, 1]); low, high (interval for the variance, cut at 0); method; note (what a
        reader must know: a negative estimate, a factor left out, a missing interval). Missing numbers are NaN and
        always come with a note.

    Raises
    ------
    UserError
        When no factor varies, when two vary together (their shares cannot be told apart) or one differs in every run
        (it is the residual), and for a missing column or a score that is not finite.

    References
    ----------
    .. [1] Ting, Burdick, Graybill, Jeyaratnam & Lu (1990), J. Statist. Comput. Simul. 35:135-143.

    Examples
    --------
    >>> runs = pd.DataFrame({"init": [0, 0, 1, 1, 2, 2], "order": [0, 1] * 3, "score": [1, 2, 4, 5, 6, 9]})
    >>> table = variance_components(runs, ["init", "order"])
    >>> table[["component", "variance", "share"]].round(2).values.tolist()
    [['init', 8.67, 0.83], ['order', 1.17, 0.11], ['residual', 0.67, 0.06]]
    """
    check_level(level)
    values, codes, left_out = _checked(runs, factors, score)
    if len(np.unique(values)) == 1:
        rows = [_row((name,), int(code.max()) + 1, 0.0, "all scores are equal") for name, code in codes.items()]
        return _table([*rows, _row((RESIDUAL,), len(values), 0.0, "all scores are equal")], left_out, BALANCED)
    _check_apart(codes)
    _, cell = _levels(codes, tuple(codes))
    counts = np.bincount(cell)
    crossed = math.prod(int(code.max()) + 1 for code in codes.values()) == len(counts)
    if crossed and np.all(counts == counts[0]):
        return _table(_balanced(values, codes, int(counts[0]), level), left_out, BALANCED)
    return _table(_unbalanced(values, codes, level), left_out, UNBALANCED)


def _checked(
    runs: pd.DataFrame, factors: Sequence[str], score: str
) -> tuple[Floats, dict[str, npt.NDArray[np.intp]], list[str]]:
    """Return scores, level numbers of each factor that varies, and the factors that do not."""
    of_kind("runs", runs, "a table with one row per run", pd.DataFrame)
    factors = several("factors", factors, "column names", str)
    for name, column in (("score", text("score", score)), *(("factors", factor) for factor in factors)):
        if column not in runs.columns:
            there = ", ".join(map(str, runs.columns))
            raise UserError(Argument(name, column), f": runs has no such column; there are {there}")
    if len(set(factors)) < len(factors):
        raise UserError(f"factors {', '.join(factors)}: a name stands twice")
    values = sample(runs[score].to_numpy(), f'column "{score}"')
    codes, left_out = {}, []
    for factor in factors:
        code, levels = pd.factorize(runs[factor], sort=True)
        if (code < 0).any():
            raise UserError(
                f'column "{factor}": row {int(np.argmax(code < 0)) + 1} is empty; every run needs its level'
            )
        if len(levels) > 1:
            codes[factor] = code
        else:
            left_out.append(factor)
    if not codes:
        names = ", ".join(factors) or "none given"
        raise UserError(f"factors ({names}): none of them varies; needs at least one with 2 levels")
    return values, codes, left_out


def _check_apart(codes: dict[str, npt.NDArray[np.intp]]) -> None:
    runs = len(next(iter(codes.values())))
    for name, code in codes.items():
        if code.max() + 1 == runs:
            together = [f'"{other}"' for other, c in codes.items() if other != name and c.max() + 1 == runs]
            if not together:
                raise UserError(
                    f'factor "{name}": differs in every run, so that its share cannot be told from the residual; '
                    "cross it with other seeds, or run each of its levels more than once"
                )
    for a, b in combinations(codes, 2):
        pairs = len(np.unique(np.stack([codes[a], codes[b]]), axis=1).T)
        if pairs == codes[a].max() + 1 == codes[b].max() + 1:
            raise UserError(
                f'factors "{a}" and "{b}": vary together, so that their shares cannot be told apart; needs a crossed '
                f"design, such as seeds = {{ {a} = 5, {b} = 5 }}"
            )


def _levels(codes: dict[str, npt.NDArray[np.intp]], term: Term) -> tuple[int, npt.NDArray[np.intp]]:
    """Return how many combinations of the term's levels occur, and which one each run has."""
    combined = np.stack([codes[name] for name in term])
    unique, inverse = np.unique(combined, axis=1, return_inverse=True)
    return unique.shape[1], np.asarray(inverse).ravel()


def _terms(names: Sequence[str]) -> list[Term]:
    return [term for size in range(1, len(names) + 1) for term in combinations(names, size)]


def _balanced(values: Floats, codes: dict[str, npt.NDArray[np.intp]], repeats: int, level: float) -> list[Row]:
    runs, terms = len(values), _terms(list(codes))
    centred = values - values.mean()
    # sums of squares of the means, less what the effects inside add to them
    squares: dict[Term, float] = {}
    for term in terms:
        n, place = _levels(codes, term)
        between = float(runs / n * np.sum((np.bincount(place, centred) / (runs / n)) ** 2))
        squares[term] = max(between - sum(squares[inner] for inner in squares if set(inner) < set(term)), 0.0)
    left = max(float(np.sum(centred**2)) - sum(squares.values()), 0.0)
    dropped = []
    if repeats == 1:  # one run per combination: the highest interaction is the residual
        dropped = [terms.pop()]
        left = squares.pop(dropped[0])
    df, counts = _counts(codes, terms)
    mean_squares = {term: squares[term] / df[term] for term in terms}
    return _rows(codes, mean_squares, left / df[RESIDUAL,], df, counts, dropped, "", level)


def _unbalanced(values: Floats, codes: dict[str, npt.NDArray[np.intp]], level: float) -> list[Row]:
    terms, dropped = _identifiable(codes)
    variances, residual, note = fit_reml(values, [_levels(codes, term)[1] for term in terms])
    df, counts = _counts(codes, terms)
    runs = len(values)
    # the mean squares that a balanced design would have had with these variances
    held = {term: runs / counts[term] * variance for term, variance in zip(terms, variances, strict=True)}
    mean_squares = {term: residual + sum(held[t] for t in terms if set(term) <= set(t)) for term in terms}
    return _rows(codes, mean_squares, residual, df, counts, dropped, note, level)


def _counts(codes: dict[str, npt.NDArray[np.intp]], terms: list[Term]) -> tuple[dict[Term, int], dict[Term, float]]:
    """Return the degrees of freedom of each term and the residual, and how many levels each counts for.

    These are the runs over the harmonic mean of the runs per level: the levels themselves in a balanced design.
    """
    runs = len(next(iter(codes.values())))
    df: dict[Term, int] = {}
    counts: dict[Term, float] = {}
    for term in terms:
        n, place = _levels(codes, term)
        df[term] = max(1, n - 1 - sum(df[inner] for inner in df if set(inner) < set(term)))
        counts[term] = runs * float(np.mean(1 / np.bincount(place)))
    df[RESIDUAL,] = max(1, runs - 1 - sum(df.values()))
    counts[RESIDUAL,] = runs
    return df, counts


def _rows(
    codes: dict[str, npt.NDArray[np.intp]], mean_squares: dict[Term, float], residual: float, df: dict[Term, int],
    counts: dict[Term, float], dropped: list[Term], note: str, level: float,
) -> list[Row]:  # fmt: skip
    """Return one row per variance, each a sum and difference of mean squares."""
    runs = counts[RESIDUAL,]
    rows = []
    for term in mean_squares:
        weights = {t: (-1.0) ** (len(t) - len(term)) for t in mean_squares if set(term) <= set(t)}
        weights[RESIDUAL,] = -sum(weights.values())  # the residual variance is in each of them once
        used = [t for t, weight in weights.items() if weight]
        scale = counts[term] / runs
        given = np.array([scale * weights[t] for t in used])
        squares = np.array([mean_squares.get(t, residual) for t in used])
        low, high = _interval(given, squares, np.array([df[t] for t in used], dtype=np.float64), level)
        estimate = float(given @ squares)
        if abs(estimate) < 1e-12 * float(np.abs(given) @ squares):  # rounding
            estimate = 0.0
        notes = [note, "negative estimate, set to 0" if estimate < 0 else ""]
        said = "; ".join(n for n in notes if n)
        rows.append(_row(term, _levels(codes, term)[0], estimate, said, df[term], max(low, 0.0), max(high, 0.0)))
    low, high = _interval(np.ones(1), np.array([residual]), np.array([df[RESIDUAL,]], dtype=np.float64), level)
    held = f"holds {', '.join(':'.join(t) for t in dropped)}, which the design cannot tell apart" if dropped else ""
    said = "; ".join(n for n in (note, held) if n)
    rows.append(_row((RESIDUAL,), round(runs), residual, said, df[RESIDUAL,], low, high))
    return rows


def _interval(weights: Floats, squares: Floats, df: Floats, level: float) -> tuple[float, float]:
    """Return modified large-sample limits of a weighted sum of mean squares (Ting et al. 1990)."""
    tail = (1 - level) / 2
    estimate = float(weights @ squares)
    terms = np.abs(weights) * squares
    plus, minus = weights > 0, weights < 0
    lower = _half_width(terms[plus], df[plus], terms[minus], df[minus], tail)
    upper = _half_width(terms[minus], df[minus], terms[plus], df[plus], tail)
    return estimate - lower, estimate + upper


def _half_width(plus: Floats, df_plus: Floats, minus: Floats, df_minus: Floats, tail: float) -> float:
    """Return how far the lower limit of sum(plus) - sum(minus) lies below the estimate."""
    g = 1 - df_plus / stats.chi2.isf(tail, df_plus)
    h = df_minus / stats.chi2.ppf(tail, df_minus) - 1
    variance = float(np.sum((g * plus) ** 2) + np.sum((h * minus) ** 2))
    for q, a in enumerate(plus):
        for r, b in enumerate(minus):
            f = float(stats.f.isf(tail, df_plus[q], df_minus[r]))
            variance += a * b * ((f - 1) ** 2 - (g[q] * f) ** 2 - h[r] ** 2) / f
        for t in range(q + 1, len(plus)):
            n, m = df_plus[q], df_plus[t]
            both = 1 - (n + m) / float(stats.chi2.isf(tail, n + m))
            cross = both**2 * (n + m) ** 2 / (n * m) - g[q] ** 2 * n / m - g[t] ** 2 * m / n
            variance += a * plus[t] * cross / (len(plus) - 1)
    return math.sqrt(max(variance, 0.0))


def _identifiable(codes: dict[str, npt.NDArray[np.intp]]) -> tuple[list[Term], list[Term]]:
    """Return the terms whose variances can be told from each other and the residual, and the interactions that cannot.

    Each variance multiplies a known matrix in the covariance of the scores; they are told apart when these matrices,
    with the mean taken out, are linearly independent.
    """
    runs = len(next(iter(codes.values())))

    def column(place: npt.NDArray[np.intp]) -> Floats:
        matrix = (place[:, None] == place[None, :]).astype(np.float64)
        matrix -= matrix.mean(axis=0) + matrix.mean(axis=1)[:, None] - matrix.mean()
        flat: Floats = matrix.ravel() / np.linalg.norm(matrix)
        return flat

    basis, kept, dropped = [column(np.arange(runs, dtype=np.intp))], [], []
    for term in _terms(list(codes)):
        candidate = column(_levels(codes, term)[1])
        for _ in range(2):  # twice, so that rounding does not pass for a new direction
            for known in basis:
                candidate = candidate - (known @ candidate) * known
        norm = float(np.linalg.norm(candidate))
        if norm > 1e-6:
            basis.append(candidate / norm)
            kept.append(term)
        elif len(term) == 1:
            raise UserError(f'factor "{term[0]}": its share cannot be told from those of the other factors')
        else:
            dropped.append(term)
    return kept, dropped


def _row(
    term: Term, levels: int, estimate: float, note: str, df: float = math.nan, low: float = math.nan,
    high: float = math.nan,
) -> Row:  # fmt: skip
    return {
        "component": ":".join(term), "levels": levels, "df": df, "variance": max(estimate, 0.0), "estimate": estimate,
        "low": low, "high": high, "note": note,
    }  # fmt: skip


def _table(rows: list[Row], left_out: list[str], method: str) -> pd.DataFrame:
    table = pd.DataFrame(rows)
    total = table["variance"].sum()
    table.insert(5, "sd", np.sqrt(table["variance"]))
    table.insert(6, "share", table["variance"] / total if total > 0 else math.nan)
    table["method"] = method
    for name in left_out:
        table.loc[len(table)] = {
            **dict.fromkeys(table.columns, math.nan), "component": name, "levels": 1, "method": "",
            "note": "left out: it has one level",
        }  # fmt: skip
    return table[["component", "levels", "df", "variance", "estimate", "sd", "share", "low", "high", "method", "note"]]
