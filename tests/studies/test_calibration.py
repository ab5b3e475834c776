"""The embedded tasks keep their promises on fresh seeds: learnable, not saturated, and showing the phenomenon."""

import pytest

from stabilitybench.comparison.analysis import compare
from stabilitybench.statistics import fisher
from stabilitybench.studies import Study
from stabilitybench.tasks import load_task
from stabilitybench.tasks.metrics import METRICS

SEEDS = 20
#: The score that is promised for each task: accuracy, or Spearman for similarity.
PROMISED = {
    "pocket/acceptability": "accuracy",
    "pocket/sentiment": "accuracy",
    "pocket/paraphrase": "accuracy",
    "pocket/entailment": "accuracy",
    "pocket/similarity": "spearman",
}


def study(tmp_path, tasks, arms):
    raw = {
        "name": "calibration",
        "encoders": ["pocket/bert-small"],
        "tasks": tasks,
        "seeds": SEEDS,
        "baseline": next(iter(arms)),
        "arms": arms,
    }
    return Study.from_dict(raw, store=tmp_path / "store", results=tmp_path / "results")


@pytest.mark.slow
@pytest.mark.parametrize("name", PROMISED)
def test_debiased_adam_learns_each_task_without_saturating_it(name, tmp_path):
    results = study(tmp_path, [name], {"debiased": []}).run(jobs=1, device="cpu")
    metric = PROMISED[name]
    scores = [record["scores"]["last"]["test"][metric] for record in results.records.values()]
    assert len(scores) == SEEDS
    no_skill = METRICS[metric].no_skill(load_task(name).test.labels)
    assert no_skill + 0.10 <= sum(scores) / SEEDS < 0.97


@pytest.mark.slow
def test_biased_adam_fails_on_acceptability_in_most_seeds_and_debiased_in_few(tmp_path):
    arms = {"bert-adam": ["bert-adam"], "debiased": []}
    frame = study(tmp_path, ["pocket/acceptability"], arms).run(jobs=1, device="cpu").to_frame()
    biased, debiased = (int(frame[frame.arm == arm].failed.sum()) for arm in arms)
    assert biased > SEEDS / 2
    assert debiased <= SEEDS / 5
    assert fisher(biased, SEEDS, debiased, SEEDS).p < 0.01
    cell = next(c for c in compare(frame, "bert-adam").cells if c.arm == "debiased")
    assert cell.against.fisher.p < 0.01
