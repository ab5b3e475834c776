"""Inference across seeds on failure, spread and level: pure functions, arrays in, frozen results out."""

from stabilitybench.statistics.across import cluster_bootstrap, ranks, stratified_bootstrap
from stabilitybench.statistics.bands import expected_best_bands
from stabilitybench.statistics.components import variance_components
from stabilitybench.statistics.contrasts import welch_anova, welch_contrast
from stabilitybench.statistics.correlation import rank_correlation
from stabilitybench.statistics.crossed import factor_effect, factor_ratio, mean_squares
from stabilitybench.statistics.crossed_contrast import (
    CrossedDifference,
    crossed_deviation_ratio,
    crossed_difference,
)
from stabilitybench.statistics.deviation import DeviationRatio, deviation_ratio, paired_deviation_ratio
from stabilitybench.statistics.dropping import (
    dropping_cost,
    dropping_plans,
    early_dropping,
    failure_auc,
    plain_best,
)
from stabilitybench.statistics.ensembling import SeedEnsembles, seed_ensembles
from stabilitybench.statistics.failure import Rate, fisher, risk_difference, wilson
from stabilitybench.statistics.failure_odds import FailureContrast, failure_contrast, paired_failure_contrast
from stabilitybench.statistics.few_runs import chance_of_best
from stabilitybench.statistics.level import (
    Dominance,
    Equivalence,
    equivalence,
    probability_of_improvement,
    stochastic_dominance,
)
from stabilitybench.statistics.location import expected_best, iqm, levels
from stabilitybench.statistics.looks import DeclaredLook, look_levels, looks_adjusted, undeclared_error
from stabilitybench.statistics.multiplicity import adjust, benjamini_hochberg, holm
from stabilitybench.statistics.one_sample import mean_excess, sign_test
from stabilitybench.statistics.paired import (
    PairedSpread,
    paired_permutation,
    paired_sd_ratio,
    paired_spread,
    pitman_morgan,
)
from stabilitybench.statistics.random_effects import MetaAnalysis, meta_analysis
from stabilitybench.statistics.results import Estimate, TestResult
from stabilitybench.statistics.robust import distance_ratio, iqr_ratio, mad_ratio
from stabilitybench.statistics.scored_rows import RowShare, row_pseudo_values, row_share
from stabilitybench.statistics.sd_ratio_intervals import SdRatio, sd, sd_ratio, sd_ratios
from stabilitybench.statistics.spread import (
    bonett,
    brown_forsythe,
    median_centred_permutation,
    median_centred_permutations,
)
from stabilitybench.statistics.stratified import (
    stratified_fisher,
    stratified_risk_difference,
    stratified_spread_permutation,
)
from stabilitybench.statistics.two_part_model import Mixture, TwoPart, mixture, two_part

__all__ = [
    "CrossedDifference",
    "DeclaredLook",
    "DeviationRatio",
    "Dominance",
    "Equivalence",
    "Estimate",
    "FailureContrast",
    "MetaAnalysis",
    "Mixture",
    "PairedSpread",
    "Rate",
    "RowShare",
    "SdRatio",
    "SeedEnsembles",
    "TestResult",
    "TwoPart",
    "adjust",
    "benjamini_hochberg",
    "bonett",
    "brown_forsythe",
    "chance_of_best",
    "cluster_bootstrap",
    "crossed_deviation_ratio",
    "crossed_difference",
    "deviation_ratio",
    "distance_ratio",
    "dropping_cost",
    "dropping_plans",
    "early_dropping",
    "equivalence",
    "expected_best",
    "expected_best_bands",
    "factor_effect",
    "factor_ratio",
    "failure_auc",
    "failure_contrast",
    "fisher",
    "holm",
    "iqm",
    "iqr_ratio",
    "levels",
    "look_levels",
    "looks_adjusted",
    "mad_ratio",
    "mean_excess",
    "mean_squares",
    "median_centred_permutation",
    "median_centred_permutations",
    "meta_analysis",
    "mixture",
    "paired_deviation_ratio",
    "paired_failure_contrast",
    "paired_permutation",
    "paired_sd_ratio",
    "paired_spread",
    "pitman_morgan",
    "plain_best",
    "probability_of_improvement",
    "rank_correlation",
    "ranks",
    "risk_difference",
    "row_pseudo_values",
    "row_share",
    "sd",
    "sd_ratio",
    "sd_ratios",
    "seed_ensembles",
    "sign_test",
    "stochastic_dominance",
    "stratified_bootstrap",
    "stratified_fisher",
    "stratified_risk_difference",
    "stratified_spread_permutation",
    "two_part",
    "undeclared_error",
    "variance_components",
    "welch_anova",
    "welch_contrast",
    "wilson",
]
