"""The commented study file that ``stabilitybench new study`` writes."""

from __future__ import annotations

import re


def example(name: str) -> str:
    """Return `EXAMPLE` under another name.

    Parameters
    ----------
    name : str
        Name of the study; letters that it cannot hold are replaced by hyphens.

    Examples
    --------
    >>> example("my study").count('name = "my-study"')
    1
    """
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "my-study"
    return EXAMPLE.replace('name = "my-study" ', f'name = "{safe}" ', 1)


EXAMPLE = """\
# A study: every arm on every task, many times, each time with other seeds.  This file runs as it is: offline, in
# a few minutes.
#
#     stabilitybench run FILE             does the runs that are missing, then reports; start it again to go on
#     stabilitybench run FILE --dry-run   checks everything and says what would be done
#     stabilitybench list                 shows what may stand below: stabilizers, tasks, encoders
#
# Lines that begin with "# " and hold a key are alternatives to switch on.

name = "my-study"                       # letters, digits, ".", "_", "-"; the report goes to results/<name>/

# Encoders: embedded ones (pocket/...), ids on the Hugging Face hub, or directories with safetensors.
encoders = ["pocket/bert-small"]
# encoders = ["bert-large-uncased", "models/my_encoder"]
# encoders = [{ name = "roberta-base", revision = "main" }]       # a branch, a tag or, better, a commit

# Tasks: pocket/..., glue/..., superglue/..., or a folder of your own with train and dev files.
tasks = ["pocket/acceptability"]
# tasks = ["glue/rte", "file:data/my_task"]
# tasks = [{ name = "glue/cola", n = 1000, metric = "accuracy", revision = "main" }]   # 1000 rows, another headline

# Seeds: a number varies init, order, dropout and prepare together.  A table crosses them, which tells how
# much each contributes: here 3 x 3 x 2 = 18 runs of each arm and task.
seeds = 10
# seeds = { init = 3, order = 3, dropout = 2 }      # also: subset (which n rows), prepare
# What they can show, before you spend the hours: stabilitybench plan FILE

baseline = "bert-adam"                  # the arm that the others are compared with

# What all arms share.  Keys that are left out have the values of their comments.
[recipe]
# mode = "full"               # or "head": a linear layer on features of the frozen encoder
# features = "cls"            # what that layer reads: cls, mean, pooler
# learning_rate = 2e-5        # peak; default: what the encoder itself recommends (pocket), or 2e-5
# batch_size = 16
# micro_batch = 8             # rows in one forward pass, where memory is short; default: the whole batch
# epochs = 3
# steps = 100                 # instead of epochs
# warmup = 0.1                # fraction of the steps
# schedule = "linear"         # constant, slanted
# weight_decay = 0.01         # never on biases and layer norms
# betas = [0.9, 0.999]
# epsilon = 1e-8
# bias_correction = true
# decay_order = "before"      # decay before the step, as torch does, or "after" it
# clip = 1.0                  # largest gradient norm; 0: off
# clip_scope = "global"       # or "tensor": each tensor on its own
# dropout = 0.1               # default: the encoder's own rates
# dropout_off = ["embeddings", "layer.0"]           # module groups without dropout
# max_length = 128            # tokens; longer texts are cut, counted and reported
# precision = "fp32"          # or "bf16"
# evaluations = 10            # on the validation split, evenly spaced

# Arms: lists of stabilizers on that recipe.  An empty list is the plain recipe: AdamW with bias correction.
[arms]
bert-adam = ["bert-adam"]
debiased = []
reinit = [{ reinit = { layers = 1 } }]
freeze = [{ freeze = { layers = 1, embeddings = true } }]
# both = ["bert-adam", { reinit = { layers = 2 } }]
# longer = { stabilizers = [], recipe = { epochs = 10 } }         # an arm may have recipe keys of its own

# Choosing settings: a grid, searched on seeds of their own by mean validation score, before the study runs.
# [tune]
# seeds = 3
# scope = "arm"               # every arm gets its own choice; "baseline": the baseline's choice serves all
# grid = { learning_rate = [1e-4, 3e-4, 1e-3], epochs = [3, 6] }

# Looking before the end: declare the numbers of seeds at which you will look, and p-values and intervals allow for it.
# seeds is then one of them; raise it with --set seeds=20.
# [looks]
# sizes = [10, 20]
# bounds = "pocock"           # every look at one level; "obrien-fleming": little for early looks
"""
