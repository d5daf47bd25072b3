"""Files that are replaced as a whole, by one at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bot.whole_file import sole_writer, write_whole


def test_of_many_at_once_each_sees_what_the_one_before_has_written(tmp_path: Path) -> None:
    file = tmp_path / "count"
    file.write_text("0")
    link = tmp_path / "elsewhere" / "count"
    link.parent.mkdir()
    link.symlink_to(file)

    def count(path: Path) -> None:
        with sole_writer(path):
            draft = path.resolve()
            write_whole(draft, str(int(path.read_text()) + 1).encode())

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, [file, link] * 20))

    assert file.read_text() == "40"


def test_where_no_directory_can_be_opened_nobody_is_held_up(tmp_path: Path) -> None:
    with sole_writer(tmp_path / "missing" / "file"):
        pass


def test_the_lock_ends_with_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        try:
            with sole_writer(tmp_path / "file"):
                raise ValueError
        except ValueError:
            continue
