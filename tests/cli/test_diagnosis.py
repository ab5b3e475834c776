"""Why a seed failed: the sentence must follow from the numbers, and only from them."""

import pytest

from stabilitybench.cli.views.diagnosis import diagnose
from support.run_records import predictions, record

ODDS = 0.693


def test_a_good_run_is_said_to_have_learned():
    assert diagnose(record()) == ["It learned: accuracy 80.0 on the test split, no skill 50.0."]


def test_a_run_that_luck_could_explain_is_marked():
    said = diagnose(record(test=0.51, near_no_skill=True))
    assert said[1] == "A one-sided 5 % test cannot tell this score from no skill, so it may be luck."


def test_a_constant_prediction_names_its_class_and_that_nothing_was_learned():
    run = record(status="failed", test=0.5, constant=True, curve=(0.5, 0.5, 0.5), losses=(0.7, 0.69, ODDS))
    first, second = diagnose(run, predictions((0.1, 0.2), (-1.0, 3.0), (0.0, 0.4)))
    assert first == (
        'Failed: constant predictions, every one of the 3 test texts is called "good" '
        "(accuracy 50.0 on the test split, no skill 50.0)."
    )
    assert second == (
        "Its training loss ended at 0.693; even odds on 2 classes cost ln 2 = 0.693: nothing was learned, not even "
        "of the training rows."
    )


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (0.66, "nothing was learned"),
        (0.65, "it had begun to learn the training rows"),
        (0.49, "it had begun to learn the training rows"),
        (0.48, "it learned the training rows and not the task (overfitting)"),
    ],
)
def test_the_training_loss_decides_between_nothing_learned_and_overfitting(loss, words):
    said = diagnose(record(status="failed", test=0.49, curve=(0.5, 0.52, 0.5), losses=(0.69, 0.68, loss)))
    assert said[0].startswith("Failed: no better than the best constant prediction (accuracy 49.0 on the test split")
    assert words in said[1]


def test_a_collapse_is_told_with_the_step_at_which_it_was_still_good():
    run = record(status="failed", test=0.5, constant=True, curve=(0.6, 0.75, 0.5), losses=(0.6, 0.5, 0.7))
    assert diagnose(run)[1] == (
        "It had learned and lost it again: validation accuracy 75.0 at step 20, 50.0 at the end (no skill 50.0)."
    )


def test_a_small_wobble_is_no_collapse():
    run = record(status="failed", test=0.5, curve=(0.5, 0.55, 0.5), losses=(0.69, 0.69, 0.69))
    assert not any("lost it again" in sentence for sentence in diagnose(run))
    assert not any("lost it again" in sentence for sentence in diagnose(record(curve=(0.7, 0.85, 0.8))))


def test_divergence_names_the_step_and_the_rate():
    run = record(status="diverged", test=0.5, curve=(0.6, 0.5), losses=(0.6, None), constant=True)
    assert diagnose(run) == [
        "Diverged: the training loss was no longer a number when the run was evaluated at step 20 of 30; "
        "it was stopped there.",
        "The learning rate had reached 0.0003; a smaller one or a longer warm-up usually helps.",
    ]


@pytest.mark.parametrize(("low", "told"), [(0.02, False), (0.005, True), (0.0, True)])
def test_vanishing_gradients_are_told_in_numbers(low, told):
    norms = {"embeddings": 0.0, "layer.0": low, "layer.1": 0.5, "pooler": 1.0, "head": 1.0}
    run = record(status="failed", test=0.5, curve=(0.5,) * 3, losses=(ODDS,) * 3, norms=norms)
    said = [s for s in diagnose(run) if s.startswith("Gradients vanish")]
    assert bool(said) == told
    if low and told:
        assert "layer.0 gets 5.0e-03 of what the head gets (5.0e-03 against 1.0e+00)" in said[0]


def test_frozen_layers_are_not_called_vanished():
    norms = {"layer.1": 0.5, "pooler": 1.0, "head": 1.0}
    run = record(status="failed", test=0.5, curve=(0.5,) * 3, losses=(ODDS,) * 3, norms=norms)
    assert not any("vanish" in s for s in diagnose(run))
    head_only = record(status="failed", test=0.5, curve=(0.5,) * 3, losses=(ODDS,) * 3, norms={"head": 1.0})
    assert not any("vanish" in s for s in diagnose(head_only))


def test_regression_has_no_odds_to_compare_with():
    run = record(status="failed", test=0.0, curve=(0.0,) * 3, losses=(4.0, 3.0, 2.5), constant=True)
    run["labels"]["classes"] = []
    run["no_skill"] = {"validation": 0.0, "test": 0.0}
    first, second = diagnose(run, predictions((0.1, 0.2)))
    assert "every test text gets the same one" in first
    assert second == "Its training loss (mean squared error) ended at 2.5."


def test_a_run_without_a_result_says_why():
    run = {"status": "timeout", "reason": "gave up after 5.0 seconds"}
    assert diagnose(run) == ["No result: gave up after 5.0 seconds."]
