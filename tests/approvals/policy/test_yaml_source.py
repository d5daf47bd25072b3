from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from approvals.policy.source import ANY, Source
from approvals.policy.yaml_source import LOADER, MAX_BYTES, parse_source, read_source

QUOTE = 'Put the whole text in quotes: "..."'
LOADERS = [yaml.SafeLoader, LOADER]


@pytest.fixture(params=LOADERS, ids=["pure", "default"])
def loader(request: pytest.FixtureRequest) -> type[yaml.SafeLoader]:
    chosen: type[yaml.SafeLoader] = request.param
    return chosen


def _told(source: Source) -> list[str]:
    return [str(issue) for issue in source.issues]


def test_values_come_with_the_place_of_each(loader: type[yaml.SafeLoader]) -> None:
    source = parse_source("f.yaml", b"a:\n  b: [x, {c: 7}]\n  d: off\n", loader)
    assert source.data == {"a": {"b": ["x", {"c": 7}], "d": False}}
    assert source.places["a", "b", 1, "c"] == (2, 14)
    assert source.key_places["a", "d"] == (3, 3)
    assert source.bare == {("a", "b", 1, "c"): "7", ("a", "d"): "off"}
    assert source.find("a", "b", ANY, "c") == [(("a", "b", 1, "c"), 7)]
    assert source.find("a", "nothing") == []
    assert source.find("a", "d", ANY) == []
    assert source.names("a", "b", ANY) == {"x"}
    assert str(source.issue(("a", "b", 9), "m", "R")) == "f.yaml:2:6: m. R"


def test_only_decimal_numbers_are_numbers(loader: type[yaml.SafeLoader]) -> None:
    text = b"[010, 1_0, 12:30, 0x1F, 1.5, 2030-01-31, -4, 0]"
    expected = ["010", "1_0", "12:30", "0x1F", "1.5", "2030-01-31", -4, 0]
    assert parse_source("f.yaml", text, loader).data == expected


EMPTY = "1:1: the file is empty. Write it, beginning with a copy of Placet's examples/config"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", EMPTY),
        ("~", EMPTY),
        ("a: 1\n---\nb: 2\n", "2:1: a second document begins here. Keep one; remove the `---`"),
        ("? [a]\n: b\n", "1:3: a key must be text. Write a plain name before the colon"),
        ("<<: {a: 1}\n", '1:1: the key `<<` is not text in YAML. Quote it: "<<"'),
        ("!x a: 1\n", '1:1: the key `!x` is not text in YAML. Quote it: "!x"'),
        ("a: !x {b: 1}\n", f"1:4: `!x` is a YAML tag here, not part of a text. {QUOTE}"),
        (
            "a: &x [1]\nb: [*x, 2]\n",
            "2:5: an alias (`*`) is not accepted. Write the value out, or quote it",
        ),
        ("a: " + "[" * 30 + "\n", "1:24: the file is nested too deeply. Use 20 levels at most"),
        (
            "a: 1\nb: \x07\n",
            "2:1: this line holds a control character. Remove what no editor shows",
        ),
        ("a: %b\n", f"1:4: an unquoted text cannot begin with `%` in YAML. {QUOTE}"),
    ],
)
def test_a_text_that_cannot_be_meant_is_refused(
    loader: type[yaml.SafeLoader], text: str, told: str
) -> None:
    assert _told(parse_source("f.yaml", text.encode(), loader)) == [f"f.yaml:{told}"]


def test_what_is_not_yaml_is_told_with_its_place(loader: type[yaml.SafeLoader]) -> None:
    source = parse_source("f.yaml", b"a: 1\nb: c: d\n", loader)
    [told] = _told(source)
    assert source.data is None
    [quoted] = _told(parse_source("f.yaml", b'a: 1\nb: "x" == y\n', loader))
    assert quoted == (
        "f.yaml:2:4: a text that begins with a quote ends with the next one. "
        "Put the whole text in single quotes: '...'"
    )
    assert told.startswith("f.yaml:2:5: this is not YAML: ")
    assert told.endswith(". Check indentation, colons and quotes")


def test_aliases_of_aliases_fill_no_memory(loader: type[yaml.SafeLoader]) -> None:
    levels = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}x]" for n in range(1, 12)]
    source = parse_source("f.yaml", "\n".join(levels).encode(), loader)
    assert len(source.issues) == 9 * 11
    assert all("alias" in issue.message for issue in source.issues)


def test_an_alias_to_what_holds_it_ends(loader: type[yaml.SafeLoader]) -> None:
    assert len(parse_source("f.yaml", b"a: &a [*a]\n", loader).issues) == 1


def test_the_first_of_two_equal_keys_is_kept_and_the_second_told() -> None:
    source = parse_source("f.yaml", b"a: 1\nb: 2\na: {c: 3}\n")
    assert source.data == {"a": 1, "b": 2}
    told = "f.yaml:3:1: the key `a` stands here twice, first in line 1. Keep one of the two"
    assert _told(source) == [told]


def test_a_file_over_one_mebibyte_is_not_parsed(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    told = "f.yaml:1:1: the file is larger than 1 MiB. Shorten it"
    assert _told(read_source(tmp_path / "f.yaml")) == [told]


def test_a_file_that_is_not_utf_8_is_told_with_its_line() -> None:
    told = "f.yaml:2:1: this line is not UTF-8. Save the file as UTF-8"
    assert _told(parse_source("f.yaml", b"a: b\nc: \xff\n")) == [told]


def test_a_byte_order_mark_does_no_harm() -> None:
    assert parse_source("f.yaml", b"\xef\xbb\xbfa: b\n").data == {"a": "b"}


def test_a_directory_in_place_of_a_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").mkdir()
    told = "f.yaml:1:1: the file cannot be read: Is a directory. "
    told += "Make it a regular file that this user may read"
    assert _told(read_source(tmp_path / "f.yaml")) == [told]


def test_a_pipe_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "policy.yaml")
    [told] = _told(read_source(tmp_path / "policy.yaml"))
    assert told.startswith("policy.yaml:1:1: the file cannot be read: it is no regular file.")


def test_a_number_beyond_all_use_stays_text() -> None:
    assert parse_source("f.yaml", b"a: " + b"9" * 5000).data == {"a": "9" * 5000}
