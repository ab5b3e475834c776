"""Bring the kept tables, the verdicts on record and VERDICTS.md up to date.

python paper_checks/update.py                      # closed forms; verdicts and page from the tables that are kept
python paper_checks/update.py --store STORE        # first take the pocket runs that are complete in a run store
python paper_checks/update.py --store STORE --encoder DIR --data DIR   # and those of the real encoder
python paper_checks/update.py --suites STORE       # measure the synthetic suites again
"""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

from stabilitybench.claims import Claims, judge, kept_tables, read_claims
from stabilitybench.claims.closed_forms import forms_table
from stabilitybench.claims.evidence_tables import runs_table, suites_table, write_conditions, write_table
from stabilitybench.claims.page import verdicts_markdown
from stabilitybench.claims.schema import check_name
from stabilitybench.storage.writing import write_atomically
from stabilitybench.studies import Study

HERE = Path(__file__).resolve().parent
RECORDED = HERE / "recorded"
TASKS = {"cola": "CoLA", "rte": "RTE", "stsb": "STS-B"}  # folders of the studies minilm-*.toml
VERDICT = r'^verdict = ".*"$'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="run store to take finished runs from")
    parser.add_argument("--encoder", help="folder of the real encoder, for the studies minilm-*.toml")
    parser.add_argument("--data", help="folder that holds CoLA, RTE and STS-B, for the studies minilm-*.toml")
    parser.add_argument("--suites", type=Path, help="measure the suites again, in this store")
    given = parser.parse_args()
    write_table(forms_table(), RECORDED / "closed-forms.csv")
    if given.suites:
        write_table(suites_table(given.suites), RECORDED / "suites.csv")
    if given.store:
        record_pocket(given.store)
        if given.encoder and given.data:
            record_real(given.store, given.encoder, given.data)
    accept()


def record_pocket(store: Path) -> None:
    """Keep every arm of the pocket studies that is complete in the store."""
    paths = sorted(p for p in (HERE / "studies").glob("*.toml") if not p.stem.startswith("minilm"))
    studies = [Study.from_file(path, store=store) for path in paths if buildable(path, store)]
    table = runs_table(studies, partial=True)
    write_table(table, RECORDED / "pocket.csv")
    write_conditions(RECORDED / "conditions.json")
    print(f"pocket.csv: {len(table)} runs of {table['study'].nunique()} studies")


def buildable(path: Path, store: Path) -> bool:
    """Tell whether this version of the package knows every method of a study."""
    from stabilitybench.errors import UserError

    try:
        Study.from_file(path, store=store).plan()
    except UserError as error:
        print(f"{path.name}: left out ({error})")
        return False
    return True


def record_real(store: Path, encoder: str, data: str) -> None:
    """Keep every arm of the studies on real text that is complete in the store."""
    studies = []
    for path in sorted((HERE / "studies").glob("minilm-*.toml")):
        task = TASKS[path.stem.removeprefix("minilm-")]
        overrides = [f'encoders=["{encoder}"]', f'tasks=[{{ name = "file:{data}/{task}", n = 500 }}]']
        study = Study.from_file(path, overrides, store=store)
        tuned = study.file.tune is None or study.results().tuned
        if tuned:
            studies.append(study)
    table = runs_table(studies, predictions=(), partial=True)
    if table.empty:
        print("minilm.csv: no arm is complete")
        return
    write_table(table, RECORDED / "minilm.csv")
    print(f"minilm.csv: {len(table)} runs of {table['study'].nunique()} studies")


def accept() -> None:
    """Put the verdicts that the tables give on record; review the difference before you keep it."""
    path = HERE / "claims.toml"
    text, before = path.read_text("utf-8"), read_claims(path)
    judged = {j.name: j for j in judge(nothing_on_record(before), kept_tables(RECORDED))}
    names = [check_name(claim, c) for claim in before.claims for c in claim.checks]
    verdicts = [judged[name].verdict if name in judged else "absent" for name in names]
    for name, then, now in zip(names, (c.verdict for x in before.claims for c in x.checks), verdicts, strict=True):
        if now != then:
            print(f"{name}: {then} -> {now}")
    left = iter(verdicts)
    write_atomically(path, re.sub(VERDICT, lambda _: f'verdict = "{next(left)}"', text, flags=re.MULTILINE))
    claims = read_claims(path)
    checks = {
        " / ".join(p for p in (claim.id, c.tier, c.label) if p): (claim, c)
        for claim in claims.claims
        for c in claim.checks
    }
    now = [replace(j, claim=checks[name][0], check=checks[name][1]) for name, j in judged.items()]
    write_atomically(HERE / "VERDICTS.md", verdicts_markdown(claims, now))


def nothing_on_record(file: Claims) -> Claims:
    """Return the claims with every verdict absent: then missing evidence is absent too, and no error."""
    claims = [
        claim.model_copy(update={"checks": [c.model_copy(update={"verdict": "absent"}) for c in claim.checks]})
        for claim in file.claims
    ]
    return file.model_copy(update={"claims": claims})


if __name__ == "__main__":
    main()
