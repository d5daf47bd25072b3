"""`placet policy check | test | schema`: what a security engineer sees before anybody trusts it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.cli.excerpts import excerpt
from tests.bot.cli.conftest import Shell

REFERENCE = Path(__file__).parents[2] / "approvals/policy/reference"
SECRET = "whsec_pastedintothewrongplace"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    shutil.copytree(REFERENCE, tmp_path / "config")
    return tmp_path / "config"


def change(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)


def test_a_sound_policy_is_said_to_be_one(shell: Shell, directory: Path) -> None:
    result = shell.now("policy", "check", str(directory))
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "policy.yaml, people.yaml, services.yaml, fixtures.yaml: no faults. Policy\n"
        "| version 3f7d46d12c7e, 6 rules (1 in shadow), 7 fixtures.\n"
    )
    assert shell.now("policy", "check", "--json").data == {
        "ok": True,
        "version": "3f7d46d12c7e",
        "rules": 6,
        "shadow_rules": 1,
        "fixtures": 7,
        "faults": [],
    }


def test_without_fixtures_none_are_named(shell: Shell, directory: Path) -> None:
    (directory / "fixtures.yaml").unlink()
    change(directory / "policy.yaml", ("mode: shadow", "mode: enforce"))
    assert shell.now("policy", "check").out == (
        "policy.yaml, people.yaml, services.yaml: no faults. Policy version\n"
        "| 516efe47d96f, 6 rules, no fixtures.\n"
    )


def test_every_fault_stands_at_its_place_with_its_remedy(shell: Shell, directory: Path) -> None:
    change(
        directory / "policy.yaml",
        ('"!device.managed"', '"!device.manged"'),
        ("distinct_groups: true,", "distinct_groups: true, expires_inn: 5m,"),
        ("[XA, XB]", "[XA, NO]"),
    )
    change(directory / "services.yaml", ("asserts: [", "asserts: [geo.contry, "))
    change(directory / "fixtures.yaml", ("threshold: 1,", "treshold: 1,"))
    result = shell.now("policy", "check")
    assert (result.code, result.err) == (1, "")
    told, _, last = result.out.partition("fixtures.yaml:8:32: ")
    assert last.startswith("`treshold` is not a key here\n")
    assert "\n    expect: {decision: review, treshold: 1, rule: everything-else}\n" in last
    assert last.endswith(f"\n\n5 faults in {directory}\n")
    assert told == BROKEN


BROKEN = """\
policy.yaml:5:17: `NO` is read by YAML as false, not as text
    BLOCKED: [XA, NO]
                  ^
  Quote it: "NO"

policy.yaml:17:13: no attribute is called `device.manged`
    when: "!device.manged"
            ^
  Did you mean `device.managed`?

policy.yaml:27:92: `expires_inn` is not a key here
    …shold: 2, groups: [privacy, duty], distinct_groups: true, expires_inn: 5m,
                                                               ^
  Did you mean `expires_in`?

services.yaml:4:15: no attribute is called `geo.contry`
  Did you mean `geo.country`?

"""


def test_lines_of_people_and_services_are_not_shown(shell: Shell, directory: Path) -> None:
    change(directory / "people.yaml", ("name: Anna,", f"name: Anna, token: {SECRET},"))
    result = shell.now("policy", "check")
    assert "people.yaml:2:" in result.out
    assert SECRET not in result.out
    told = shell.now("policy", "check", "--json").data["faults"]
    assert told[0]["message"] == "`token` is not a key here"
    assert SECRET not in json.dumps(told)


def test_no_such_directory_is_wrong_usage(shell: Shell, tmp_path: Path) -> None:
    result = shell.now("policy", "check", str(tmp_path / "nowhere"))
    assert (result.code, result.err) == (2, f"{tmp_path / 'nowhere'} is no directory.\n")


@pytest.mark.parametrize(
    ("line", "column", "width", "shown", "caret"),
    [
        ("  when: abc", 9, 40, "when: abc", "      ^"),
        ("\twhen:\tabc", 8, 40, "when:    abc", "         ^"),
        ("名前: abc", 5, 40, "名前: abc", "      ^"),
        ("e\u0301: abc", 5, 40, "e\u0301: abc", "   ^"),
        ("a\x1b: abc", 5, 40, "a<U+001B>: abc", "           ^"),
        ("abc", 9, 40, "abc", "   ^"),
        ("a" * 30 + "!" + "b" * 30, 31, 11, "…aaaa!bbbb…", "     ^"),
        ("a" * 30 + "!", 31, 11, "…aaaaaaaa!", "         ^"),
        ("!" + "a" * 30, 1, 11, "!aaaaaaaa…", "^"),
        ("  ", 2, 11, "", "^"),
    ],
)
def test_the_caret_stands_below_its_character(
    line: str, column: int, width: int, shown: str, caret: str
) -> None:
    assert excerpt(line, column, width) == (shown, caret)


@given(st.text("ab c\u0301é", min_size=1, max_size=90), st.data())
def test_the_caret_is_always_within_the_width(line: str, data: st.DataObject) -> None:
    column = data.draw(st.integers(1, len(line)))
    shown, caret = excerpt(line, column, 20)
    assert all(sum(c != "\u0301" for c in one) <= 20 for one in (shown, caret))
    cells = [c for c in shown if c != "\u0301"]
    here = line[column - 1]
    if not here.isspace() and here != "\u0301":
        assert cells[len(caret) - 1] == here


def test_cases_and_coverage_are_told(shell: Shell, directory: Path) -> None:
    result = shell.now("policy", "test", str(directory))
    assert result.code == 0
    *rows, _, last = result.out.splitlines()
    assert rows[:2] == [
        "        CASE                                 DECISION  RULE",
        "✓ pass  unmanaged device                     deny      managed-device-only",
    ]
    assert len(rows) == 8
    assert last == "7 cases: 7 pass, 0 fail. 6 rules: 6 met, 0 not."


def test_the_table_fits_the_width_however_long_names_are(shell: Shell, directory: Path) -> None:
    for file, before in (("policy.yaml", "special-data"), ("fixtures.yaml", "special-data")):
        change(directory / file, (before, "s" * 90))
    change(directory / "fixtures.yaml", ("caller adds a special class", "w" * 120))
    result = shell.now("policy", "test", str(directory))
    rows = result.out.splitlines()[:8]
    assert result.code == 0
    assert max(map(len, rows)) == 80
    assert rows[5].split() == ["✓", "pass", "w" * 27 + "…", "review", "s" * 31 + "…"]


def test_a_failure_says_what_was_expected_and_why_it_is_not(shell: Shell, directory: Path) -> None:
    change(directory / "policy.yaml", ("request.record_count > 500", "request.record_count > 501"))
    change(
        directory / "fixtures.yaml", ("requester.roles:", "requester.groups: [a], requester.roles:")
    )
    result = shell.now("policy", "test")
    assert result.code == 1
    row = "✗ FAIL  501 records need two                 review    everything-else\n"
    assert row in result.out
    assert result.out.partition("\n\n")[2] == FAILED
    told = shell.now("policy", "test", "--json").data
    assert (told["ok"], told["untested_rules"]) == (False, ["export-needs-two"])
    assert told["cases"][3]["differences"] == [
        {"key": "rule", "expected": "export-needs-two", "got": "everything-else"},
        {"key": "threshold", "expected": 2, "got": 1},
    ]
    assert told["cases"][3]["ignored"] == ["requester.groups"]


def test_a_case_that_would_not_come_as_far_as_policy_is_told(shell: Shell, directory: Path) -> None:
    change(directory / "services.yaml", ('actions: ["*"]', "actions: [customer.read]"))
    result = shell.now("policy", "test", "--json")
    assert result.code == 0
    why = "crm may not ask for customer.export (services.yaml)"
    assert [one["hindrances"] for one in result.data["cases"]][1:4] == [[], [why], [why]]
    told = shell.now("policy", "test").out
    assert (
        f"Refused before policy is asked, as in 2 cases: {why}.".split()[:9]
        == (told[told.index("Refused") :].split()[:9])
    )


FAILED = """\
✗ 501 records need two (fixtures.yaml:9)
  rule      expected export-needs-two, got everything-else
  threshold expected 2, got 1
  because
   deny pass  managed-device-only        false  device.managed=true (crm)
              country-known-and-allowed  false  geo.country=DE (crm)
   rules      export-needs-two           false  request.record_count=501 (crm)
                                                geo.country=DE (crm)
              special-data               false  request.data_classes=[contact,
                                                | financial] (the action)
              everything-else            TRUE   <- decided

crm may not assert requester.groups: dropped in 7 cases.

No case meets export-needs-two: a wrong word in them would go unnoticed.
7 cases: 6 pass, 1 fail. 6 rules: 5 met, 1 not.
"""


def test_faults_of_the_files_come_first(shell: Shell, directory: Path) -> None:
    change(directory / "policy.yaml", ("version: 1", "version: 2"))
    result = shell.now("policy", "test")
    assert result.code == 1
    assert "policy.yaml:1:10: `version` is not a version this release reads" in result.out
    assert "CASE" not in result.out


@pytest.mark.parametrize("cases", [None, "cases: []\n"])
def test_without_cases_it_says_how_to_write_one(
    shell: Shell, directory: Path, cases: str | None
) -> None:
    fixtures = directory / "fixtures.yaml"
    fixtures.unlink()
    if cases:
        fixtures.write_text(cases)
    result = shell.now("policy", "test")
    assert result.code == 1
    first, _, _, *example, _, _ = result.out.splitlines()
    assert first == f"{fixtures} {'has no cases' if cases else 'is missing'}."
    fixtures.write_text("\n".join(example))
    assert "✓ pass" not in result.out
    told = shell.now("policy", "test").out
    assert "what it shows" in told


def test_signals_are_the_business_of_processes_alone(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, hears in ((("policy", "check"), False), (("pending",), False), (("serve",), True)):
        with pytest.raises(SystemExit):
            shell.now(*words, "--help")
        assert ("SIGHUP" in capsys.readouterr().out) is hears


def test_the_schema_is_json_with_and_without_the_option(shell: Shell) -> None:
    plain = shell.now("policy", "schema")
    assert (plain.code, plain.data) == (0, shell.now("policy", "schema", "--json").data)
    assert plain.data["title"] == "policy.yaml of Placet"
    people = shell.now("policy", "schema", "--file", "people").data
    assert list(people["properties"]) == ["people", "groups"]
    assert shell.now("policy", "--json", "schema").out.count("\n") == 1
