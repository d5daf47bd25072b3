"""A fault at its place: the line as it stands in the file, and a caret below it.

Whatever the line holds, the caret stands below the right character: tabs, wide and unseen ones too.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import accumulate

from bot.terminal import neutral

_TAB = "    "
_CUT = "…"


def excerpt(line: str, column: int, width: int) -> tuple[str, str]:
    """`line` without its indent, and below it a caret at `column`, counted from 1 in the file.

    At most `width` columns wide: of a longer line the part around the caret, … where it is cut.
    """
    indent = min(len(line) - len(line.lstrip()), column - 1)
    cells = [_cell(character) for character in line[indent:].rstrip()]
    place = min(column - 1 - indent, len(cells))
    begin, end = _window(cells, place, width)
    before = _CUT if begin else ""
    after = _CUT if end < len(cells) else ""
    shown = before + "".join(cells[begin:end]) + after
    return shown, " " * (len(before) + sum(map(_columns, cells[begin:place]))) + "^"


def _window(cells: Sequence[str], place: int, width: int) -> tuple[int, int]:
    """Which cells are shown: from the first on where that reaches `place`, else around it."""
    ends = [0, *accumulate(map(_columns, cells))]
    if ends[-1] <= width:
        return 0, len(cells)
    room = width - 2 * len(_CUT)
    middle = ends[place] - room // 2
    latest = ends[-1] - room
    start = max(0, min(middle, latest))
    begin = next(index for index, end in enumerate(ends) if end >= start)
    fitting = [index for index, end in enumerate(ends) if end - ends[begin] <= room]
    return begin, fitting[-1]


def _cell(character: str) -> str:
    if character == "\t":
        return _TAB
    # A mark that joins the letter before it stays one with it.
    return character if unicodedata.combining(character) else neutral(character)


def _columns(cell: str) -> int:
    if len(cell) > 1:
        return len(cell)
    if unicodedata.combining(cell):
        return 0
    return 2 if unicodedata.east_asian_width(cell) in "WF" else 1
