"""What can stand in a study file: stabilizers, tasks and encoders, one line each."""

from __future__ import annotations

from dataclasses import fields

from rich import box
from rich.table import Table
from rich.text import Text

from stabilitybench.encoders import pocket_encoders
from stabilitybench.encoders.layout import ARCHITECTURES
from stabilitybench.errors import UserError, shown, suggest
from stabilitybench.stabilizers import catalogue
from stabilitybench.tasks import task_catalogue

KINDS = ("all", "stabilizers", "tasks", "encoders")


def catalogue_tables(kind: str) -> list[Table]:
    """Return the tables of what can stand in a study file.

    Parameters
    ----------
    kind : {"all", "stabilizers", "tasks", "encoders"}
        Which of them.

    Raises
    ------
    UserError
        For another kind.
    """
    if kind not in KINDS:
        raise UserError(f'list "{kind}": must be one of {", ".join(KINDS)}{suggest(kind, list(KINDS))}')
    tables = {"stabilizers": _stabilizers, "tasks": _tasks, "encoders": _encoders}
    return [make() for name, make in tables.items() if kind in (name, "all")]


def _stabilizers() -> Table:
    table = _table("Stabilizers", "name", "what it does, its parameters and their defaults, its paper")
    for name, cls in catalogue().items():
        given = ", ".join(f"{f.name} = {'unset' if f.default is None else shown(f.default)}" for f in fields(cls))  # type: ignore[arg-type]
        said = Text(cls.summary())
        said.append("".join(f"\n{line}" for line in (given, cls.paper) if line), style="dim")
        table.add_row(Text(name), said)
    return table


def _tasks() -> Table:
    table = _table("Tasks", "name", "what it asks")
    for name, line in task_catalogue():
        _add(table, name, line)
    return table


def _encoders() -> Table:
    table = _table("Encoders", "name", "what it is")
    for name, card in pocket_encoders().items():
        _add(table, name, _card(card))
    *families, last = (family.title for family in ARCHITECTURES.values())
    _add(table, "HUB/ID", f"any {', '.join(families)} or {last} with safetensors, such as roberta-base")
    _add(table, "DIR", "a directory with config.json, tokenizer and model.safetensors")
    return table


def _card(card: dict[str, object]) -> str:
    spec = card.get("spec")
    if not isinstance(spec, dict):
        return "embedded"
    family = ARCHITECTURES.get(str(spec.get("architecture")))
    style = "encoder" if family is None else family.title
    size = float(str(card.get("parameters", 0))) / 1e6
    return f"embedded {style}: {spec['layers']} layers, {spec['width']} wide, {size:.1f}M parameters, pocket language"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=i == 0)
    return table


def _add(table: Table, *cells: str) -> None:
    # Files of users may register stabilizers: their words are text, never markup.
    table.add_row(*map(Text, cells))
