"""What the seeds that a study declares can show, in one line, said before the hours are spent."""

from __future__ import annotations

import math

from stabilitybench.comparison.detectable import (
    detectable_difference,
    detectable_rate,
    detectable_ratio,
    seeds_for_spread,
)
from stabilitybench.documents.formats import counted, ratio
from stabilitybench.planning.effects import percentage
from stabilitybench.power.simulated_studies import MOST_RUNS
from stabilitybench.seeds import grid
from stabilitybench.statistics.decisions import ALPHA
from stabilitybench.statistics.deviation import FEWEST
from stabilitybench.statistics.looks import look_levels
from stabilitybench.statistics.questions import FEWEST_FOR_LEVEL
from stabilitybench.studies.file import StudyFile

#: A factor in spread that most claims of stability are about.
FACTOR = 2.0


def seed_lines(file: StudyFile) -> list[str]:
    """Return what the seeds of a study show in 80 of 100 studies, and a warning where a factor of 2 in spread is not.

    For normal scores and uncorrelated pairs, at the hardest step of Holm's method over the arms and tasks of the study;
    `stabilitybench plan` says more.

    Parameters
    ----------
    file : StudyFile
        As declared; of declared looks the last one counts.

    Returns
    -------
    list of str
        One or two lines; none where nothing is compared, or for more seeds than are planned.

    Examples
    --------
    >>> from stabilitybench.studies import Study
    >>> study = {"name": "demo", "encoders": ["pocket/bert-small"], "tasks": ["pocket/sentiment"], "baseline": "plain"}
    >>> study |= {"arms": {"plain": [], "reinit": ["reinit"]}}
    >>> for line in seed_lines(Study.from_dict({**study, "seeds": 10}).file):
    ...     print(line)  # doctest: +NORMALIZE_WHITESPACE
    10 seeds show in 80 of 100 studies: spread ratios up to 0.31 or from 3.33, levels 1.41 SDs apart,
    failures from 58 % against none
    warning: they cannot be relied on to show a factor of 2 in spread, which takes about 24; see
    `stabilitybench plan`
    """
    n, alpha, whose = len(grid(file.seeds)), ALPHA, ""
    if file.looks:
        n = file.looks.sizes[-1]
        alpha = look_levels(file.looks.sizes, bounds=file.looks.bounds)[-1]
        whose = f", the last of {len(file.looks.sizes)} declared looks,"
    tests = len(file.encoders) * len(file.tasks) * (len(file.arms) - 1)
    if not tests or n > MOST_RUNS:
        return []
    if n < FEWEST_FOR_LEVEL:
        chance = math.comb(2 * n, n)
        said = f"{counted(n, 'seed')} show nothing: every run of an arm beats all others by chance in 1 of {chance}"
    else:
        at_best = ", at best" if isinstance(file.seeds, dict) else ""  # runs that share a seed tell less
        said = f"{n} seeds{whose} show{at_best} in 80 of 100 studies: {_shown(n, tests, alpha)}"
    lines = [said]
    found = detectable_ratio(n, n, tests, correlation=0.0, alpha=alpha)
    if found is None or found.above is None or found.above > FACTOR:
        needed = seeds_for_spread(FACTOR, tests, correlation=0.0)
        lines.append(
            f"warning: they cannot be relied on to show a factor of {FACTOR:g} in spread, which takes about {needed}; "
            "see `stabilitybench plan`"
        )
    return lines


def _shown(n: int, tests: int, alpha: float) -> str:
    """Say which effects are shown: those nearest to none."""
    found = detectable_ratio(n, n, tests, correlation=0.0, alpha=alpha)
    spread = "no spread ratio"
    if n < FEWEST:
        spread = f"nothing of spread (needs {FEWEST})"
    elif found and found.below is not None and found.above is not None:
        spread = f"spread ratios up to {ratio(found.below)} or from {ratio(found.above)}"
    reach = detectable_difference(math.sqrt(2 / n), n - 1.0, tests, alpha)
    rate = detectable_rate(n, n, 0.0, tests, paired=True, alpha=alpha)
    above = None if rate is None else rate.above
    failures = "no failure rates" if above is None else f"failures from {percentage(round(above, 2))} against none"
    return f"{spread}, levels {reach:.2f} SDs apart, {failures}"
