"""How far the runs of an arm differ beyond their scores: in predictions, and in what they make of the same texts.

Pure functions: arrays in, numbers and tables out.
"""

from stabilitybench.instability.disagreement import (
    churn,
    consistency,
    correct_consistency,
    disagreement_matrix,
    fleiss_kappa,
    jensen_shannon,
    jensen_shannon_matrix,
    pairwise_disagreement,
)
from stabilitybench.instability.measures import bootstrap_measures, instability_measures, measure_agreement
from stabilitybench.instability.representation import (
    cka_distance,
    procrustes_distance,
    representation_distances,
    svcca_distance,
)

__all__ = [
    "bootstrap_measures",
    "churn",
    "cka_distance",
    "consistency",
    "correct_consistency",
    "disagreement_matrix",
    "fleiss_kappa",
    "instability_measures",
    "jensen_shannon",
    "jensen_shannon_matrix",
    "measure_agreement",
    "pairwise_disagreement",
    "procrustes_distance",
    "representation_distances",
    "svcca_distance",
]
