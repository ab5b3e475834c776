"""The glossary of a report, for a reader who sees one for the first time."""

from __future__ import annotations

GLOSSARY = (
    (
        "failed run",
        "A run whose last checkpoint, on the test split, scores no better than the best constant prediction "
        "(no skill, or majority baseline), or predicts one constant, or whose training diverged. Failures and spread "
        "are separate questions: one failed run can dominate the SD of an arm whose other runs lie close together.",
    ),
    (
        "collapsed",
        "The worse grade of failure: constant predictions, or a diverged training. It is counted beside the failed "
        "runs, with a p-value of its own that is not adjusted, and named where arms differ in it.",
    ),
    (
        "near no skill",
        "Runs whose score is not better than no skill by a one-sided test at 5 %. A milder flag than failed, "
        "shown and not tested.",
    ),
    (
        "deviation ratio",
        "Mean distance of an arm's runs to their median, over that of the baseline, among the runs that did not fail. "
        "Below 1 the runs lie closer together. It is what the test of spread tests and what its interval is of.",
    ),
    (
        "SD ratio",
        "SD of an arm across seeds over the SD of the baseline; a description. It follows the runs far out, the "
        "deviation ratio the bulk. Published tables often print the inverse.",
    ),
    (
        "rarer and worse outliers",
        "Said of an arm whose runs lie closer together by the deviation ratio while its worst run lies farther below "
        "its median than that of the baseline; 'larger' where instead its SD is the larger one.",
    ),
    (
        "pairs of equal seeds",
        "Runs of two arms with the same seeds (and as many training rows) are compared in pairs, by methods that hold "
        "whatever their correlation is, where at least 80 % of the runs of both arms have a partner; else all runs are "
        "compared as independent. A run that failed drops its pair from the question of spread.",
    ),
    (
        "withheld",
        "Where an arm or the baseline has failed runs, the SD mixes failure with spread, and the interval of the SD "
        "ratio cannot be trusted.",
    ),
    (
        "Holm p",
        "The p-value adjusted for the number of tests of the same question in this report: one family each for "
        "failures, spread and level. A difference is claimed when this value is below 0.05. The interval beside it "
        "belongs to p before the adjustment. Tests that cannot be computed, or tell nothing, are outside the family.",
    ),
    (
        "detectable at 80 %",
        "What the test beside it can show: differences of this size or larger are found in 80 of 100 studies with "
        "these numbers of runs, at the first and strictest step of Holm's adjustment. For spread the scores are "
        "taken as normal, for failures the baseline's rate as the one seen, for the level the standard error as seen.",
    ),
    (
        "Brown-Forsythe, permutation and Fisher p",
        "Tests that are asked for by name, beside those on which verdicts rest; not adjusted. They take all runs as "
        "independent, failed ones included.",
    ),
    (
        "no difference shown",
        "The runs do not show a difference; they do not show that there is none. What could have been seen stands "
        "beside it.",
    ),
    ("points", "Scores times 100: an accuracy of 0.603 is 60.3 points, a correlation of 0.41 is 41 points."),
)
