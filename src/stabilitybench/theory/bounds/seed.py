"""B4: how far another start turns a linear head trained on the same samples; and B3 + B4, another sample as well.

A step of gradient descent on a convex loss never moves two runs apart, while the weights of a head on separable
features grow: the start is forgotten at the rate at which ||w_t|| grows.
"""

from __future__ import annotations

import math

from stabilitybench.errors import UserError
from stabilitybench.theory.bounds.head import head_tuning
from stabilitybench.theory.bounds.max_margin_bound import radius_and_margin
from stabilitybench.theory.bounds.result import PROVEN, Assumption, Bound, Weight, one
from stabilitybench.theory.bounds.runs import check_rate
from stabilitybench.theory.checks import number, whole


def initialisation(*, gap: float, norm_a: float, norm_b: float, rate: float, smoothness: float) -> Bound:
    r"""B4: how far apart two starts leave the direction of a head trained on the same samples.

    .. math:: \|u_t(a) - u_t(b)\| \le \frac{2 \|a - b\|}{\|w_t(a)\| + \|w_t(b)\|}

    Parameters
    ----------
    gap : float
        ||a - b|| of the two starts.
    norm_a, norm_b : float
        Norms of the weights after t steps, or lower bounds of them.
    rate : float
        Learning rate, at most 2 / smoothness, so that a step never moves the runs apart.
    smoothness : float
        beta of the mean loss.

    Returns
    -------
    Bound
        Direction distance, dimensionless; it says something below 2.

    Raises
    ------
    UserError
        For a rate that is too large.

    Examples
    --------
    >>> initialisation(gap=1.0, norm_a=10.0, norm_b=10.0, rate=1.0, smoothness=0.25).value
    0.1
    """
    owner = "B4"
    check_rate(owner, number(owner, "rate", rate, above=0), 2 / number(owner, "smoothness", smoothness, above=0))
    total = number(owner, "norm_a", norm_a, above=0) + number(owner, "norm_b", norm_b, above=0)
    return Bound(
        "B4, two starts",
        "distance of the directions of w_t(a) and w_t(b), same samples",
        one(2 * number(owner, "gap", gap, least=0) / total),
        "every i",
        (
            Assumption("rate at most 2 / beta", True),
            Assumption("the same samples in both runs, gradient descent on a convex loss", None),
        ),
        PROVEN,
        trivial=2.0,
    )


def averaged_heads(*, scale: float, d: int, heads: int, norm: float) -> Bound:
    r"""B4 for the mean of H heads from independent N(0, s^2 I) starts: expected distance of two such means.

    .. math:: E \|u_t(a) - u_t(b)\| \le s \sqrt{2 d / H} \,/\, N_t

    The heads' final weights are independent and a step never moves two runs apart, hence the variance of their mean is
    at most that of the starts' mean.

    Parameters
    ----------
    scale : float
        s, at least 0.  A zero start has s = 0: the bound is 0.
    d : int
        Number of weights of one head.
    heads : int
        H, at least 1.
    norm : float
        N_t, a lower bound of both mean heads' norms (such as `norm_growth`).

    Returns
    -------
    Bound
        Direction distance, dimensionless, in expectation.

    Raises
    ------
    UserError
        For arguments out of their range.

    Examples
    --------
    >>> round(averaged_heads(scale=1.0, d=8, heads=4, norm=10.0).value, 3)
    0.2
    """
    value = _seed_part("B4", scale, d, heads, norm)
    return Bound(
        "B4, averaged heads",
        "expected distance of the directions of two averaged heads, same samples",
        one(value),
        "expectation",
        (
            Assumption("the heads start from independent N(0, s^2 I) draws and are averaged after training", None),
            Assumption("rate at most 2 / beta for each head's own loss", None),
            Assumption("the mean heads' norms are at least N_t", None),
        ),
        PROVEN,
        trivial=2.0,
    )


def norm_growth(
    *,
    radius: float,
    margin: float,
    rate: float,
    steps: int,
    start_norm: float = 0.0,
    smoothness: float | None = None,
    tau: float | None = None,
) -> float:
    r"""Return a lower bound of ||w_t|| after t steps of gradient descent on the mean logistic loss.

    .. math:: \|w_t\| \ge \frac{1}{B} \ln\frac{1}{e^{\epsilon_t} - 1}, \quad
              \epsilon_t = \frac{1}{\tau} + \frac{(\ln \tau / \gamma + \|w_0\|)^2}{2 \eta t}

    The mean loss is at most epsilon_t, by comparison with (ln tau / gamma) u, and a small loss needs a large norm.

    Parameters
    ----------
    radius : float
        B, largest feature norm.
    margin : float
        gamma, largest margin of a head without free bias.
    rate : float
        Learning rate eta, at most 1 / beta.
    steps : int
        t, at least 1.
    start_norm : float, default 0
        ||w_0|| (of one head, where several are averaged).
    smoothness : float, optional
        beta of the mean loss; its upper bound B^2 / 4 unless given.
    tau : float, optional
        Any number above 1; gamma^2 eta t unless given.

    Returns
    -------
    float
        In the unit of the weights, above 0.

    Raises
    ------
    UserError
        Where so few steps give nothing (epsilon_t >= ln 2), and for a rate that is too large.

    Examples
    --------
    >>> round(norm_growth(radius=1.0, margin=0.3, rate=4.0, steps=10_000), 2)
    4.64
    """
    owner = "B4"
    b, gamma = radius_and_margin(owner, radius, margin, "logistic")
    eta = number(owner, "rate", rate, above=0)
    beta = b**2 / 4 if smoothness is None else number(owner, "smoothness", smoothness, above=0)
    check_rate(owner, eta, 1 / beta, "1 / beta")
    t = whole(owner, "steps", steps, least=1)
    free = gamma**2 * eta * t if tau is None else number(owner, "tau", tau)
    few = f"B4: steps = {t}: too few for this margin and rate; the norm has no positive lower bound yet"
    if free <= 1:
        raise UserError(few if tau is None else f"B4: tau = {free:g}: must be above 1")
    before = number(owner, "start_norm", start_norm, least=0)
    far = math.log(free) / gamma + before
    loss = 1 / free + far * far / (2 * eta * t)
    if loss >= math.log(2):
        raise UserError(few)
    return -math.log(math.expm1(loss)) / b


def data_and_seed(
    *,
    n: int,
    radius: float,
    margin: float,
    rate: float,
    norm: float,
    scale: float,
    d: int,
    heads: int = 1,
    start_norm: float | None = None,
    weight: Weight = "1/n",
    smoothness: float | None = None,
) -> Bound:
    r"""B3 and B4 together: another seed and one sample less.

    .. math:: \frac{2 B}{n \gamma} \Big(1 + \frac{\|w_0\|}{N_t}\Big) + \frac{s \sqrt{2 d / H}}{N_t}

    A larger rate * t helps the seed part, a larger margin helps the data part and slows the growth of the norm, H acts
    on the seed part alone.

    Parameters
    ----------
    n, radius, margin, rate
        As in `head_tuning`, for logistic loss.
    norm, scale, d
        As in `averaged_heads`.
    heads : int, default 1
        H, at least 1.
    start_norm : float, optional
        ||w_0|| of the averaged start; s sqrt(d / H), a bound of its expectation, unless given.
    weight : {"1/n", "1/(n-1)"}, default "1/n"
        Of each sample that stays.
    smoothness : float, optional
        beta of the mean loss, as in `head_tuning`.

    Returns
    -------
    Bound
        Direction distance, dimensionless, in expectation; `parts` holds the data and the seed term.

    Raises
    ------
    UserError
        As `head_tuning` and `averaged_heads`.

    Examples
    --------
    >>> bound = data_and_seed(n=100, radius=1.0, margin=0.25, rate=4.0, norm=10.0, scale=0.1, d=50)
    >>> {name: round(part, 4) for name, part in bound.parts.items()}
    {'data': 0.0857, 'seed': 0.1}
    """
    seed = _seed_part("B3 + B4", scale, d, heads, norm)
    before = scale * math.sqrt(d / heads) if start_norm is None else start_norm
    data = head_tuning(
        n=n,
        radius=radius,
        margin=margin,
        rate=rate,
        weight=weight,
        smoothness=smoothness,
        start_norm=before,
        norm=norm,
    )
    return Bound(
        "B3 + B4, data and seed",
        "expected distance of the directions of two heads that differ in one sample and in their start",
        one(data.value + seed),
        "expectation",
        (*data.assumptions, Assumption("independent N(0, s^2 I) starts, all norms at least N_t", None)),
        PROVEN,
        trivial=2.0,
        parts={"data": data.value, "seed": seed},
    )


def _seed_part(owner: str, scale: float, d: int, heads: int, norm: float) -> float:
    spread = number(owner, "scale", scale, least=0)
    share = whole(owner, "d", d, least=1) / whole(owner, "heads", heads, least=1)
    return spread * math.sqrt(2 * share) / number(owner, "norm", norm, above=0)
