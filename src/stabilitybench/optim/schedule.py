"""Learning-rate schedules: multipliers of the peak rate."""

from __future__ import annotations

#: Howard & Ruder (2018): the lowest rate of the slanted triangle is the peak divided by this.
SLANTED_RATIO = 32.0


def multiplier(schedule: str, step: int, total: int, warmup: float) -> float:
    """Return the multiplier of the peak rate for one optimizer step.

    Parameters
    ----------
    schedule : {"linear", "constant", "slanted"}
        "linear": up from 0 over ``int(warmup * total)`` steps, then down to 0 after the last; the first step of a
        warm-up has rate 0 and counts towards the optimizer's bias correction, as in the training scripts of
        transformers.  "constant": the same warm-up, then 1.  "slanted": the slanted triangle [1]_ with
        `warmup` as its cut fraction.
    step : int
        The step, in [0, total).
    total : int
        Steps of the whole run.
    warmup : float
        Share of the steps in which the rate rises, in [0, 1].

    Returns
    -------
    float
        Between 0 and 1.

    References
    ----------
    .. [1] J. Howard and S. Ruder (2018), "Universal language model fine-tuning for text classification", ACL,
       arXiv 1801.06146.

    Examples
    --------
    >>> [round(multiplier("linear", s, 10, 0.2), 3) for s in (0, 1, 2, 6, 9)]
    [0.0, 0.5, 1.0, 0.5, 0.125]
    """
    rising = int(warmup * total)
    if schedule == "slanted":
        fraction = step / rising if step < rising else 1 - (step - rising) / max(1, total - rising)
        return (1 + fraction * (SLANTED_RATIO - 1)) / SLANTED_RATIO
    if step < rising:
        return step / rising
    if schedule == "constant":
        return 1.0
    return (total - step) / max(1, total - rising)
