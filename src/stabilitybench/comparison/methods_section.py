"""A methods paragraph that can be pasted into a paper, made from the facts of the study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from stabilitybench.comparison.model import Comparison
from stabilitybench.comparison.study_facts import StudyFacts
from stabilitybench.documents.formats import metric

STATISTICS_REFERENCES = (
    "E. B. Wilson (1927). Probable inference, the law of succession, and statistical inference. "
    "Journal of the American Statistical Association 22, 209-212.",
    "B. L. Welch (1947). The generalization of 'Student's' problem when several different population variances are "
    "involved. Biometrika 34, 28-35.",
    "R. D. Boschloo (1970). Raised conditional level of significance for the 2 x 2-table when testing the equality of "
    "two probabilities. Statistica Neerlandica 24, 1-9.",
    "M. B. Brown and A. B. Forsythe (1974). Robust tests for the equality of variances. "
    "Journal of the American Statistical Association 69, 364-367.",
    "J. Hartung and G. Knapp (2001). On tests of the overall treatment effect in meta-analysis with normally "
    "distributed responses. Statistics in Medicine 20, 1771-1782.",
    "D. G. Bonett and E. Seier (2003). Confidence intervals for mean absolute deviations. American Statistician 57, "
    "233-236.",
    "D. G. Bonett (2006). Robust confidence interval for a ratio of standard deviations. "
    "Applied Psychological Measurement 30, 432-439.",
    "M. W. Fagerland, S. Lydersen and P. Laake (2013). The McNemar test for binary matched-pairs data: mid-p and "
    "asymptotic are better than exact conditional. BMC Medical Research Methodology 13, 91.",
    "R. G. Newcombe (1998). Interval estimation for the difference between independent proportions. "
    "Statistics in Medicine 17, 873-890.",
    "S. Holm (1979). A simple sequentially rejective multiple test procedure. "
    "Scandinavian Journal of Statistics 6, 65-70.",
)

MODES = {
    "full": "All weights of the encoder and a new head were trained",
    "head": "A linear head was trained on features of the frozen encoder",
}
PHRASES: dict[str, Callable[[Any], str]] = {
    "learning_rate": lambda v: f"peak learning rate {_value(v)}",
    "batch_size": lambda v: f"batch size {v}",
    "epochs": lambda v: f"{_value(v)} epochs",
    "steps": lambda v: f"{v} steps",
    "warmup": lambda v: f"warm-up over the first {100 * float(v):g} % of the steps",
    "schedule": lambda v: f"{v} schedule",
    "max_length": lambda v: f"at most {v} tokens",
    "evaluations": lambda v: f"{v} evaluations during training",
}


def methods(comparison: Comparison, scores: pd.DataFrame, facts: StudyFacts) -> list[str]:
    """Return the paragraphs for a paper: what was trained, what varied, and how it was judged.

    Parameters
    ----------
    comparison : Comparison
        Of these scores.
    scores : DataFrame
        Checked rows.
    facts : StudyFacts
        Recipe, arms and seeds; without a recipe, its origin is told instead.
    """
    if not facts.recipe:
        return [facts.origin, _judged(comparison)]
    encoders, tasks = _unique(scores["encoder"]), _unique(scores["task"])
    arms = "; ".join(
        f"{name} ({', '.join(lines) if lines else 'the plain recipe'})" for name, lines in facts.arms.items()
    )
    runs = sorted({c.planned for c in comparison.cells})
    count = f"{runs[0]}" if len(runs) == 1 else f"{runs[0]} to {runs[-1]}"
    trained = (
        f"We fine-tuned {_join(encoders)} on {_join(tasks)}. {_recipe(facts.recipe)} "
        f"We compared {len(facts.arms)} {'arm' if len(facts.arms) == 1 else 'arms'}: {arms}. "
        f"Each arm was run {count} times per task; random seeds of {facts.varied} varied between runs, "
        f"{facts.fixed} stayed fixed."
    )
    sizes = dict.fromkeys(f"{c.n_train} on {c.task}" for c in comparison.cells if c.n_train)
    data = (
        f"{f'Training rows: {_join(list(sizes))}. ' if sizes else ''}"
        f"The headline score is that of the last checkpoint on the test split "
        f"({'; '.join(dict.fromkeys(f'{c.task}: {metric(c.metric)}' for c in comparison.cells))}); the test split "
        f"was not used for any choice. A run counts as failed when this score is not above the best score "
        f"of a constant prediction, when its predictions are constant, or when training diverged; "
        f"undefined metrics count as that no-skill score. "
    )
    return [trained, data + _judged(comparison)]


def _judged(comparison: Comparison) -> str:
    contrasts = [c.against for c in comparison.cells if c.against is not None]
    pairings = dict.fromkeys([a.pairing.reason for a in contrasts] or ["none here"])
    compared = _join(list(pairings)) if len(pairings) < 4 else "pairs of equal seeds where there were, else all runs"
    several = len({c.task for c in comparison.cells}) > 1
    combined = ""
    if several:
        combined = (
            " Deviation ratios of several tasks were combined by random effects (Paule-Mandel) with the Hartung-Knapp "
            "interval."
        )
    how = _join(sorted({a.spread.method for a in contrasts}) or ["none here"])
    return (
        f'Arms were compared with the arm "{comparison.baseline}" in three separate questions ({compared}): '
        f"how often runs fail, by an exact unconditional test (McNemar's comparison in pairs) and its odds ratio; how "
        f"far runs scatter, by the deviation ratio, the ratio of mean distances to the median, among the runs that did "
        f"not fail ({how}); and how good they are, by the difference of the means (Student's t over pairs, or Welch's "
        f"t). Each interval is the inverse of its test. p-values were adjusted by Holm's method within each of the "
        f"three families; the effects called detectable are those that the tests show with 80 % power at the first "
        f"step of the adjustment. Failure rates carry 95 % Wilson intervals. Standard deviations (ddof = 1) and their "
        f"ratios describe.{combined}"
    )


def _recipe(recipe: Mapping[str, Any]) -> str:
    """Say the settings as one sentence; a setting that is None does not apply."""
    mode = str(recipe.get("mode", "full"))
    said = MODES.get(mode, f"Training used the mode {mode}")
    if "optimizer" in recipe:
        said += f" with {recipe['optimizer']}"
    settings = [
        PHRASES[key](value) if key in PHRASES else f"{key.replace('_', ' ')} {_value(value)}"
        for key, value in recipe.items()
        if key not in ("mode", "optimizer") and value is not None
    ]
    return f"{said} ({', '.join(settings)})." if settings else f"{said}."


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _unique(values: pd.Series[Any]) -> list[str]:
    return [str(v) for v in dict.fromkeys(values)]


def _join(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
