"""Reading one table of text: TSV, CSV, JSON lines or Parquet, as untrusted input.

Every defect of a file is one sentence that names the file and the line.  Nothing is executed or unpickled.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stabilitybench.errors import UserError
from stabilitybench.storage.foreign import MAX_BYTES, check_depth, open_foreign, read_foreign

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

#: Longest line accepted, in characters; a longer one is not a row of text but a damaged or foreign file.
MAX_LINE = 1_000_000
#: Most columns of a table, and most cells: a damaged or hostile file is told before it fills the memory.
MAX_COLUMNS = 1_000
MAX_CELLS = 20_000_000
#: Rows of Parquet that are unpacked at a time.
BATCH = 4096
EMPTY = "the file is empty; it must hold labelled rows"


@dataclass(frozen=True)
class RawTable:
    """Rows of one file.

    Attributes
    ----------
    path : str
        The file as named in messages.
    header : tuple of str, length c
        Column names, lower case.
    rows : list of list, shape (n, c)
        Cells of each row, in the order of the header.
    lines : list of int, length n
        Where each row starts, counted from 1.
    unit : {"line", "row"}, default "line"
        What `lines` counts.
    """

    path: str
    header: tuple[str, ...]
    rows: list[list[Any]]
    lines: list[int]
    unit: str = "line"

    def where(self, row: int) -> str:
        """Return ``path: line 7`` for a row.

        Parameters
        ----------
        row : int
            Its number, from 0.
        """
        return f"{self.path}: {self.unit} {self.lines[row]}"


def quote(value: object) -> str:
    """Return a value as it may stand in a message: on one line, escaped, at most 40 characters.

    Parameters
    ----------
    value : object
        A cell of a file.

    Returns
    -------
    str
        In double quotes.

    Examples
    --------
    >>> quote("a" * 99) == '"' + "a" * 37 + '..."'
    True
    """
    text = str(value)
    return json.dumps(text if len(text) <= 40 else text[:37] + "...", ensure_ascii=not text.isprintable())


def read_table(file: Path) -> RawTable:
    """Read a table of text.

    Parameters
    ----------
    file : Path
        Its suffix tells the format: ``.tsv``, ``.csv``, ``.jsonl`` or ``.parquet``.

    Returns
    -------
    RawTable
        Header and rows; the broken rows of GLUE's QQP files are blank.

    Raises
    ------
    UserError
        One sentence with file and line, for anything that is not such a table.
    """
    try:
        return READERS[file.suffix](file)
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror or error}") from error


def _check_size(file: Path, columns: int, rows: int) -> None:
    if columns > MAX_COLUMNS:
        raise UserError(f"{file}: has {columns} columns; a table of text has at most {MAX_COLUMNS}")
    if columns * rows > MAX_CELLS:
        raise UserError(f"{file}: has {columns * rows} cells; a table of text has at most {MAX_CELLS}")


def _lines(file: Path) -> list[str]:
    """Return the lines of a UTF-8 text file, without their ends."""
    raw = read_foreign(file)
    if b"\0" in raw:
        at = raw[: raw.index(b"\0")].count(b"\n") + 1
        raise UserError(f"{file}: line {at}: NUL byte; the file is binary, it must be UTF-8 text")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = raw[: error.start].count(b"\n") + 1
        raise UserError(f"{file}: line {at}: not UTF-8 text; save the file as UTF-8") from error
    if not text.strip():
        raise UserError(f"{file}: {EMPTY}")
    # Only \n and \r\n end a line: splitlines() would also cut at characters that occur inside sentences.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE:
            raise UserError(f"{file}: line {number}: {len(line)} characters; at most {MAX_LINE} are allowed")
    return lines


def _tsv(file: Path) -> RawTable:
    # Quotes are literal characters in GLUE's files, so a row is a line and a cell is what stands between
    # tabs.
    cells = [(number, line.split("\t")) for number, line in enumerate(_lines(file), 1) if line.strip()]
    if _is_cola(cells[0][1]):
        return _rectangular(file, COLA_HEADER, cells)
    return _rectangular(file, _header(file, cells[0][1]), cells[1:])


#: The columns of GLUE's CoLA files, which have no header: source, label, the author's mark, sentence.
COLA_HEADER = ("source", "label", "mark", "sentence")


def _is_cola(first: list[str]) -> bool:
    return len(first) == 4 and first[1] in ("0", "1") and set(first[2]) <= set("*?#%")


def _csv(file: Path) -> RawTable:
    reader = csv.reader(io.StringIO("\n".join(_lines(file)) + "\n", newline=""), strict=True)
    cells, start = [], 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                cells.append((start, row))
            start = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{file}: line {start}: not readable as CSV ({error}); check its quotes") from error
    if not cells:
        raise UserError(f"{file}: {EMPTY}")
    return _rectangular(file, _header(file, cells[0][1]), cells[1:])


def _header(file: Path, cells: list[str]) -> tuple[str, ...]:
    _check_size(file, len(cells), 0)
    header = tuple(cell.strip().lower() for cell in cells)
    for name in header:
        if name and header.count(name) > 1:
            raise UserError(f"{file}: the column {quote(name)} occurs twice; column names must differ")
    return header


def _rectangular(file: Path, header: tuple[str, ...], cells: list[tuple[int, list[str]]]) -> RawTable:
    rows = []
    for line, row in cells:
        if len(row) == len(header):
            rows.append(row)
        elif header == QQP_HEADER:  # the released file has a few broken rows: blanked here, left out by `files`
            rows.append([""] * len(header))
        else:
            raise UserError(f"{file}: line {line}: {len(row)} cells; every row needs {len(header)}")
    return RawTable(str(file), header, rows, [line for line, _ in cells])


#: The columns of GLUE's QQP train and dev files.
QQP_HEADER = ("id", "qid1", "qid2", "question1", "question2", "is_duplicate")


def _jsonl(file: Path) -> RawTable:
    records: list[dict[str, Any]] = []
    numbers = []
    for number, line in enumerate(_lines(file), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line, object_pairs_hook=_record)
            check_depth(record)
        except RecursionError as error:
            raise UserError(f"{file}: line {number}: nested too deeply; a row is a flat object") from error
        except ValueError as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error).partition(":")[0]
            raise UserError(f"{file}: line {number}: not valid JSON ({reason})") from error
        if not isinstance(record, dict):
            raise UserError(f'{file}: line {number}: not a JSON object; a row is {{"sentence": ..., "label": ...}}')
        records.append(dict(zip(_header(file, list(record)), record.values(), strict=True)))
        numbers.append(number)
    header = tuple(dict.fromkeys(name for record in records for name in record))
    _check_size(file, len(header), len(records))
    return RawTable(str(file), header, [[r.get(name) for name in header] for r in records], numbers)


def _record(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError("a key occurs twice")
    return record


def _parquet(file: Path) -> RawTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open_foreign(file) as stream:
        if not stream.read(1):
            raise UserError(f"{file}: {EMPTY}")
        try:
            schema = pq.read_schema(stream)
            names = [field.name for field in schema if not pa.types.is_nested(field.type)]
            texts = [name for name in names if pa.types.is_string(schema.field(name).type)]
            table = pq.ParquetFile(stream, read_dictionary=texts)
            _check_size(file, len(names), table.metadata.num_rows)
            columns = _unpacked(file, table, names)
        except UserError:
            raise
        except (pa.ArrowException, ValueError, OverflowError, OSError) as error:
            raise UserError(f"{file}: not readable as Parquet; the file is damaged or of another format") from error
    header = _header(file, names)
    rows = [list(row) for row in zip(*columns, strict=True)]
    return RawTable(str(file), header, rows, list(range(1, len(rows) + 1)), unit="row")


def _unpacked(file: Path, table: ParquetFile, names: list[str]) -> list[list[Any]]:
    """Return the values of columns; a few bytes of Parquet can stand for any number of long texts.

    Texts are read as numbers of those that differ, whose lengths are summed before any row is made.
    """
    groups = range(table.metadata.num_row_groups)
    length = sum(table.metadata.row_group(group).total_byte_size for group in groups)
    columns: list[list[Any]] = [[] for _ in names]
    batches = table.iter_batches(BATCH, columns=names) if length <= MAX_BYTES else ()
    length = 0 if batches else length
    for batch in batches:
        length += sum(map(_length, batch.columns))
        if length > MAX_BYTES:
            break
        for values, column in zip(columns, batch.columns, strict=True):
            values += _values(column)
    if length > MAX_BYTES:
        raise UserError(f"{file}: unpacks to more than {MAX_BYTES} bytes, which is the most allowed")
    return columns


def _length(column: Any) -> int:
    """Return the bytes of a column with every text written out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not isinstance(column, pa.DictionaryArray) or not pa.types.is_string(column.type.value_type):
        return int(column.nbytes)
    lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
    return int(pc.sum(pc.cast(lengths, pa.int64())).as_py() or 0)


def _values(column: Any) -> list[Any]:
    import pyarrow as pa

    if not isinstance(column, pa.DictionaryArray):
        return list(column.to_pylist())
    known = column.dictionary.to_pylist()
    return [None if place is None else known[place] for place in column.indices.to_pylist()]


#: How each suffix is read.
READERS: dict[str, Callable[[Path], RawTable]] = {
    ".tsv": _tsv,
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
