"""A study from its file to its results: it does what is missing, and only that."""

import itertools
import json
import shutil

import pytest

from stabilitybench.errors import UserError
from stabilitybench.finetuning import finetune
from stabilitybench.seeds import TUNING_OFFSET


class Counter:
    """Remembers what an execution did."""

    def __init__(self):
        self.started, self.done, self.messages = [], [], []

    def start(self, total, done, workers):
        self.started.append((total, done))

    def finished(self, run_id, status):
        self.done.append(run_id)

    def message(self, text):
        self.messages.append(text)

    def end(self):
        pass


def run(study, **options):
    counter = Counter()
    results = study.run(jobs=1, device="cpu", progress=counter, **options)
    return results, counter


def test_a_study_does_every_run_once_and_a_second_start_does_none(write_study, open_study):
    path = write_study()
    results, first = run(open_study(path))
    assert len(first.done) == len(set(first.done)) == 6
    assert results.complete
    again, second = run(open_study(path))
    assert second.done == []
    assert second.started == [(6, 6)]
    assert again.to_frame().equals(results.to_frame())


def test_the_frame_has_one_tidy_row_per_run(write_study, open_study):
    results, _ = run(open_study(write_study()))
    frame = results.to_frame()
    assert list(frame.arm) == ["bert-adam"] * 3 + ["debiased"] * 3
    assert list(frame.seed) == [0, 1, 2] * 2
    assert list(frame.seed_init) == list(frame.seed_order) == list(frame.seed_dropout) == [0, 1, 2] * 2
    assert set(frame.seed_subset) == {0}
    assert frame.score.between(-1, 1).all()
    curves = results.curves()
    assert len(curves) == 6 * 2
    assert set(curves.progress.round(3)) == {round(2 / 3, 3), 1.0}


def test_missing_runs_are_rows_too(write_study, open_study):
    study = open_study(write_study())
    study.store.prepare()
    frame = study.results().to_frame()
    assert len(frame) == 6
    assert set(frame.status) == {"missing"}
    assert frame.score.isna().all()


def test_a_stored_run_equals_the_same_run_alone(write_study, open_study):
    study = open_study(write_study())
    results, _ = run(study)
    planned = study.plan()[4]
    alone = finetune(
        planned.spec.encoder, planned.spec.task, planned.spec.recipe, planned.spec.stabilizers, planned.spec.seeds
    )
    record = results.records[planned.spec.id]
    assert record["weights"] == alone.weights
    assert record["scores"]["last"] == alone.scores["last"]


def test_arms_differ_only_by_what_they_say(write_study, open_study):
    study = open_study(write_study(extra="longer = { recipe = { steps = 5 } }\n"))
    recipes = {run.arm: run.spec.identity()["recipe"] for run in study.plan()}
    assert recipes["longer"] == {**recipes["debiased"], "steps": 5}
    assert recipes["bert-adam"] == {**recipes["debiased"], "bias_correction": False, "decay_order": "after"}


def test_crossed_seeds_vary_one_stream_at_a_time(write_study, open_study):
    study = open_study(write_study(seeds="{ init = 2, order = 2 }"))
    points = [
        (r.spec.seeds.init, r.spec.seeds.order, r.spec.seeds.dropout) for r in study.plan() if r.arm == "debiased"
    ]
    assert points == [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0)]


def test_the_same_name_for_another_study_is_refused_and_the_difference_shown(write_study, open_study):
    path = write_study(seeds="1")
    run(open_study(path))
    with pytest.raises(UserError, match=r"recipe\.steps: 3 -> 4.*another name"):
        run(open_study(path, "recipe.steps=4"))
    results, counter = run(open_study(path, "recipe.steps=4", "name=other"))
    assert results.complete
    assert len(counter.done) == 2


def test_more_seeds_are_welcome_and_recorded(write_study, open_study):
    path = write_study(seeds="1")
    run(open_study(path))
    results, counter = run(open_study(path, "seeds=3"))
    assert len(counter.done) == 4
    assert any("raised from 1 to 3" in text for text in results.warnings())


def test_studies_share_the_runs_they_have_in_common(write_study, open_study):
    path = write_study(seeds="2")
    run(open_study(path))
    _, counter = run(open_study(path, "name=again"))
    assert counter.done == []


def test_an_edited_task_gives_new_runs_and_not_stale_ones(write_study, open_study, tiny_task, tmp_path):
    task = shutil.copytree(tiny_task, tmp_path / "edited")
    path = write_study(task=task)
    study = open_study(path)
    half = study.plan()[:3]
    from stabilitybench.storage.pool import Silent
    from stabilitybench.studies.execution import Options, execute

    study.store.prepare()
    execute([r.spec for r in half], study.store, Options(jobs=1, device="cpu"), Silent())
    train = next(task.glob("train.*"))
    lines = train.read_text().splitlines()
    train.write_text(
        "\n".join([*lines[:-1], lines[-1].replace(lines[-1].split("\t")[0], "quite another text", 1)]) + "\n"
    )
    results, counter = run(open_study(path))
    assert len(counter.done) == 6
    assert not {r.spec.id for r in half} & {r.spec.id for r in results.runs}
    for done in half:
        assert study.store.read(done.spec.id) is not None  # the old ones are kept


def test_a_truncated_record_is_set_aside_redone_and_said(write_study, open_study):
    path = write_study(seeds="2")
    first, _ = run(open_study(path))
    study = open_study(path)
    victim = first.runs[0].spec.id
    record = study.store.path(victim) / "run.json"
    record.write_text(record.read_text()[:200])
    results, counter = run(study)
    assert counter.done == [victim]
    assert any(victim in text and "damaged" in text for text in results.warnings())
    assert results.to_frame().drop(columns="seconds").equals(first.to_frame().drop(columns="seconds"))


def test_a_crashed_run_is_listed_kept_and_redone_on_request(write_study, open_study, tmp_path):
    method = tmp_path / "breaks.py"
    method.write_text(
        "from dataclasses import dataclass\n"
        "import pathlib\n"
        "from stabilitybench.stabilizers import Stabilizer, register\n"
        "@register('breaks-until-mended')\n"
        "@dataclass(frozen=True)\n"
        "class Breaks(Stabilizer):\n"
        "    '''Fail while a file is absent.'''\n"
        "    def initialize(self, params, ctx):\n"
        f"        if not pathlib.Path({str(tmp_path / 'mended')!r}).exists() and ctx.seeds.init == 1:\n"
        "            raise RuntimeError('boom')\n"
        "        return params\n"
    )
    from stabilitybench.stabilizers import load_file

    load_file(method)
    path = write_study(seeds="2", extra="breaks = ['breaks-until-mended']\n")
    results, counter = run(open_study(path))
    frame = results.to_frame()
    assert len(counter.done) == 6
    assert list(frame[frame.arm == "breaks"].status)[1] == "crashed"
    assert "boom" in results.records[frame[frame.status == "crashed"].run_id.item()]["reason"]
    (tmp_path / "mended").touch()
    assert run(open_study(path))[1].done == []
    retried, counter = run(open_study(path), retry=True)
    assert len(counter.done) == 1
    assert retried.complete


def test_shards_part_the_runs_and_together_do_all(write_study, open_study):
    path = write_study()
    done = [run(open_study(path), shard=f"{k}/3")[1].done for k in (1, 2, 3)]
    assert sorted(itertools.chain.from_iterable(done)) == sorted(r.spec.id for r in open_study(path).plan())
    assert open_study(path).results().complete


@pytest.mark.parametrize("bad", ["0/3", "4/3", "x", "1", "1/0", "-1/3"])
def test_a_bad_shard_is_refused(write_study, open_study, bad):
    with pytest.raises(UserError, match=r"must look like 3/16"):
        open_study(write_study()).run(shard=bad)


def test_subsampling_follows_the_subset_stream_and_keeps_the_classes(write_study, open_study, tiny_task):
    path = write_study(seeds="{ subset = 2 }")
    text = path.read_text().replace(f'["file:{tiny_task}"]', f'[{{ name = "file:{tiny_task}", n = 10 }}]')
    path.write_text(text)
    results, _ = run(open_study(path))
    frame = results.to_frame()
    assert set(frame.n_train) == {10}
    assert len(set(frame[frame.arm == "debiased"].run_id)) == 2
    assert frame.task.iloc[0].endswith("(n=10)")


TUNE = """
[tune]
seeds = 2
grid = { learning_rate = [1e-7, 1e-2] }
"""


def test_tuning_chooses_on_validation_scores_of_its_own_seeds(write_study, open_study):
    study = open_study(write_study(seeds="1", extra=TUNE))
    results, counter = run(study)
    tuning = study._tuning_runs()
    assert all(
        spec.seeds.init >= TUNING_OFFSET and spec.seeds.order >= TUNING_OFFSET for spec in (run.spec for run in tuning)
    )
    assert len(counter.done) == 2 * 2 * 2 + 2
    for cell, point in results.tuned.items():
        means = {}
        for other, candidate, spec in ((run.cell, run.point, run.spec) for run in tuning):
            if other == cell:
                record = study.store.read(spec.id)
                means.setdefault(candidate["learning_rate"], []).append(
                    record["scores"]["last"]["validation"]["accuracy"]
                )
        best = max(means, key=lambda rate: sum(means[rate]) / len(means[rate]))
        assert point == {"learning_rate": best}
        reported = next(r for r in results.runs if r.arm == cell[2])
        assert reported.spec.recipe.learning_rate == best
        assert reported.spec.seeds.init < TUNING_OFFSET


def test_tuning_by_the_baseline_gives_its_choice_to_all_arms(write_study, open_study):
    results, counter = run(open_study(write_study(seeds="1", extra=TUNE + 'scope = "baseline"\n')))
    assert len(counter.done) == 2 * 2 + 2
    assert len({point["learning_rate"] for point in results.tuned.values()}) == 1
    assert len(results.tuned) == 2


def test_weights_are_kept_on_request_and_load_as_a_hugging_face_model(write_study, open_study):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    study = open_study(write_study(seeds="1"))
    results, _ = run(study, save="last")
    spec = results.runs[0].spec
    folder = study.store.path(spec.id) / "model"
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        row = tokenizer(
            spec.task.test.first[0], spec.task.test.second and spec.task.test.second[0], return_tensors="pt"
        )
        logits = model(**row).logits[0]
    stored = study.store.predictions(spec.id)
    stored = stored[(stored.split == "test") & (stored.checkpoint == "last")].iloc[0]
    assert logits.tolist() == pytest.approx([stored.logit_0, stored.logit_1], abs=1e-5)


def test_study_json_lists_spec_and_runs(write_study, open_study):
    study = open_study(write_study(seeds="1"))
    results, _ = run(study)
    content = json.loads((study.folder / "study.json").read_text())
    assert content["runs"] == [r.spec.id for r in results.runs]
    assert content["spec"]["seeds"] == 1


def test_equal_weights_under_different_seeds_are_reported(write_study, open_study):
    results, _ = run(open_study(write_study(seeds="2")))
    assert results.audit() == []
    ids = [r.spec.id for r in results.runs if r.arm == "debiased"]
    results.records[ids[1]]["weights"] = results.records[ids[0]]["weights"]
    assert "their seeds changed nothing" in results.audit()[0]


def test_weights_are_kept_of_reported_runs_alone_and_missing_ones_are_said(write_study, open_study):
    study = open_study(write_study(seeds="1", extra=TUNE))
    results, counter = run(study, save="last")
    kept = {run_id for run_id in study.store.folder.joinpath("runs").iterdir() if (run_id / "model").is_dir()}
    assert {path.name for path in kept} == {r.spec.id for r in results.runs}
    assert not [line for line in counter.messages if "without weights" in line]
    other = open_study(write_study(seeds="2", extra=TUNE), "name=other")
    run(other)
    _, counter = run(other, save="last")
    assert [line for line in counter.messages if "without weights" in line] == [
        "2 runs are in the store without weights and not done again; to keep theirs, use another store"
    ]


def test_a_run_that_came_to_its_end_is_kept_however_late(write_study, open_study):
    results, _ = run(open_study(write_study(seeds="1"), "recipe.evaluations=1"), timeout=1e-9)
    assert results.complete


def test_a_timeout_gives_a_run_up(write_study, open_study):
    results, _ = run(open_study(write_study(seeds="1")), timeout=1e-9)
    assert set(results.to_frame().status) == {"timeout"}
    assert not results.complete


def test_a_dry_check_raises_what_a_run_would_and_writes_nothing(write_study, open_study, tmp_path):
    study = open_study(write_study())
    study.check()
    for bad in ({"shard": "9/3"}, {"jobs": 0}, {"device": "tpu"}, {"timeout": -1.0}, {"save": "all"}):
        with pytest.raises(UserError):
            study.check(**bad)
    with pytest.raises(UserError, match=r'^save = "best": a head on frozen features'):
        open_study(write_study(), "recipe.mode=head", "recipe.features=cls").check(save="best")
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / "results").exists()


def test_the_name_is_taken_before_the_first_run(write_study, open_study):
    path = write_study(seeds="1")

    class Interrupt(Counter):
        def finished(self, run_id, status):
            raise KeyboardInterrupt

    study = open_study(path)
    with pytest.raises(KeyboardInterrupt):
        study.run(jobs=1, device="cpu", progress=Interrupt())
    with pytest.raises(UserError, match="a different study named"):
        open_study(path, "recipe.steps=4").check()
    assert any("raised from 1 to 2" in note for note in open_study(path, "seeds=2").claim_name())


def test_emptied_predictions_and_missing_keys_count_as_damage(write_study, open_study):
    path = write_study(seeds="2")
    results, _ = run(open_study(path))
    study = open_study(path)
    first, second = (r.spec.id for r in results.runs[:2])
    (study.store.path(first) / "predictions.parquet").write_bytes(b"")
    record = json.loads((study.store.path(second) / "run.json").read_text())
    del record["scores"]
    (study.store.path(second) / "run.json").write_text(json.dumps(record))
    _, counter = run(study)
    assert sorted(counter.done) == sorted((first, second))


METHOD = """
from dataclasses import dataclass
from stabilitybench.stabilizers import Stabilizer, register

@register("edited-while-running")
@dataclass(frozen=True)
class Edited(Stabilizer):
    '''A method whose file changes after it was loaded.'''
"""


def test_a_method_edited_after_loading_keeps_the_identity_of_what_was_loaded(write_study, open_study, tmp_path):
    from stabilitybench.stabilizers import load_file

    method = tmp_path / "edited.py"
    method.write_text(METHOD)
    load_file(method)
    path = write_study(seeds="1", extra='edited = ["edited-while-running"]\n')
    study = open_study(path)
    before = study.plan()[-1].spec.id
    method.write_text(METHOD + "# another version\n")
    results, _ = run(study)
    assert results.runs[-1].spec.id == before
    assert study.store.read(before)["id"] == before
    load_file(method)
    assert open_study(path).plan()[-1].spec.id != before


# --- versions of the code


def test_a_method_whose_arithmetic_changes_gives_new_runs_once_its_version_is_raised(
    write_study, open_study, monkeypatch
):
    from stabilitybench.stabilizers.mixout import Mixout

    path = write_study(seeds="2", extra='mixout = ["mixout"]\n')
    first, _ = run(open_study(path))
    monkeypatch.setattr(Mixout, "_mix", lambda self, name, weight, ctx: weight * 0.5)
    _, unchanged = run(open_study(path))
    assert unchanged.done == [], "arithmetic alone does not show"
    monkeypatch.setattr(Mixout, "version", 2)
    second, raised = run(open_study(path))
    new = [r.spec.id for r in second.runs if r.arm == "mixout"]
    assert sorted(raised.done) == sorted(new)
    assert [r.spec.id for r in second.runs if r.arm != "mixout"] == [
        r.spec.id for r in first.runs if r.arm != "mixout"
    ], "other methods keep their runs"
    assert second.runs[-1].spec.identity()["stabilizers"][-1] == {"name": "mixout", "version": 2}
    old = {r.spec.id: first.records[r.spec.id]["weights"] for r in first.runs if r.arm == "mixout"}
    assert not {second.records[i]["weights"] for i in new} & set(old.values())


def test_another_format_of_the_training_loop_gives_new_runs(write_study, open_study, monkeypatch):
    from stabilitybench.studies import spec

    study = open_study(write_study())
    before = {r.spec.id for r in study.plan()}
    monkeypatch.setattr(spec, "FORMAT", spec.FORMAT + 1)
    assert not before & {r.spec.id for r in study.plan()}


def test_runs_of_mixed_versions_are_said_and_others_are_not(write_study, open_study, monkeypatch):
    from stabilitybench.studies import store

    made = store.versions()
    path = write_study(seeds="2")
    results, _ = run(open_study(path))
    assert results.mixed_versions() == []
    monkeypatch.setattr(store, "versions", lambda: {**made, "stabilitybench": "9.9", "numpy": "0.1"})
    results, _ = run(open_study(path, "seeds=3"))
    told = (
        "Runs come from different versions of the code, and may differ by that alone: "
        f"stabilitybench {made['stabilitybench']} (4 runs), 9.9 (2 runs)"
    )
    assert results.mixed_versions() == [told]
    assert told in results.warnings()
    assert set(results.to_frame()["versions"].str.partition(",")[0]) == {
        f"stabilitybench {made['stabilitybench']}", "stabilitybench 9.9",
    }  # fmt: skip
