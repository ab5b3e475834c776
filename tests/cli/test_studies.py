"""The command line as a user meets it: one process, real files, real (tiny) trainings."""

import json
import sys
import tomllib

import pytest

from stabilitybench.errors import EnvironmentFailure
from stabilitybench.finetuning import side_by_side


@pytest.fixture
def no_training(monkeypatch):
    """Fail the test if anything is trained."""

    def refuse(*args, **kwargs):
        raise AssertionError("a training was started")

    monkeypatch.setattr(side_by_side, "finetune_side_by_side", refuse)


SMALL = ("--set", "seeds=2", "--set", "recipe.steps=3", "--set", "recipe.evaluations=2")


def test_from_a_new_file_to_a_report_and_nothing_is_done_twice(cli, tmp_path, tiny_bert, tiny_task):
    code, out, _ = cli("new", "study", "mine.toml")
    assert code == 0
    assert "stabilitybench run mine.toml" in out
    assert "10 seeds show in 80 of 100 studies: spread ratios up to " in out
    given = (*SMALL, "--set", f'encoders=["{tiny_bert}"]', "--set", f'tasks=["file:{tiny_task}"]')

    code, out, err = cli("run", "mine.toml", "--jobs", "1", *given)
    assert (code, err) == (0, "")
    assert "Study  mine: 4 arms x 1 task x 2 seeds = 8 runs" in out
    assert "running 8/8" in out
    assert "report: results/mine/report.html" in out
    assert (tmp_path / "results/mine/report.html").stat().st_size > 10_000

    code, out, _ = cli("status", "mine.toml", *given)
    assert code == 0
    assert "complete: all 8 runs have finished" in out

    (tmp_path / "results/mine/report.html").unlink()
    code, out, _ = cli("report", "mine.toml", *given)
    assert code == 0
    assert (tmp_path / "results/mine/report.html").exists()

    record = json.loads(next((tmp_path / "store/runs").glob("*/run.json")).read_text())
    code, out, _ = cli("show", record["id"][:8])
    assert code == 0
    assert f"run {record['id']}" in out
    assert "gradient" in out

    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "store/runs").glob("*/run.json")}
    code, out, _ = cli("run", "mine.toml", "--jobs", "1", *given)
    assert code == 0
    assert "all 8 runs are in the store already" in out
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "store/runs").glob("*/run.json")}


def test_the_plain_new_file_is_a_valid_study_that_shows_every_recipe_key(cli, tmp_path):
    from stabilitybench.recipe import Recipe
    from stabilitybench.studies.file import StudyFile, read

    cli("new", "study", "my first study.toml")
    text = (tmp_path / "my first study.toml").read_text()
    assert read(tmp_path / "my first study.toml").name == "my-first-study"
    for key in (*Recipe.model_fields, *StudyFile.model_fields):
        assert f"\n{key} =" in text or f"\n# {key} =" in text or f"\n[{key}]" in text or f"\n# [{key}]" in text, key
    # Each value shown for a recipe key is accepted where it stands.
    body = text.split("[recipe]")[1].split("# Arms")[0]
    shown = tomllib.loads("\n".join(line.removeprefix("# ") for line in body.splitlines()))
    assert set(shown) == set(Recipe.model_fields)
    assert Recipe(**shown)


def test_an_existing_file_is_not_overwritten_unless_asked_to(cli, tmp_path):
    (tmp_path / "study.toml").write_text("precious")
    code, _, err = cli("new", "study")
    assert code == 2
    assert err == "error: study.toml: exists already; give another name, or --force\n"
    assert (tmp_path / "study.toml").read_text() == "precious"
    assert cli("new", "study", "--force")[0] == 0
    assert "baseline" in (tmp_path / "study.toml").read_text()


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(cli, study_file, tmp_path, no_training):
    before = set(tmp_path.rglob("*"))
    code, out, _ = cli("run", study_file, "--dry-run")
    assert code == 0
    assert "2 arms x 1 task x 2 seeds = 4 runs" in out
    assert "2 seeds show nothing: every run of an arm beats all others by chance in 1 of 6" in out
    assert "4 runs to do; nothing was trained or written" in out
    assert set(tmp_path.rglob("*")) == before


def test_status_and_report_of_a_study_that_has_not_begun(cli, study_file, no_training):
    code, out, _ = cli("status", study_file)
    assert code == 0
    assert "4 runs missing: `stabilitybench run` does exactly these" in out
    code, _, err = cli("report", study_file)
    assert code == 2
    assert err.strip().endswith("no run of this study is in the store; start it with `stabilitybench run`")


def test_a_method_of_ones_own_is_one_file(cli, study_file, tmp_path):
    (tmp_path / "zero_head.py").write_text(
        "from dataclasses import dataclass\n"
        "import stabilitybench as sb\n"
        "@sb.register('silent-head')\n"
        "@dataclass(frozen=True)\n"
        "class ZeroHead(sb.Stabilizer):\n"
        "    '''Start the head at zero.'''\n"
        "    def initialize(self, params, ctx):\n"
        "        head = ctx.layout.names_in(params, ['head'])\n"
        "        return {**params, **{name: params[name] * 0 for name in head}}\n"
    )
    arms = ("--set", 'arms={plain = [], zero = ["silent-head"]}')
    code, _, err = cli("run", study_file, "--jobs", "1", *arms)
    assert code == 2
    assert 'stabilizer "silent-head" is unknown' in err
    code, out, _ = cli("run", study_file, "--jobs", "1", *arms, "--with", "zero_head.py")
    assert code == 0
    assert "zero" in out
    code, out, _ = cli("list", "stabilizers", "--with", "zero_head.py")
    assert "Start the head at zero." in out


BAD_STUDIES = [
    # what the user changed: (text of the file, other text), and the sentence that answers it
    ("name", '"tiny"', '"../x"', 'name = "../x": must start with a letter or digit and hold only'),
    ("unicode name", '"tiny"', '"ünï"', 'name = "ünï": must start with a letter or digit'),
    ("long name", '"tiny"', f'"{"a" * 101}"', "must have at most 100 characters"),
    ("unknown stabilizer", "{{ reinit", "{{ renit", 'arms.reinit[0]: stabilizer "renit" is unknown: must be one of '),
    ("hint", "{{ reinit", "{{ renit", '; did you mean "reinit"?'),
    ("unknown parameter", "layers = 1", "layer = 1", "arms.reinit[0]: reinit.layer is unknown: must be one of layers"),
    ("parameter type", "layers = 1", 'layers = "1"', 'arms.reinit[0]: reinit.layers = "1": must be a whole number'),
    ("boolean", "layers = 1", "layers = true", "reinit.layers = true: must be a whole number"),
    ("negative", "layers = 1", "layers = -1", "reinit.layers = -1: must be at least 0"),
    ("too deep", "layers = 1", "layers = 3", "arms.reinit: reinit.layers = 3: the encoder has 2 layers"),
    ("huge", "layers = 1", f"layers = {10**30}", "the encoder has 2 layers"),
    ("stabilizer as number", "[{{ reinit = {{ layers = 1 }} }}]", "[3]", "arms.reinit[0] = 3: must be a name, or a"),
    ("arm as text", "[{{ reinit = {{ layers = 1 }} }}]", '"reinit"', 'arms.reinit = "reinit": must be a list of'),
    ("twice", "[{{ reinit = {{ layers = 1 }} }}]", '["reinit", "reinit"]', '"reinit" stands 2 times: give it once'),
    ("same arm", "reinit = [{{ reinit = {{ layers = 1 }} }}]", "same = []", "two runs are the same training: ("),
    ("arm key", "[{{ reinit = {{ layers = 1 }} }}]", "{{ recipes = {{}} }}", "arms.reinit.recipes: unknown key; must"),
    ("arm name", "reinit = [", '"a b" = [', 'arms: the name "a b" must start with a letter or digit'),
    (
        "conflict",
        "[{{ reinit = {{ layers = 1 }} }}]",
        '["bert-adam", "debiased-adam"]',
        "exclude each other: the first switches",
    ),
    ("no pooler left", "layers = 1 }}", "layers = 2 }} }}, {{ freeze = {{ layers = 1 }}", "would start anew and never"),
    ("baseline", 'baseline = "plain"', 'baseline = "plan"', 'baseline = "plan": must be one of the arms plain, reinit'),
    ("seeds 0", "seeds = 2", "seeds = 0", "seeds = 0: must be a whole number in [1, 10000], or a table"),
    ("seeds nan", "seeds = 2", "seeds = nan", "seeds = nan: must be a whole number in [1, 10000]"),
    ("seeds text", "seeds = 2", 'seeds = "20"', 'seeds = "20": must be a whole number in [1, 10000]'),
    (
        "seed stream",
        "seeds = 2",
        "seeds = {{ inti = 2 }}",
        "seeds.inti: must be one of init, order, dropout, subset, p",
    ),
    ("too many seeds", "seeds = 2", "seeds = {{ init = 9999, order = 9999 }}", "seeds; must be at most 10000"),
    ("misspelt key", "seeds = 2", "sedes = 2", "sedes: unknown key; must be one of name, encoders, tasks, seeds,"),
    ("missing key", "seeds = 2", "", "seeds: is missing; must be given"),
    ("encoder folder", "{encoder}", "./nowhere", 'encoder "./nowhere": there is no such directory'),
    ("not an encoder", "{encoder}", "{task}", "has no config.json"),
    ("pocket name", "{encoder}", "pocket/bert-smal", 'encoder "pocket/bert-smal" is unknown: must be one of'),
    ("encoder twice", '"{encoder}"', '"{encoder}", "{encoder}"', "stands twice"),
    ("revision", '"{encoder}"', '{{ name = "{encoder}", revision = "x" }}', "only encoders of the hub have revisions"),
    ("no encoder", '["{encoder}"]', "[]", "encoders = []: must have at least 1 item"),
    ("encoder type", '["{encoder}"]', "[3]", 'encoders[0] = 3: must be a text, or a table such as { name = "rob'),
    ("task name", "file:{task}", "pocket/sentimnt", 'task "pocket/sentimnt" is unknown: must be one of pocket/'),
    ("task folder", "file:{task}", "file:nowhere", "file:nowhere: no such folder"),
    ("rows", '["file:{task}"]', '[{{ name = "file:{task}", n = 41 }}]', "n = 41: must lie in [1, 40], its number of"),
    ("metric", '["file:{task}"]', '[{{ name = "file:{task}", metric = "bleu" }}]', 'metric "bleu": must be one of acc'),
    ("rate", "learning_rate = 1e-3", "learning_rate = -1.0", "recipe.learning_rate = -1.0: must be above 0"),
    ("rate nan", "learning_rate = 1e-3", "learning_rate = nan", "recipe.learning_rate = nan: must be a finite numb"),
    ("rate inf", "learning_rate = 1e-3", "learning_rate = inf", "recipe.learning_rate = inf: must be a finite numb"),
    ("rate huge", "learning_rate = 1e-3", "learning_rate = 1e300", "recipe.learning_rate = 1e+300: must be at most "),
    ("rate text", "learning_rate = 1e-3", 'learning_rate = "a"', 'recipe.learning_rate = "a": must be a number'),
    ("recipe key", "steps = 2", "stepz = 2", "recipe.stepz: unknown key; must be one of mode, features, learning"),
    ("choice", "steps = 2", 'schedule = "cosine"', 'recipe.schedule = "cosine": must be '),
    ("betas", "steps = 2", "betas = [0.9, 1.0]", "recipe.betas = [0.9, 1.0]: both must lie in [0, 1)"),
    ("two fields", "steps = 2", "micro_batch = 32", "recipe.micro_batch = 32: must be at most batch_size = 16"),
    ("too long", "steps = 2", "max_length = 1000", "reads at most 64 tokens"),
    ("no such place", "steps = 2", 'dropout_off = ["layer.2"]', 'recipe.dropout_off: "layer.2" is no module group of'),
    ("empty grid", "[arms]", "[tune]\ngrid = {{}}\n[arms]", "tune.grid = {}: must have at least 1 item"),
    ("grid value", "[arms]", "[tune]\ngrid = {{ epochs = [-1] }}\n[arms]", "tune.grid.epochs = -1: must be above 0"),
    ("two arms of a name", "plain = []", "plain = []\nplain = []", "is not valid TOML: "),
    ("bad TOML", 'name = "tiny"', "name = ", "is not valid TOML: "),
]


@pytest.mark.parametrize(("old", "new", "sentence"), [b[1:] for b in BAD_STUDIES], ids=[b[0] for b in BAD_STUDIES])
def test_a_bad_study_gets_one_sentence_and_nothing_is_trained_or_written(
    cli, study_template, tmp_path, tiny_bert, tiny_task, no_training, old, new, sentence
):
    assert old in study_template
    changed = study_template.replace(old, new, 1).format(encoder=tiny_bert, task=tiny_task)
    (tmp_path / "study.toml").write_text(changed)
    code, out, err = cli("run", "study.toml", "--jobs", "1")
    assert code == 2
    assert err.startswith("error: study.toml: ")
    assert sentence in err
    assert err.count("\n") == 1
    assert out == ""
    assert [p.name for p in tmp_path.iterdir()] == ["study.toml"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "study.toml: is empty; `stabilitybench new study` writes a commented example"),
        (b"# nothing\n", "study.toml: is empty; "),
        (bytes(range(256)), "study.toml: is not a text file in UTF-8"),
        (b"#" * 1_000_001, "study.toml: has 1000001 bytes; at most 1000000 are allowed"),
        (b'name = "a\x00"', "study.toml: is not valid TOML: "),
    ],
    ids=["empty", "only a comment", "binary", "large", "NUL"],
)
def test_a_file_that_is_no_study(cli, tmp_path, no_training, content, sentence):
    (tmp_path / "study.toml").write_bytes(content)
    code, out, err = cli("run", "study.toml")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {sentence}")


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(cli, study_file, no_training):
    study_file.write_bytes(b"\xef\xbb\xbf" + study_file.read_bytes().replace(b"\n", b"\r\n"))
    assert cli("run", study_file, "--dry-run")[0] == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--set", "recipe.epochs"], '--set "recipe.epochs": must look like key=value, for example recipe.epochs=5'),
        (["--set", "recipe..x=3"], '--set "recipe..x=3": must look like key=value'),
        (["--set", "name.x=3"], '--set "name.x=3": name is not a table'),
        (["--set", "recipe.epochz=3"], "recipe.epochz: unknown key; "),
        (["--set", "recipe.learning_rate=fast"], 'recipe.learning_rate = "fast": must be a number'),
        (["--jobs", "0"], "--jobs 0: must be at least 1"),
        (["--device", "gpu"], '--device "gpu": must be auto, cpu, cuda or cuda:K'),
        (["--shard", "4/3"], '--shard "4/3": must look like 3/16, the first number between 1 and the second'),
        (["--timeout", "nan"], "--timeout nan: must be a positive number of seconds"),
        (["--save", "all"], '--save "all": must be last or best'),
        (["--with", "nothing.py"], "nothing.py: must be an existing Python file that registers stabilizers"),
        (["--store", "study.toml"], "--store study.toml: is a file; must be a folder, or a name for a new one"),
        (["--results", "study.toml"], "--results study.toml: is a file; must be a folder"),
        (["--jobs", "x"], "Invalid value for '--jobs' / '-j': "),
        (["--jbos", "2"], "No such option: --jbos"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_bad_option_gets_one_sentence(cli, study_file, tmp_path, no_training, options, sentence):
    code, out, err = cli("run", "study.toml", *options)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["study.toml"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run"], "Missing argument 'STUDY.toml'; see `stabilitybench run --help`"),
        (["rnu"], "No such command 'rnu'. Did you mean 'run'?; see `stabilitybench --help`"),
        (
            ["run", "nowhere.toml"],
            "nowhere.toml: there is no such study file; `stabilitybench new study` writes a commented example",
        ),
        (["run", "."], ".: is a folder, not a study file"),
        (["show", "xyz"], 'run id "xyz": must be hexadecimal digits, as `stabilitybench status` lists them'),
        (["show", "abc"], 'run "abc": no run in '),
        (["show", "../../etc"], 'run id "../../etc": must be hexadecimal digits'),
        (["list", "stabilizer"], 'list "stabilizer": must be one of all, stabilizers, tasks, encoders; did you mean'),
        (["inspect", "nowhere"], 'inspect "nowhere": neither a folder nor a task; `stabilitybench list tasks` names'),
        (["inspect", "./nowhere"], "file:./nowhere: no such folder"),
        (["new", "study", "."], ".: is a folder; give the name of a file, such as study.toml"),
        (["pretrain", "bert-small", "--out", "x"], 'encoder "bert-small": must be one of pocket/bert-small'),
        (["pretrain", "pocket/bert-small", "--out", "."], "--out .: exists already; give a folder that does not"),
        (["pretrain", "pocket/bert-small", "--out", "x", "--steps", "0"], "--steps 0: must be at least 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_other_mistakes(cli, tmp_path, words, sentence):
    code, out, err = cli(*words)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {sentence}")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_another_study_under_a_taken_name_is_refused_and_the_difference_shown(cli, study_file):
    assert cli("run", study_file, "--jobs", "1", "--no-report")[0] == 0
    code, _, err = cli("run", study_file, "--jobs", "1", "--set", "recipe.steps=4")
    assert code == 2
    assert 'a different study named "tiny" stands in results/tiny (recipe.steps: 2 -> 4)' in err


@pytest.mark.parametrize("option", ["--store", "--results"])
def test_a_folder_that_cannot_be_made_is_the_machines_fault(cli, study_file, no_training, option):
    code, _, err = cli("run", study_file, option, "/proc/nowhere")
    assert code == 1
    assert err.startswith("error: /proc/nowhere")
    assert "cannot be written" in err


def test_failing_machine_and_interruption_have_exit_codes_of_their_own(cli, study_file, monkeypatch):
    def full_disk(*args, **kwargs):
        raise EnvironmentFailure("store: the disk is full.")

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(side_by_side, "loop_of", full_disk)
    assert cli("run", study_file, "--jobs", "1")[::2] == (1, "error: store: the disk is full.\n")
    monkeypatch.setattr(side_by_side, "loop_of", interrupt)
    code, _, err = cli("run", study_file, "--jobs", "1")
    assert code == 130
    assert err == "error: interrupted; finished runs are kept, the same command goes on from there\n"


def test_a_request_to_end_is_told_like_an_interruption(cli, study_file, monkeypatch):
    import os
    import signal

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(side_by_side, "loop_of", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    code, _, err = cli("run", study_file, "--jobs", "1")
    assert code == 143
    assert err == "error: interrupted; finished runs are kept, the same command goes on from there\n"
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_crash_of_one_run_is_told_and_can_be_done_again(cli, study_file, monkeypatch):
    real, calls = side_by_side.loop_of, []

    def second_breaks(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("out of [bold]luck[/bold]")
        return real(*args, **kwargs)

    monkeypatch.setattr(side_by_side, "loop_of", second_breaks)
    code, out, _ = cli("run", study_file, "--jobs", "1")
    assert code == 0
    assert "1 crashed" in out
    assert "RuntimeError: out of [bold]luck[/bold]" in out  # never read as markup
    code, out, _ = cli("status", study_file)
    crashed = next(line.split()[1] for line in out.splitlines() if line.startswith("crashed"))
    code, out, _ = cli("show", crashed)
    assert code == 0
    assert "No result: RuntimeError: out of [bold]luck[/bold]." in out
    code, out, _ = cli("run", study_file, "--jobs", "1", "--retry", "--no-report")
    assert "complete: all 4 runs have finished" in out


def test_damaged_predictions_are_one_sentence(cli, study_file, tmp_path):
    cli("run", study_file, "--jobs", "1", "--no-report")
    path = next((tmp_path / "store/runs").glob("*/predictions.parquet"))
    path.write_bytes(path.read_bytes()[:100])
    code, _, err = cli("show", path.parent.name)
    assert code == 2
    assert err == f'error: run "{path.parent.name}": its record is damaged; start its study again to redo it\n'
    assert err.count("\n") == 1


def test_a_console_that_lacks_characters_gets_question_marks(cli, monkeypatch):
    import io

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert cli("list", "tasks")[0] == 0
    sys.stdout.flush()
    assert b"pocket/acceptability" in raw.getvalue()


def commands():
    from typer.main import get_command

    def walk(command, words):
        yield words, command
        for name, child in getattr(command, "commands", {}).items():
            yield from walk(child, (*words, name))

    from stabilitybench.cli import app

    return list(walk(get_command(app), ()))


@pytest.mark.parametrize("words", [words for words, _ in commands()], ids=" ".join)
def test_every_help_has_an_example_that_fits_a_line(cli, monkeypatch, words):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 80)
    code, out, _ = cli(*words, "--help")
    assert code == 0
    examples = [line.strip() for line in out.splitlines() if line.strip().startswith("stabilitybench ")]
    assert examples
    assert not words or tuple(examples[0].split()[1 : 1 + len(words)]) == words
    assert max(map(len, out.splitlines())) <= 80


def test_every_option_in_an_example_exists():
    known = {words: {o for p in c.params for o in p.opts} for words, c in commands()}
    for words, command in commands():
        for line in (command.help or "").splitlines():
            if line.strip().startswith("stabilitybench "):
                given = line.split()[1:]
                target = tuple(given[:2]) if tuple(given[:2]) in known else tuple(given[:1])
                assert target in known, line
                assert {word for word in given if word.startswith("--")} <= known[target], line
        assert words == () or command.help


def test_without_a_command_the_help_is_shown(cli):
    code, out, err = cli()
    assert (code, err) == (2, "")
    assert "Usage: stabilitybench" in out


def test_version(cli):
    from importlib.metadata import version

    assert cli("--version") == (0, f"stabilitybench {version('stabilitybench')}\n", "")


def test_a_study_whose_every_run_crashed_still_says_so(cli, study_file, monkeypatch):
    def breaks(*args, **kwargs):
        raise RuntimeError("no luck")

    monkeypatch.setattr(side_by_side, "loop_of", breaks)
    code, out, err = cli("run", study_file, "--jobs", "1")
    assert (code, err) == (0, "")
    assert out.count("RuntimeError: no luck") == 4
    assert "report: results/tiny/report.html" in out
