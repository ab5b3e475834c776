"""The glossary of a report, for a reader who sees one for the first time."""

from __future__ import annotations

GLOSSARY = (
    (
        "failed run",
        "A run whose last checkpoint, on the test split, scores no better than the best constant prediction "
        "(no skill, or majority baseline), or predicts one constant, or whose training diverged. Failures and spread "
        "are separate questions: one failed run can dominate the SD of an arm that is otherwise very stable.",
    ),
    (
        "near no skill",
        "Runs whose score is not better than no skill by a one-sided test at 5 %. A milder flag than failed, "
        "shown and not tested.",
    ),
    (
        "SD ratio",
        "SD of an arm across seeds over the SD of the baseline. Below 1 the arm is more stable. Published "
        "tables often print the inverse.",
    ),
    (
        "withheld",
        "Where an arm or the baseline has failed runs, the SD mixes failure with spread and its interval "
        "cannot be trusted. Read the failure rates, and beside them the SD of the runs that did not fail. "
        "The latter is descriptive: it looks only at runs that turned out well, so no p-value belongs to "
        "it. It is set in relation only when both sides have at least 10 such runs.",
    ),
    (
        "Holm p",
        "The p-value adjusted for the number of tests printed of the same kind: one family for failures "
        "(Fisher), one for spread (Brown-Forsythe). A verdict claims a difference when this value is "
        "below 0.05. Tests that cannot be computed are outside the family.",
    ),
    (
        "detectable at 80 %",
        "What the test beside it can show: differences of this size or larger are found in 80 of 100 studies with "
        "these numbers of runs, at the first and strictest step of Holm's adjustment. For spread the scores are "
        "taken as normal, for failures the baseline's rate as the one seen.",
    ),
    (
        "seeds that would be needed",
        "The runs per arm at which an effect of exactly the size seen would be found in 80 of 100 studies with as "
        "many tests. The size seen is itself uncertain, so this is a guide for a next study and says nothing about "
        "this one.",
    ),
    (
        "permutation p",
        "A companion to Brown-Forsythe that permutes the scores around each arm's median. It is not "
        "adjusted and no verdict rests on it.",
    ),
    (
        "no difference detected",
        "The runs do not show a difference; they do not show that there is none. With two arms of 20 "
        "normally distributed scores, a single Brown-Forsythe test finds an SD ratio of 2.2 (or its "
        "inverse, 0.46) in 80 of 100 studies, and smaller differences less often.",
    ),
    ("points", "Scores times 100: an accuracy of 0.603 is 60.3 points, a correlation of 0.41 is 41 points."),
)
