"""The checks on an encoder and a task of one's own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stabilitybench.encoders import load_encoder
from stabilitybench.errors import UserError
from stabilitybench.finetuning.resolution import task_facts
from stabilitybench.power import minimal_detectable_rate, minimal_detectable_ratio
from stabilitybench.recipe import Recipe
from stabilitybench.stabilizers import build
from stabilitybench.statistics.decisions import ALPHA, POWER
from stabilitybench.studies import Study
from stabilitybench.tasks import load_task

if TYPE_CHECKING:
    import pandas as pd

    from stabilitybench.storage.pool import Progress

BASELINE = "debiased-adam"
#: The arms that the checks of tier real compare; `freeze` freezes half of the encoder's layers.
ARMS = (BASELINE, "bert-adam", "reinit", "freeze", "longer", "mixout", "llrd", "mmr", "mh-loss", "surt")


def real_study(
    encoder: str,
    task: str,
    seeds: int,
    store: str | Path,
    *,
    arms: Iterable[str] = ARMS,
    rows: int | None = None,
    rate: float | None = None,
) -> Study:
    """Return the study of the checks of tier real.

    Arms that cannot work there are left out (`refused`).

    Parameters
    ----------
    encoder : str
        Name or folder of a pre-trained encoder.
    task : str
        Name of a task, or its files.
    seeds : int
        Runs of each arm.
    store : str or Path
        Folder of finished runs.
    arms : iterable of str, default `ARMS`
        Those wanted of `ARMS`; the baseline is always one.
    rows : int, optional
        Training rows drawn from the task; unset, all.
    rate : float, optional
        Peak learning rate; unset, the encoder's own, or 2e-5.

    Raises
    ------
    UserError
        Where encoder, task or a number is refused.
    """
    wanted = {BASELINE, *arms} - set(refused(encoder, task))
    entry = {"name": task} if rows is None else {"name": task, "n": rows}
    recipe = {"evaluations": 5} | ({} if rate is None else {"learning_rate": rate})
    raw = {
        "name": "real", "encoders": [encoder], "tasks": [entry], "seeds": seeds, "baseline": BASELINE,
        "recipe": recipe, "arms": {arm: _methods(arm, encoder) for arm in ARMS if arm in wanted},
    }  # fmt: skip
    return Study.from_dict(raw, store=store, results=Path(store) / "results")


def refused(encoder: str, task: str) -> dict[str, str]:
    """Return the arms that cannot work on an encoder and a task, each with the reason.

    Parameters
    ----------
    encoder : str
        Name or folder of a pre-trained encoder.
    task : str
        Name of a task, or its files.

    Examples
    --------
    >>> list(refused("pocket/bert-small", "pocket/similarity"))
    ['mmr']
    """
    model, facts = load_encoder(encoder), task_facts(load_task(task))
    recipe, reasons = Recipe(), {}
    for arm in ARMS:
        for entry in _methods(arm, encoder):
            method = build(entry) if isinstance(entry, str) else build(*next(iter(entry.items())))
            try:
                method.supports(recipe, model.layout, facts)
            except UserError as error:
                reasons[arm] = str(error)
    return reasons


def _methods(arm: str, encoder: str) -> list[Any]:
    return [{"freeze": {"layers": load_encoder(encoder).layout.depth // 2}}] if arm == "freeze" else [arm]


def real_table(
    study: Study, *, jobs: int | None = None, device: str = "auto", progress: Progress | None = None
) -> pd.DataFrame:
    """Do what the study still lacks and return its runs, as the checks read them.

    Parameters
    ----------
    study : Study
        As `real_study` makes it.
    jobs : int, optional
        Worker processes; unset, one for each core, or each GPU.
    device : str, default "auto"
        "auto", "cpu", "cuda" or "cuda:K".
    progress : Progress, optional
        Who watches.

    Returns
    -------
    DataFrame
        One row per run, see `stabilitybench.claims.evidence_tables.runs_table`.

    Raises
    ------
    MissingEvidence
        Where a run could not be finished.
    """
    from stabilitybench.claims.evidence_tables import runs_table

    study.run(jobs=jobs, device=device, progress=progress)
    return runs_table([study])


def reach(n: int) -> tuple[str, ...]:
    """Say what n runs per arm can and cannot show, one sentence each.

    Parameters
    ----------
    n : int
        Runs per arm, at least 2.

    Returns
    -------
    tuple of str
        The detectable SD ratio, failure rate and difference of means, with a power of 80 %.

    Examples
    --------
    >>> reach(5)[0]
    '5 runs per arm: no SD ratio up to 100 is detected with a power of 80 %.'
    """
    from scipy.stats import t

    ratio = minimal_detectable_ratio(n, n, ALPHA, POWER).above
    rate = minimal_detectable_rate(n, n, 0.0, ALPHA, POWER).above
    df = 2 * (n - 1)
    means = float(t.isf(ALPHA / 2, df) + t.isf(1 - POWER, df)) * (2 / n) ** 0.5
    power = f"with a power of {100 * POWER:.0f} %"
    spread = "no SD ratio up to 100" if ratio is None else f"an SD ratio of {ratio:.2f}"
    failures = "no failure rate is" if rate is None else f"a failure rate of {100 * rate:.0f} % against 0 % is"
    return (
        f"{n} runs per arm: {spread} is detected {power}.",
        f"{n} runs per arm: {failures} detected {power}.",
        f"{n} runs per arm: means {means:.1f} SDs apart are detected {power}.",
    )
