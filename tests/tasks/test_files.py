"""Folders of files: every layout that is read, and one clear sentence for everything that is not."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stabilitybench.errors import UserError
from stabilitybench.tasks import load_task
from stabilitybench.tasks.files import load_folder

GLUE = Path(__file__).parents[2].parent / "shared" / "data" / "glue"
real_data = pytest.mark.skipif(not GLUE.is_dir(), reason="real GLUE files are not beside this checkout")

GOOD = "sentence\tlabel\n" + "".join(f"text {k}\t{'yes' if k % 2 else 'no'}\n" for k in range(8))


def write(folder, **files):
    """Write files whose names have ``_`` for the dot: ``train_tsv="..."``; returns the folder."""
    for name, content in files.items():
        stem, _, suffix = name.rpartition("_")
        path = folder / f"{stem}.{suffix}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def table(header, *rows):
    return "\n".join("\t".join(row) for row in (header, *rows)) + "\n"


def refused(folder, **options):
    with pytest.raises(UserError) as caught:
        load_folder(folder, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(f"{folder}/", "").replace(str(folder), "DIR")


# --- what is read ---------------------------------------------------------------------------------


def test_a_plain_table(tmp_path):
    task = load_folder(write(tmp_path, train_tsv=GOOD, dev_tsv=GOOD))
    assert (task.kind, task.classes, task.metrics) == ("classification", ("no", "yes"), ("accuracy",))
    assert task.train.ids[:2] == ("train-0", "train-1")
    assert task.train.first[:2] == ("text 0", "text 1")
    assert task.train.second is None
    assert task.train.labels.tolist() == [0, 1] * 4
    assert task.train.labels.dtype == np.int64
    assert (len(task.validation), len(task.test)) == (4, 4)
    assert sorted(task.validation.ids + task.test.ids) == [f"dev-{k}" for k in range(8)]
    assert task.name == f"file:{tmp_path}"
    assert "4 rows validate, 4 test" in task.notes[1]


def test_all_formats_give_the_same_task(tmp_path):
    frame = pd.DataFrame({"sentence": ["plain", 'say "no"', "a, b", "ünï"] * 2, "label": [0, 1] * 4})
    folders = {}
    for suffix in ("tsv", "csv", "jsonl", "parquet"):
        folders[suffix] = tmp_path / suffix
        folders[suffix].mkdir()
        for part in ("train", "dev"):
            file = folders[suffix] / f"{part}.{suffix}"
            if suffix == "tsv":
                file.write_text("sentence\tlabel\n" + "".join(f"{s}\t{y}\n" for s, y in frame.values))
            elif suffix == "csv":
                frame.to_csv(file, index=False)
            elif suffix == "jsonl":
                frame.to_json(file, orient="records", lines=True)
            else:
                frame.to_parquet(file)
    assert len({load_folder(folder).fingerprint for folder in folders.values()}) == 1


@pytest.mark.parametrize("stem", ["dev", "validation", "valid", "val", "dev_matched"])
def test_names_of_the_dev_file(tmp_path, stem):
    assert len(load_folder(write(tmp_path, train_tsv=GOOD, **{f"{stem}_tsv": GOOD})).validation) == 4


def test_a_labelled_test_file_is_used_whole(tmp_path):
    task = load_folder(write(tmp_path, train_tsv=GOOD, dev_tsv=GOOD, test_tsv=GOOD.replace("text", "new")))
    assert (len(task.validation), len(task.test)) == (8, 8)
    assert task.test.first[0] == "new 0"


@pytest.mark.parametrize("test", ["index\tsentence\n0\thello\n", "sentence\tlabel\nhello\t-1\nyou\t-1\n"])
def test_an_unlabelled_test_file_is_noted_and_not_used(tmp_path, test):
    task = load_folder(write(tmp_path, train_tsv=GOOD, dev_tsv=GOOD, test_tsv=test))
    assert (len(task.validation), len(task.test)) == (4, 4)
    assert "test.tsv has no labels and was not used" in " ".join(task.notes)


def test_tsv_quotes_are_literal_and_windows_line_ends_are_not(tmp_path):
    text = 'sentence\tlabel\r\n"Shut up\tno\r\nhe said"\tyes\r\n'
    task = load_folder(write(tmp_path, train_tsv=b"\xef\xbb\xbf" + text.encode(), dev_tsv=GOOD))
    assert task.train.first == ('"Shut up', 'he said"')
    assert task.classes == ("no", "yes")


def test_line_separators_inside_a_sentence_do_not_end_the_row(tmp_path):
    text = "sentence\tlabel\none\u2028two\x85three\tno\nfour\tyes\n"
    assert load_folder(write(tmp_path, train_tsv=text, dev_tsv=GOOD)).train.first[0] == "one\u2028two\x85three"


def test_csv_with_quoted_commas_and_line_breaks(tmp_path):
    text = 'sentence,label\n"a, ""b""\nc",no\nd,yes\n'
    assert load_folder(write(tmp_path, train_csv=text, dev_tsv=GOOD)).train.first[0] == 'a, "b"\nc'


PAIR = ("one text", "other text")
LAYOUTS = {
    "RTE": (("index", "sentence1", "sentence2", "label"), ("entailment", "not_entailment"), ("accuracy",)),
    "QNLI": (("index", "question", "sentence", "label"), ("entailment", "not_entailment"), ("accuracy",)),
    "MRPC": (("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"), ("0", "1"), ("f1", "accuracy")),
    "QQP": (("id", "qid1", "qid2", "question1", "question2", "is_duplicate"), ("0", "1"), ("accuracy", "f1")),
    "MNLI": (
        ("index", "genre", "sentence1", "sentence2", "label1", "gold_label"),
        ("entailment", "neutral", "contradiction"),
        ("accuracy",),
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_pair_layouts_of_glue(tmp_path, name):
    header, classes, metrics = LAYOUTS[name]
    label = next(c for c in ("label", "Quality", "is_duplicate", "gold_label") if c in header)
    texts = [c for c in header if c.startswith(("sentence", "question")) or c.endswith("String")]

    def row(k):
        cells = dict.fromkeys(header, str(k)) | dict(zip(texts, PAIR, strict=True))
        return [*(cells | {label: classes[k % len(classes)]}).values()]

    content = table(header, *(row(k) for k in range(12)))
    dev = "dev_matched_tsv" if name == "MNLI" else "dev_tsv"
    task = load_folder(write(tmp_path, train_tsv=content, **{dev: content}))
    assert (task.classes, task.metrics) == (classes, metrics)
    assert (task.train.first[0], task.train.second[0]) == PAIR
    assert task.train.labels.tolist() == [k % len(classes) for k in range(12)]


def test_cola_has_no_header_and_is_scored_by_mcc(tmp_path):
    rows = "gj04\t1\t\tFine.\ngj04\t0\t*\tNot fine me.\n" * 3
    task = load_folder(write(tmp_path, train_tsv=rows, dev_tsv=rows, test_tsv="index\tsentence\n0\tHello.\n"))
    assert (task.metrics, task.classes) == (("mcc", "accuracy"), ("0", "1"))
    assert task.train.first[:2] == ("Fine.", "Not fine me.")
    assert len(task.train) == 6


def test_a_score_column_makes_a_regression(tmp_path):
    content = table(("sentence1", "sentence2", "score"), *(("a", f"b{k}", f"{k / 2:.3f}") for k in range(8)))
    task = load_folder(write(tmp_path, train_tsv=content, dev_tsv=content))
    assert (task.kind, task.classes, task.metrics) == ("regression", (), ("spearman", "pearson"))
    assert task.train.labels.tolist() == [k / 2 for k in range(8)]
    assert task.outputs == 1


def test_word_in_context_keeps_its_word(tmp_path):
    rows = [{"word": "bank", "sentence1": "a", "sentence2": f"b{k}", "label": k % 2 == 0} for k in range(4)]
    content = "".join(json.dumps(row) + "\n" for row in rows)
    task = load_folder(write(tmp_path, train_jsonl=content, val_jsonl=content))
    assert task.train.first[0] == "bank: a"
    assert task.classes == ("False", "True")


def test_numbers_are_sorted_as_numbers(tmp_path):
    content = "text\tlabel\n" + "".join(f"t\t{k % 11}\n" for k in range(22))
    assert load_folder(write(tmp_path, train_tsv=content, dev_tsv=content)).classes[-2:] == ("9", "10")


def test_floats_that_are_whole_are_classes(tmp_path):
    frame = pd.DataFrame({"text": list("abcd"), "label": [0.0, 1.0, 0.0, 1.0]})
    frame.to_parquet(tmp_path / "train.parquet")
    frame.to_parquet(tmp_path / "dev.parquet")
    assert load_folder(tmp_path).classes == ("0", "1")


def test_the_known_flaws_of_released_files_are_left_out_and_counted(tmp_path):
    header = ("id", "qid1", "qid2", "question1", "question2", "is_duplicate")
    rows = [(str(k), "1", "2", "why?", "how?", str(k % 2)) for k in range(4)]
    broken = [("5", "1", "2", "cut off"), ("6", "1", "2", "", "how?", "1")]
    task = load_folder(write(tmp_path, train_tsv=table(header, *rows, *broken), dev_tsv=table(header, *rows)))
    assert len(task.train) == 4
    assert any("2 rows without a text or an agreed label were left out" in note for note in task.notes)


def test_another_headline_metric(tmp_path):
    assert load_folder(write(tmp_path, train_tsv=GOOD, dev_tsv=GOOD), metric="mcc").metrics == (
        "mcc",
        "accuracy",
    )
    assert 'metric "spearman": must be one of accuracy' in refused(tmp_path, metric="spearman")


@settings(deadline=None, derandomize=True, max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip),
            st.sampled_from(["left", "right"]),
        ),
        max_size=12,
    )
)
def test_whatever_text_is_written_as_json_lines_or_tsv_is_read_back(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("round")
    rows = [("a", "left"), ("b", "right"), *rows]
    lines = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
    write(folder, train_jsonl=lines, dev_tsv=table(("text", "label"), *rows, *rows))
    task = load_folder(folder)
    assert task.train.first == tuple(text for text, _ in rows)
    assert [task.classes[k] for k in task.train.labels] == [label for _, label in rows]
    assert len(task.validation) + len(task.test) == 2 * len(rows)


# --- what is refused ------------------------------------------------------------------------------

DEFECTS = {
    "empty file": ("", "train.tsv: the file is empty; it must hold labelled rows"),
    "white file": ("\n \n", "train.tsv: the file is empty; it must hold labelled rows"),
    "only a header": (
        "sentence\tlabel\n",
        "train.tsv: a header but no rows; the file must hold labelled rows",
    ),
    "no header": (
        "I like it.\tyes\nNot me.\tno\n",
        'train.tsv: line 1: no header; "i like it.", "yes" are no column names known here, such as sentence and label',
    ),
    "no label column": (
        "sentence\tnote\na\tb\n",
        'train.tsv: no label column among "sentence", "note"; expected one of label, labels, gold_label, score, '
        "is_duplicate, class, quality",
    ),
    "no text column": (
        "phrase\tlabel\na\tb\n",
        'train.tsv: no text column among "phrase", "label"; expected one of sentence, text, sentence1/sentence2, '
        "premise/hypothesis, question/sentence, question1/question2, question/passage, text1/text2, "
        "#1 string/#2 string",
    ),
    "two label columns": (
        "sentence\tlabel\tscore\na\tb\t1\n",
        "train.tsv: label and score could both be the label; keep one",
    ),
    "duplicated column": (
        "sentence\tlabel\tLabel\na\tb\tc\n",
        'train.tsv: the column "label" occurs twice; column names must differ',
    ),
    "empty label": (
        "sentence\tlabel\na\tyes\nb\t\n",
        "train.tsv: line 3: label is empty; every row needs a label",
    ),
    "empty text": (
        "sentence\tlabel\n \tyes\n",
        "train.tsv: line 2: sentence is empty; every row needs a text",
    ),
    "ragged row": ("sentence\tlabel\na\tyes\nb\tno\tmore\n", "train.tsv: line 3: 3 cells; every row needs 2"),
    "one class": (
        "sentence\tlabel\na\tyes\nb\tyes\n",
        'train.tsv: all 2 labels are "yes"; needs at least two classes',
    ),
    "fractions": (
        "sentence\tlabel\na\t0.5\nb\t1.5\n",
        'train.tsv: line 2: label = "0.5": not a class; for regression name the column score',
    ),
    "NaN class": (
        "sentence\tlabel\na\tnan\nb\tyes\n",
        'train.tsv: line 2: label = "nan": not a class; for regression name the column score',
    ),
    "NaN score": (
        "sentence\tscore\na\t1\nb\tnan\n",
        'train.tsv: line 3: score = "nan": must be a finite number',
    ),
    "infinite score": (
        "sentence\tscore\na\t1\nb\t-inf\n",
        'train.tsv: line 3: score = "-inf": must be a finite number',
    ),
    "text as score": (
        "sentence\tscore\na\t1\nb\tmuch\n",
        'train.tsv: line 3: score = "much": must be a finite number',
    ),
    "empty score": (
        "sentence\tscore\na\t1\nb\t \n",
        "train.tsv: line 3: score is empty; every row needs a score",
    ),
    "one score": ("sentence\tscore\na\t1\nb\t1.0\n", "train.tsv: all 2 scores are 1; they must differ"),
    "binary": (
        b"sentence\tlabel\n\x89PNG\0\0\n",
        "train.tsv: line 2: NUL byte; the file is binary, it must be UTF-8 text",
    ),
    "UTF-16": (
        "sentence\tlabel\n".encode("utf-16"),
        "train.tsv: line 1: NUL byte; the file is binary, it must be UTF-8 text",
    ),
    "latin-1": (
        "sentence\tlabel\nnaïve\tyes\n".encode("latin-1"),
        "train.tsv: line 2: not UTF-8 text; save the file as UTF-8",
    ),
    "absurd line": (
        "sentence\tlabel\n" + "x" * 1_000_001 + "\tyes\n",
        "train.tsv: line 2: 1000005 characters; at most 1000000 are allowed",
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_defects_of_a_tsv_file(tmp_path, defect):
    content, sentence = DEFECTS[defect]
    assert refused(write(tmp_path, train_tsv=content, dev_tsv=GOOD)) == sentence


CSV_DEFECTS = {
    "only separators": (',,\n""\n', "train.csv: the file is empty; it must hold labelled rows"),
    "open quote": (
        'sentence,label\na,yes\n"b,no\nc,yes\n',
        "train.csv: line 3: not readable as CSV (unexpected end of data); check its quotes",
    ),
    "text after quote": (
        'sentence,label\n"a"b,yes\n',
        "train.csv: line 2: not readable as CSV (',' expected after '\"'); check its quotes",
    ),
    "absurd cell": (
        "sentence,label\n" + "x" * 200_000 + ",yes\n",
        "train.csv: line 2: not readable as CSV (field larger than field limit (131072)); check its quotes",
    ),
    "ragged row": ("sentence,label\na,yes\nb\n", "train.csv: line 3: 1 cells; every row needs 2"),
    "empty label after a long cell": (
        'sentence,label\n"a\nb",yes\nc,\n',
        "train.csv: line 4: label is empty; every row needs a label",
    ),
}


@pytest.mark.parametrize("defect", CSV_DEFECTS)
def test_defects_of_a_csv_file(tmp_path, defect):
    content, sentence = CSV_DEFECTS[defect]
    assert refused(write(tmp_path, train_csv=content, dev_tsv=GOOD)) == sentence


ROW = '{"sentence": "a", "label": "yes"}\n'
JSON_DEFECTS = {
    "cut off": (ROW + '{"sentence": "b", "la', "line 2: not valid JSON (Unterminated string starting at)"),
    "an array": (ROW + "[1, 2]\n", 'line 2: not a JSON object; a row is {"sentence": ..., "label": ...}'),
    "key missing": (ROW + '{"sentence": "b"}\n', "line 2: label is empty; every row needs a label"),
    "null text": (
        ROW + '{"sentence": null, "label": "no"}\n',
        "line 2: sentence is empty; every row needs a text",
    ),
    "number as text": (ROW + '{"sentence": 3, "label": "no"}\n', 'line 2: sentence = "3": must be text'),
    "list as label": (
        ROW + '{"sentence": "b", "label": ["no"]}\n',
        "line 2: label = \"['no']\": must be a class name or number",
    ),
    "NaN label": (
        ROW + '{"sentence": "b", "label": NaN}\n',
        "line 2: label is empty; every row needs a label",
    ),
    "key twice": (
        ROW + '{"sentence": "b", "label": 1, "label": 0}\n',
        "line 2: not valid JSON (a key occurs twice)",
    ),
    "deep": (ROW + "[" * 200_000 + "\n", "line 2: nested too deeply; a row is a flat object"),
    "huge number": (
        ROW + '{"sentence": "b", "label": ' + "9" * 5000 + "}\n",
        "line 2: not valid JSON (Exceeds the limit (4300 digits) for integer string conversion)",
    ),
    "half a character": (
        ROW + '{"sentence": "\\ud800", "label": "no"}\n',
        "line 2: sentence holds half of a character pair; must be valid Unicode",
    ),
}


@pytest.mark.parametrize("defect", JSON_DEFECTS)
def test_defects_of_json_lines(tmp_path, defect):
    content, sentence = JSON_DEFECTS[defect]
    assert refused(write(tmp_path, train_jsonl=content, dev_tsv=GOOD)) == f"train.jsonl: {sentence}"


def test_defects_of_parquet(tmp_path):
    write(tmp_path, train_parquet=b"", dev_tsv=GOOD)
    assert refused(tmp_path) == "train.parquet: the file is empty; it must hold labelled rows"
    damaged = "train.parquet: not readable as Parquet; the file is damaged or of another format"
    write(tmp_path, train_parquet=GOOD)
    assert refused(tmp_path) == damaged
    pd.DataFrame({"sentence": ["a", "b"] * 500, "label": [0, 1] * 500}).to_parquet(tmp_path / "train.parquet")
    whole = (tmp_path / "train.parquet").read_bytes()
    write(tmp_path, train_parquet=whole[: len(whole) // 2])
    assert refused(tmp_path) == damaged
    write(tmp_path, train_parquet=whole[:4] + b"\xff" * 100 + whole[104:])
    assert refused(tmp_path) == damaged
    pd.DataFrame({"sentence": ["a", "b"], "label": [0.0, None]}).to_parquet(tmp_path / "train.parquet")
    assert refused(tmp_path) == "train.parquet: row 2: label is empty; every row needs a label"


def test_a_pickle_is_not_opened(tmp_path):
    pd.DataFrame({"sentence": ["a"], "label": [1]}).to_pickle(tmp_path / "train.parquet")
    write(tmp_path, dev_tsv=GOOD)
    assert "not readable as Parquet" in refused(tmp_path)


def test_files_that_are_missing_or_ambiguous(tmp_path):
    assert refused(tmp_path / "none") == "file:DIR: no such folder; file:DIR needs a folder with train and dev files"
    assert refused(tmp_path) == "DIR: no train file; needs train with .tsv, .csv, .jsonl, .parquet; found nothing"
    write(tmp_path, train_tsv=GOOD, notes_txt="hello")
    assert refused(tmp_path / "train.tsv").startswith("DIR: not a folder")
    assert refused(tmp_path) == (
        "DIR: no dev file; needs dev or validation with .tsv, .csv, .jsonl, .parquet; found notes.txt, train.tsv"
    )
    write(tmp_path, dev_tsv=GOOD, validation_csv=GOOD)
    assert refused(tmp_path) == "DIR: dev.tsv and validation.csv could both be the dev file; keep one"
    (tmp_path / "validation.csv").unlink()
    write(tmp_path, train_csv=GOOD)
    assert refused(tmp_path) == "DIR: train.tsv and train.csv could both be the train file; keep one"
    (tmp_path / "train.tsv").unlink()
    (tmp_path / "train.csv").unlink()
    (tmp_path / "train.tsv").mkdir()
    assert refused(tmp_path) == "train.tsv: not a file; must be a table of labelled rows"


def test_links_that_leave_the_folder_are_not_followed(tmp_path):
    outside = tmp_path / "secret.tsv"
    outside.write_text(GOOD)
    folder = tmp_path / "task"
    folder.mkdir()
    write(folder, dev_tsv=GOOD)
    (folder / "train.tsv").symlink_to(outside)
    says = "train.tsv: not a file inside its folder, or a broken link; copy the file into the folder"
    assert refused(folder) == says
    outside.unlink()
    assert refused(folder) == says
    (folder / "train.tsv").unlink()
    (folder / "train.tsv").symlink_to(folder / "train.tsv")
    assert refused(folder) == says
    (folder / "train.tsv").unlink()
    (folder / "data").mkdir()
    write(folder / "data", rows_tsv=GOOD)
    (folder / "train.tsv").symlink_to(folder / "data" / "rows.tsv")
    assert len(load_folder(folder).train) == 8


@pytest.mark.parametrize("path", ["", "~nobody-of-this-name/x", "x" * 5000, "a\0b"])
def test_folders_that_cannot_be(path):
    with pytest.raises(UserError, match="no such folder; file:DIR needs a folder with train and dev files"):
        load_task(f"file:{path}")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "train.tsv")
    assert refused(tmp_path) == "train.tsv: not a file; must be a table of labelled rows"


def test_files_that_do_not_fit_together(tmp_path):
    write(tmp_path, train_tsv=GOOD, dev_tsv=GOOD + "text\tmaybe\n")
    assert refused(tmp_path) == (
        'dev.tsv: line 10: label = "maybe": unseen in the train file, whose classes are "no", "yes"'
    )
    write(tmp_path, dev_tsv=GOOD.replace("sentence", "text", 1))
    assert refused(tmp_path) == (
        "dev.tsv: columns text differ from sentence of train.tsv; all files must have the same columns"
    )
    write(tmp_path, dev_tsv="sentence\tlabel\na\tno\nb\tyes\n")
    assert refused(tmp_path) == (
        "dev.tsv: too few rows to split in halves; needs two rows in each of two classes, "
        "or a labelled test file beside it"
    )
    write(tmp_path, dev_tsv=GOOD, test_tsv=GOOD + "text\t\n")
    assert refused(tmp_path) == "test.tsv: line 10: label is empty; every row needs a label"


def test_values_in_messages_are_short_and_on_one_line(tmp_path):
    nasty = "\x1b[31m" + "x" * 500
    message = refused(write(tmp_path, train_tsv=GOOD, dev_tsv=GOOD + f"text\t{nasty}\n"))
    assert "\x1b" not in message
    assert len(message) < 200


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("glue/ret", 'task "glue/ret" is unknown: must be one of .*; did you mean "glue/rte"?'),
        ("nonsense", 'task "nonsense" is unknown: must be one of pocket/'),
        ("", 'task "" is unknown'),
        ("glue", 'task "glue" is unknown'),
    ],
)
def test_unknown_task_names(name, says):
    with pytest.raises(UserError, match=says):
        load_task(name)


def test_a_revision_is_for_the_hub_alone():
    with pytest.raises(UserError, match='revision = "v1": only glue/ and superglue/ tasks have revisions'):
        load_task("file:somewhere", revision="v1")


# --- real files -----------------------------------------------------------------------------------


@real_data
def test_real_entailment_splits_as_in_the_literature():
    task = load_folder(GLUE / "RTE")
    assert (len(task.train), len(task.validation), len(task.test)) == (2490, 138, 139)
    assert task.classes == ("entailment", "not_entailment")
    assert np.bincount(task.test.labels).max() == 73


@real_data
def test_real_acceptability_keeps_its_quotes_and_every_row():
    task = load_folder(GLUE / "CoLA")
    assert (len(task.train), len(task.validation) + len(task.test)) == (8551, 1043)
    assert task.metrics[0] == "mcc"
    assert 'Susan whispered "Shut up".' in task.train.first
    assert np.bincount(task.train.labels).tolist() == [2528, 6023]


@real_data
def test_real_similarity_is_a_regression():
    task = load_folder(GLUE / "STS-B")
    assert (len(task.train), len(task.validation), len(task.test)) == (5749, 750, 750)
    assert (task.train.labels.min(), task.train.labels.max()) == (0.0, 5.0)
    assert abs(task.validation.labels.mean() - task.test.labels.mean()) < 0.01
