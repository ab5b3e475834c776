"""No file has grown into several, and no room into an attic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import stabilitybench

#: A file of more lines has more than one idea in it.
MOST_LINES = 400
#: A room with a larger share of all lines is an attic.
LARGEST_ROOM = 0.15


def lines_of(files: Iterator[Path]) -> dict[Path, int]:
    return {file: len(file.read_text("utf-8").splitlines()) for file in files}


def test_files_are_short_and_no_room_is_an_attic():
    home = Path(stabilitybench.__file__).parent
    lines = lines_of(home.rglob("*.py"))
    assert {file.name: n for file, n in lines.items() if n > MOST_LINES} == {}
    rooms = {room.name: sum(lines_of(room.rglob("*.py")).values()) for room in home.iterdir() if room.is_dir()}
    total = sum(lines.values())
    assert {room: n for room, n in rooms.items() if n > LARGEST_ROOM * total} == {}
