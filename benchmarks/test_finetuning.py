"""Our training loop beside a plain transformers loop: the same encoder, rows, steps and evaluations.

The peer uses the module's own dropout, torch.optim.AdamW, clip_grad_norm_ and the linear schedule of transformers,
with ready tensors for batches, so that only the loop itself is compared.
"""

import statistics
import time

import torch
from transformers import AutoModelForSequenceClassification, get_linear_schedule_with_warmup

from stabilitybench.encoders import load_encoder
from stabilitybench.finetuning import data, finetune
from stabilitybench.finetuning.resolution import text_length
from stabilitybench.recipe import Recipe
from stabilitybench.seeds import Seeds
from stabilitybench.tasks import load_task

ENCODER, TASK, ROUNDS = "pocket/bert-small", "pocket/acceptability", 5


def plain_loop(encoder, task, recipe, tokens):
    model = AutoModelForSequenceClassification.from_pretrained(encoder.folder, num_labels=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=encoder.learning_rate, weight_decay=0.01)
    total = recipe.total_steps(len(tokens.train))
    schedule = get_linear_schedule_with_warmup(optimizer, int(0.1 * total), total)
    marks = set(recipe.evaluation_steps(total))
    for step, rows in enumerate(data.order(len(tokens.train), recipe.batch_size, total, Seeds()), start=1):
        model.train()
        batch = tokens.train.batch(rows)
        loss = model(batch.tokens, batch.mask, batch.segments, labels=batch.labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step in marks:
            evaluate(model, tokens.validation)
    evaluate(model, tokens.test)


@torch.no_grad()
def evaluate(model, split):
    model.eval()
    by_length = split.mask.sum(1).argsort().numpy()
    for start in range(0, len(split), 64):
        batch = split.batch(by_length[start : start + 64])
        model(batch.tokens, batch.mask, batch.segments)


def test_one_run_beside_a_plain_loop(benchmark):
    encoder, task, recipe = load_encoder(ENCODER), load_task(TASK), Recipe()
    tokens = data.tokenise(encoder, task, text_length(encoder, None))
    ours, theirs = [], []

    def one_round():
        for times, work in (
            (ours, lambda: finetune(encoder, task, recipe)),
            (theirs, lambda: plain_loop(encoder, task, recipe, tokens)),
        ):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)

    benchmark.pedantic(one_round, rounds=ROUNDS, warmup_rounds=1)
    ratio = statistics.median(a / b for a, b in zip(ours[1:], theirs[1:], strict=True))
    benchmark.extra_info.update(
        ours_seconds=statistics.median(ours[1:]), plain_seconds=statistics.median(theirs[1:]), ours_over_plain=ratio
    )
    print(f"\nours {statistics.median(ours[1:]):.2f} s, plain {statistics.median(theirs[1:]):.2f} s, ratio {ratio:.2f}")
