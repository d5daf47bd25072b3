"""Files that are replaced as a whole, by one at a time."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bot.whole_file import replace_whole, sole_writer, write_whole


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to somebody else")
def test_what_root_replaces_stays_its_owners(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old")
    file.chmod(0o600)
    os.chown(file, 1234, 5678)
    replace_whole(file, b"new")
    after = file.stat()
    assert (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (1234, 5678, 0o600)
    assert file.read_bytes() == b"new"


def test_a_link_stays_a_link_and_the_mode_what_it_was(tmp_path: Path) -> None:
    file, link = tmp_path / "secret", tmp_path / "link"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    replace_whole(link, b"new")
    assert link.is_symlink()
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"new", 0o640)
