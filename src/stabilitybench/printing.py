"""Texts that nobody has vouched for, made fit for a terminal, a log and a table: no character of theirs commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import TextIOBase
from typing import IO, Any

#: Longest sentence that is told of an error, in characters.
LONGEST = 300
#: Characters that our own texts of several lines hold.
LAYOUT = "\n\t"
#: Control characters (C0, C1), marks that turn the direction of text or cannot be seen, and halves of character pairs.
#: Joiners (U+200C, U+200D) stay, as words of some languages need them.
_COMMANDS = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff]"
)


def printable(text: str, keep: str = "") -> str:
    r"""Write out the characters that would command a terminal, end its line, or hide from the eye.

    Parameters
    ----------
    text : str
        Anything, such as a name from a file, or what a library says of one.
    keep : str, default ""
        Characters that stay although they command, such as line breaks in a text of several lines.

    Examples
    --------
    >>> print(printable("a\x1b[31mred\n\u202egnp.exe"))
    a\x1b[31mred\n\u202egnp.exe
    >>> printable("naïve 文 😀") == "naïve 文 😀"
    True
    """
    if text.isprintable():
        return text
    return _COMMANDS.sub(lambda found: found[0] if found[0] in keep else _written_out(found[0]), text)


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def all_printable(value: Any) -> Any:
    r"""Return plain data with every text in it made printable, the keys of tables too.

    Parameters
    ----------
    value : Any
        Tables, lists, texts and numbers, as JSON holds them.

    Examples
    --------
    >>> all_printable({"na\nme": ["\x1b[2J", 1.5, None]})
    {'na\\nme': ['\\x1b[2J', 1.5, None]}
    """
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {all_printable(key): all_printable(item) for key, item in value.items()}
    return [all_printable(item) for item in value] if isinstance(value, (list, tuple)) else value


def one_line(text: str, width: int = LONGEST) -> str:
    """Return a sentence on one printable line; of a longer one the middle is left out.

    A sentence begins with the thing it is about and ends with what is allowed, so both ends are kept.

    Parameters
    ----------
    text : str
        The sentence.
    width : int, default 300
        Characters at most.

    Examples
    --------
    >>> one_line("study.toml: " + "x" * 1000 + ": must be short", width=40)
    'study.toml: xxxxxxx ... x: must be short'
    """
    # What is cut away is never written out, however long it is.
    told = printable(text if len(text) <= 2 * width else f"{text[:width]} ... {text[-width:]}")
    if len(told) <= width:
        return told
    tail = width * 2 // 5
    return f"{told[: width - tail - 5]} ... {told[-tail:]}"


def harmless_cell(text: str) -> str:
    r"""Return a text as the cell of a CSV file: printable, and no formula for the programs that open such files.

    A text that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return gets an apostrophe in front, which
    spreadsheets read as "this is text".

    Parameters
    ----------
    text : str
        The cell; numbers are not handed in, so that they stay numbers.

    Examples
    --------
    >>> harmless_cell("=1+1"), harmless_cell("plain"), harmless_cell("\t=1+1")
    ("'=1+1", 'plain', "'\\t=1+1")
    """
    told = printable(text)
    return f"'{told}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else told


class _Printable(TextIOBase):
    """A stream that writes everything on, made printable."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(printable(text, LAYOUT))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


@contextmanager
def printable_errors(stream: IO[str]) -> Iterator[None]:
    """Make printable what this program, and the libraries it uses, write to standard error while the block runs.

    Parameters
    ----------
    stream : text stream
        Where it goes.

    Yields
    ------
    None
        The block runs.
    """
    with redirect_stderr(_Printable(stream)):
        yield
