"""`placet policy diff`: what a change says and does, over cases and over what was really asked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from approvals.policy.loader import load_configuration
from tests.bot.cli.conftest import Office, Shell
from tests.configurations import POLICY, write_configuration

REFERENCE = Path(__file__).parents[2] / "approvals/policy/reference"
FREEZE = "rules:\n  - {id: freeze, actions: [customer.view], then: {decision: deny}}\n"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    shutil.copytree(REFERENCE, tmp_path / "old")
    return tmp_path / "old"


@pytest.fixture
def new(tmp_path: Path) -> Path:
    shutil.copytree(REFERENCE, tmp_path / "new")
    return tmp_path / "new"


def change(directory: Path, *changes: tuple[str, str]) -> None:
    file = directory / "policy.yaml"
    text = file.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    file.write_text(text)


def test_a_policy_does_not_differ_from_itself(shell: Shell, old: Path, new: Path) -> None:
    result = shell.now("policy", "diff", str(old), str(new))
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "Policy 3f7d46d12c7e -> 3f7d46d12c7e\n\npolicy.yaml: no changes\n\n"
        "people.yaml: no changes\n\nservices.yaml: no changes\n\n"
        "7 fixture cases, 0 answered otherwise.\n\nNothing got looser in what was judged.\n"
    )


def test_what_got_looser_comes_first_and_fails(shell: Shell, old: Path, new: Path) -> None:
    change(
        new,
        ("mode: shadow", "mode: enforce"),
        ("groups: [privacy], expires_in: 30m", "groups: [privacy], expires_in: 20m"),
    )
    result = shell.now("policy", "diff", str(old), str(new / "policy.yaml"))
    assert result.code == 1
    assert result.out == LOOSER
    told = shell.now("policy", "diff", str(old), str(new / "policy.yaml"), "--json").data
    assert (told["is_looser"], told["replay"]) == (True, None)
    (one, *_) = told["cases"]["changed"]
    assert one["direction"] == "looser"
    assert one["new"] == {"decision": "approve", "rule": "single-read-office-hours"}


LOOSER = """\
Policy 3f7d46d12c7e -> 14a9d775e37c

policy.yaml: 2 changes
  stricter  rule `special-data`: `then.expires_in` 30m -> 20m
  other     rule `single-read-office-hours`: `mode` shadow -> enforce

people.yaml and services.yaml are not compared: that takes two directories.

7 fixture cases, 2 answered otherwise:
  LOOSER    customer.read: review, 1 approval, privacy (everything-else) ->
            | approve (single-read-office-hours)
            review becomes approve; grant 15m -> 5m
            1 case: office hours are shadow only
  stricter  customer.read: review, 2 approvals, privacy (special-data) ->
            | review, 2 approvals, privacy (special-data)
            expiry 30m -> 20m
            1 case: caller adds a special class

Something got looser.
"""


def test_stricter_alone_is_fine(shell: Shell, old: Path, new: Path) -> None:
    change(new, ("threshold: 1, groups", "threshold: 2, groups"))
    result = shell.now("policy", "diff", str(old), str(new))
    assert result.code == 0
    assert "  stricter  customer.read: review, 1 approval, privacy" in result.out
    assert result.out.endswith("\nNothing got looser in what was judged.\n")


def test_an_action_taken_away_and_one_added(shell: Shell, old: Path, new: Path) -> None:
    change(new, ("customer.export", "customer.print"))
    fixtures = new / "fixtures.yaml"
    fixtures.write_text(fixtures.read_text().replace("customer.export", "customer.print"))
    told = shell.now("policy", "diff", str(old), str(new), "--json").data
    found = [(one["direction"], one["old"], one["new"]) for one in told["cases"]["changed"]]
    assert [direction for direction, *_ in found] == ["stricter", "stricter", "new", "new"]
    assert found[0][2] is None
    result = shell.now("policy", "diff", str(old), str(new))
    assert "no such action" in result.out


@pytest.mark.parametrize("is_file", [False, True])
def test_faults_of_a_side_are_told(shell: Shell, old: Path, new: Path, *, is_file: bool) -> None:
    change(new, ("device.managed", "device.manged"))
    side = new / "policy.yaml" if is_file else new
    result = shell.now("policy", "diff", str(old), str(side))
    assert result.code == 1
    assert "policy.yaml:17:13: no attribute is called `device.manged`" in result.out


def test_what_is_neither_path_nor_version_is_wrong_usage(shell: Shell, old: Path) -> None:
    result = shell.now("policy", "diff", str(old), "yesterday")
    assert (result.code, "no version of a policy" in result.err) == (2, True)


def test_a_version_needs_a_deployment(shell: Shell, old: Path) -> None:
    assert shell.now("policy", "diff", str(old), "0123456789ab").code == 3


def test_what_was_not_judged_is_not_called_safe(shell: Shell, old: Path, new: Path) -> None:
    sides = [str(side / "policy.yaml") for side in (old, new)]
    result = shell.now("policy", "diff", *sides)
    assert result.code == 0
    assert "\n\nNothing was judged, so nobody knows" in result.out


OPEN = 'rules:\n  - {id: open, when: geo.country == "CH", then: {decision: approve}}\n'


def test_a_rule_that_approves_and_that_no_case_meets_fails(
    shell: Shell, old: Path, new: Path
) -> None:
    change(new, ("rules:\n", OPEN))
    result = shell.now("policy", "diff", str(old), str(new))
    assert result.code == 1
    assert result.out.endswith(
        "7 fixture cases, 0 answered otherwise.\n\nNobody judged: open\n"
        "Possibly looser, since nothing judged meets it: open\n\n"
        "Something may have got looser: write a case that meets each rule named, or add\n"
        "| --replay.\n"
    )
    told = shell.now("policy", "diff", str(old), str(new), "--json").data
    assert (told["is_looser"], told["unjudged"], told["maybe_looser"]) == (True, ["open"], ["open"])


def test_a_rule_that_denies_and_that_no_case_meets_is_only_named(
    shell: Shell, old: Path, new: Path
) -> None:
    change(new, ("rules:\n", OPEN.replace("approve", "deny")))
    result = shell.now("policy", "diff", str(old), str(new))
    assert result.code == 0
    assert "\n\nNobody judged: open\n\nNothing got looser" in result.out
    assert shell.now("policy", "diff", str(new), str(old)).code == 1


def test_a_catalogue_that_shows_more_fails(shell: Shell, old: Path, new: Path) -> None:
    shown = "data_classes: [contact]\n    fields: {email: {show: plain}}"
    change(new, ("data_classes: [contact]", shown))
    result = shell.now("policy", "diff", str(old), str(new))
    assert result.code == 1
    assert "  LOOSER    action `customer.read`: `fields.email.show` not set -> plain" in result.out
    assert result.out.endswith("\nSomething got looser.\n")


def test_people_and_services_of_two_directories_are_compared(
    shell: Shell, old: Path, new: Path
) -> None:
    people, services = new / "people.yaml", new / "services.yaml"
    people.write_text(people.read_text().replace("duty: {members: [ben]", "duty: {members: [anna]"))
    services.write_text(services.read_text().replace("device.type, ", ""))
    result = shell.now("policy", "diff", str(old), str(new))
    assert result.code == 1
    assert (
        "people.yaml: 1 change\n  LOOSER    group `duty` gains anna and loses ben\n" in result.out
    )
    assert "  stricter  service `crm`: `asserts` loses device.type\n" in result.out
    told = shell.now("policy", "diff", str(old), str(new), "--json").data
    assert told["compared"] == ["policy.yaml", "people.yaml", "services.yaml"]
    assert [(one["file"], one["direction"]) for one in told["changes"]] == [
        ("people.yaml", "looser"),
        ("services.yaml", "stricter"),
    ]


async def test_a_policy_over_its_own_records_changes_nothing(
    office: Office, tmp_path: Path
) -> None:
    await office.ask()
    config = str(tmp_path / "config/policy.yaml")
    result = await office.shell("policy", "diff", config, config, "--replay")
    assert result.code == 0
    assert "Replay of all recorded requests (1), 0 answered otherwise.\n" in result.out
    assert "Only those of services in services.yaml today are looked at.\n" in result.out


async def test_one_rule_more_changes_just_what_it_is_about(office: Office, tmp_path: Path) -> None:
    views = [await office.ask() for _ in range(5)]
    await office.ask(action="users.export", params={})
    own = load_configuration(tmp_path / "config", loopback=True)
    await office.store.policies.keep(own.version, own.text)
    changed = tmp_path / "changed"
    write_configuration(changed, policy=POLICY.replace("rules:\n", FREEZE))
    words = ("policy", "diff", own.version, str(changed / "policy.yaml"), "--replay")
    stricter = await office.shell(*words)
    assert stricter.code == 0
    assert "Replay of all recorded requests (6), 5 answered otherwise:" in stricter.out
    assert "  new       rule `freeze` added: deny, mode enforce\n" in stricter.out
    assert "Nobody judged" not in stricter.out
    assert "5 requests: " in stricter.out
    assert " and 2 more" in " ".join(stricter.out.replace("| ", "").split())
    told = (await office.shell(*words, "--json")).data["replay"]
    ((names, direction),) = [(one["names"], one["direction"]) for one in told["changed"]]
    assert (sorted(names), direction) == (sorted(views), "stricter")
    back = await office.shell("policy", "diff", words[3], words[2], "--replay")
    assert back.code == 1
    assert "Something got looser." in back.out


async def test_a_version_that_was_never_kept_is_refused(office: Office, tmp_path: Path) -> None:
    own = load_configuration(tmp_path / "config", loopback=True)
    assert (await office.shell("policy", "diff", own.version, own.version)).code == 0
    result = await office.shell("policy", "diff", own.version, "0123456789ab")
    assert (result.code, result.err) == (
        1, "The store does not have policy 0123456789ab. Known there: none yet.\n"
    )  # fmt: skip


async def test_a_kept_policy_that_cannot_be_used_is_refused(office: Office) -> None:
    await office.store.policies.keep("0123456789ab", "version: 9\n")
    result = await office.shell("policy", "diff", "0123456789ab", "0123456789ab")
    assert result.code == 1
    assert "Policy 0123456789ab is kept, but this release cannot use it: " in result.err
