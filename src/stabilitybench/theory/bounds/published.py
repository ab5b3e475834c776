"""P1, P2, P3: the bounds of Fu, So & Collier (arXiv 2301.09820), as recalled and reconstructed.

Their full text was not at hand.  The formulas are those that a proof along the lines of the abstract gives; the
constants c, lam, nu, xi are "some constants" there, so that they are arguments without a default here, and what
comes out is only as good as what was put in.  Where a formula is undefined these functions raise UserError.
"""

from __future__ import annotations

import math

from stabilitybench.errors import UserError
from stabilitybench.theory.bounds.result import (
    PUBLISHED,
    Assumption,
    Bound,
    one,
)
from stabilitybench.theory.checks import number, whole


def published_full_tuning(
    *,
    n: int,
    lipschitz: float,
    smoothness: float,
    convexity: float,
    distance: float,
    loss_at_minimiser: float | None = None,
) -> Bound:
    r"""P1: how far leaving one sample out moves the weights, for losses that share a minimiser with zero loss.

    .. math:: \frac{\sqrt{2 L \|w_0 - w_*\| / \beta}}{n\,((1 - \mu/\beta)^{-1/4} - 1)}

    As recalled and reconstructed from the abstract of [1]_.

    Parameters
    ----------
    n : int
        Samples, at least 2.
    lipschitz : float
        L, largest gradient norm of a sample's loss on the region visited.
    smoothness, convexity : float
        beta and mu, largest and smallest eigenvalue of every sample's Hessian, 0 < mu < beta.
    distance : float
        ||w_0 - w_*||.
    loss_at_minimiser : float, optional
        Mean loss at w_*, if known; the proof needs it to be 0.

    Returns
    -------
    Bound
        In the unit of the weights, in expectation.

    Raises
    ------
    UserError
        Where mu <= 0, as it is for every neural network (the formula then has no value), where mu >= beta, and where
        the loss at the minimiser is known not to be 0.

    References
    ----------
    .. [1] Z. Fu, A. M.-C. So and N. Collier (2023), "A stability analysis of fine-tuning a pre-trained model",
       arXiv 2301.09820.

    Examples
    --------
    >>> bound = published_full_tuning(n=100, lipschitz=1, smoothness=1, convexity=0.1, distance=1)
    >>> round(bound.value, 2)
    0.53
    """
    owner = "P1"
    n = whole(owner, "n", n, least=2)
    length = number(owner, "lipschitz", lipschitz, least=0)
    beta = number(owner, "smoothness", smoothness, above=0)
    mu = number(owner, "convexity", convexity)
    far = number(owner, "distance", distance, least=0)
    if mu <= 0:
        raise UserError(f"P1: convexity = {mu:g}: must be above 0; the bound is undefined without strong convexity")
    if mu >= beta:
        raise UserError(f"P1: convexity = {mu:g}: must be below smoothness = {beta:g}")
    interpolates: bool | None = None
    if loss_at_minimiser is not None:
        if number(owner, "loss_at_minimiser", loss_at_minimiser, least=0) > 1e-12:
            raise UserError(
                f"P1: loss_at_minimiser = {loss_at_minimiser:g}: must be 0; without interpolation the bound is false"
            )
        interpolates = True
    # expm1 and log1p: for mu << beta the difference (1 - mu/beta)^(-1/4) - 1 would lose its digits
    shrink = math.expm1(-math.log1p(-mu / beta) / 4)
    if shrink == 0:
        raise UserError(f"P1: convexity = {mu:g}: too small beside smoothness = {beta:g}; the bound is undefined")
    value = math.sqrt(2 * length * far / beta) / (n * shrink)
    if not math.isfinite(value):
        raise UserError(f"P1: convexity = {mu:g}: too small beside smoothness = {beta:g}; the bound is undefined")
    return Bound(
        "P1, published bound of full tuning",
        "average over i of ||w_t - w_t^i||",
        one(value),
        "expectation",
        (
            Assumption("every sample's loss is non-negative, L-Lipschitz and beta-smooth on the region visited", None),
            Assumption("every sample's loss is mu-strongly convex, mu > 0 (the value given is)", None),
            Assumption("interpolation: every sample's loss is 0 at one shared minimiser", interpolates),
            Assumption("full-batch gradient descent at rate 1 / beta from a common start", None),
        ),
        PUBLISHED,
    )


def published_head_tuning(
    *, n: int, steps: int, radius: float, margin: float, c: float, lam: float, nu: float
) -> Bound:
    r"""P2: how far leaving one sample out turns a linear head on separable features after t steps.

    .. math:: C \frac{\log\log t}{\log t} + \nu \max\left\{\sqrt{\tfrac{2}{\lambda n}(1 + B/\gamma)},\;
              \frac{B + \sqrt{B^2 + 8 n \lambda (1 + B/\gamma)}}{2 n \lambda}\right\}

    Two max-margin directions of one dataset and its leave-one-out set are never more than sqrt(2) apart, any two
    directions never more than 2.

    As recalled and reconstructed from the abstract of [1]_.

    Parameters
    ----------
    n : int
        Samples, at least 2.
    steps : int
        t, at least 3 (log log t must be positive).
    radius : float
        B, largest feature norm.
    margin : float
        gamma, above 0.
    c, lam, nu : float
        The statement's constants, which depend on the data in a way that it leaves open.

    Returns
    -------
    Bound
        Direction distance, dimensionless, in expectation; `parts` holds the two terms.

    Raises
    ------
    UserError
        For arguments out of their range.

    References
    ----------
    .. [1] Z. Fu, A. M.-C. So and N. Collier (2023), "A stability analysis of fine-tuning a pre-trained model",
       arXiv 2301.09820.

    Examples
    --------
    >>> bound = published_head_tuning(n=100, steps=1000, radius=1, margin=0.2, c=0.0, lam=0.04, nu=0.2)
    >>> round(bound.value, 3)
    0.372
    """
    owner = "P2"
    n = whole(owner, "n", n, least=2)
    t = whole(owner, "steps", steps, least=3)
    second = _soft_margin_term(owner, n, radius, margin, lam, nu)
    first = number(owner, "c", c, least=0) * math.log(math.log(t)) / math.log(t)
    return Bound(
        "P2, published bound of head tuning",
        "average over i of the distance of the directions of w_t and w_t^i",
        one(first + second),
        "expectation",
        (
            Assumption("the features are separable by a linear head without bias", None),
            Assumption("the constants C, lambda and nu are valid for this data (no rule for them is known)", None),
            Assumption("gradient descent on a logistic-type loss, rate below the stability limit", None),
        ),
        PUBLISHED,
        steps=(t,),
        trivial=2.0,
        parts={"direction": first, "soft margin": second},
    )


def published_multi_head(
    *,
    n: int,
    steps: int,
    heads: int,
    delta: float,
    radius: float,
    margin: float,
    c: float,
    xi: float,
    lam: float,
    nu: float,
) -> Bound:
    r"""P3: P2 for the mean of H independently initialised heads, with probability at least 1 - delta.

    .. math:: \sqrt{\frac{2 + 8 \ln(1/\delta)}{H}}\; C \xi \frac{\log\log t}{\log t} + (\text{second term of P2})

    The factor comes from a vector Bernstein inequality and takes the heads' direction errors for independent vectors of
    mean zero, which they are not: all heads share the distance of gradient descent from the max-margin direction.

    As recalled and reconstructed from the abstract of [1]_.

    Parameters
    ----------
    n, steps : int
        As in `published_head_tuning`.
    heads : int
        H, above 2 + 8 ln(1/delta).
    delta : float
        Probability that the bound fails, in (0, 1).
    radius, margin : float
        As in `published_head_tuning`.
    c, xi, lam, nu : float
        The statement's constants; xi is one more than in `published_head_tuning`.

    Returns
    -------
    Bound
        Direction distance, dimensionless, in expectation; `parts` holds the two terms.

    Raises
    ------
    UserError
        Where H is too small for the inequality, and for arguments out of their range.

    References
    ----------
    .. [1] Z. Fu, A. M.-C. So and N. Collier (2023), "A stability analysis of fine-tuning a pre-trained model",
       arXiv 2301.09820.

    Examples
    --------
    >>> bound = published_multi_head(
    ...     n=100, steps=1000, heads=104, delta=0.05, radius=1, margin=0.2, c=1.0, xi=1.0, lam=0.04, nu=0.2)
    >>> round(bound.parts["direction"], 3)
    0.14
    """
    owner = "P3"
    n = whole(owner, "n", n, least=2)
    t = whole(owner, "steps", steps, least=3)
    count = whole(owner, "heads", heads, least=1)
    share = number(owner, "delta", delta, above=0)
    if share >= 1:
        raise UserError(f"P3: delta = {share:g}: must be below 1")
    needed = 2 + 8 * math.log(1 / share)
    if count <= needed:
        raise UserError(f"P3: heads = {count}: must be above 2 + 8 ln(1/delta) = {needed:.4g}; undefined otherwise")
    second = _soft_margin_term(owner, n, radius, margin, lam, nu)
    scale = number(owner, "c", c, least=0) * number(owner, "xi", xi, least=0)
    first = math.sqrt(needed / count) * scale * math.log(math.log(t)) / math.log(t)
    return Bound(
        "P3, published bound of several heads",
        "average over i of the distance of the directions of the mean heads",
        one(first + second),
        "expectation",
        (
            Assumption(f"holds with probability {1 - share:g} over the heads' initial weights", None),
            Assumption("the heads' direction errors are independent and have mean zero", None),
            Assumption("the features are separable by a linear head without bias", None),
            Assumption("the constants C, xi, lambda and nu are valid for this data (no rule for them is known)", None),
        ),
        PUBLISHED,
        steps=(t,),
        trivial=2.0,
        parts={"direction": first, "soft margin": second},
    )


def _soft_margin_term(owner: str, n: int, radius: float, margin: float, lam: float, nu: float) -> float:
    """Return nu times the larger root of n lam x^2 = 2 (1 + B/gamma) and of n lam x^2 = B x + 2 (1 + B/gamma)."""
    b = number(owner, "radius", radius, above=0)
    ratio = 2 * (1 + b / number(owner, "margin", margin, above=0))
    strength = n * number(owner, "lam", lam, above=0)
    first = math.sqrt(ratio / strength)
    second = (b + math.sqrt(b * b + 4 * strength * ratio)) / (2 * strength)
    return number(owner, "nu", nu, above=0) * max(first, second)
