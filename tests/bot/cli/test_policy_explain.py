"""`placet policy explain`: each rule tried, with the values it saw and whose word they are."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from approvals.ask import Ask
from approvals.policy.loader import load_configuration
from tests.bot.cli.conftest import CRM, Office, Shell

REFERENCE = Path(__file__).parents[2] / "approvals/policy/reference"
SECRET = "198.51.100.7"
EXPORT = ("--given", "action=customer.export", "--given", "request.record_count=5000")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    shutil.copytree(REFERENCE, tmp_path / "config", dirs_exist_ok=True)
    return tmp_path / "config"


def test_each_rule_is_told_until_one_decides(shell: Shell, directory: Path) -> None:
    result = shell.now("policy", "explain", "--dir", str(directory), *EXPORT)
    assert (result.code, result.err) == (0, "")
    assert result.out == REVIEW


REVIEW = """\
customer.export: policy 3f7d46d12c7e -> review, 2 approvals, privacy + duty,
| different groups
  rule      export-needs-two: More than 500 records, or any export from
            | outside the EEA
  expires   after 30m; after 10m also duty
  grant     15m, once

 deny pass  managed-device-only        false  device.managed=true (crm)
            country-known-and-allowed  false  geo.country=DE (crm)
 rules      export-needs-two           TRUE   <- decided
                                              request.record_count=5000 (crm)
                                              geo.country=DE (crm)
            special-data               -      not reached
            everything-else            -      not reached
"""


def test_an_error_decides_and_a_claim_may_be_dropped(shell: Shell, directory: Path) -> None:
    given = ("request.record_count=", "requester.groups=[a]", "geo.country=NO")
    words = [word for one in given for word in ("--given", one)]
    result = shell.now("policy", "explain", *EXPORT[:2], *words)
    assert result.out == DENIED


DENIED = """\
customer.export: policy 3f7d46d12c7e -> deny
  rule      export-needs-two: The rule could not be judged:
            | request.record_count is not known, and in doubt nothing is allowed

 deny pass  managed-device-only        false  device.managed=true (crm)
            country-known-and-allowed  false  geo.country=NO (crm)
 rules      export-needs-two           ERROR  <- decided
                                              request.record_count is not
                                              | known
                                              geo.country=NO (crm)
            special-data               -      not reached
            everything-else            -      not reached

crm may not assert requester.groups: dropped.
"""


def test_a_case_is_where_it_begins(shell: Shell, directory: Path) -> None:
    told = shell.now("policy", "explain", "--case", "unmanaged device", "--json").data
    assert (told["decision"], told["rule"]) == ("deny", "managed-device-only")
    decided = [one["rule"] for one in told["trials"] if one["has_decided"]]
    assert decided == ["managed-device-only"]
    assert told["trials"][-1] == {
        "rule": "single-read-office-hours",
        "part": "shadow",
        "truth": True,
        "error": None,
        "is_reached": False,
        "has_decided": False,
        "attributes": [
            {"name": "request.record_count", "value": "1", "origin": "crm"},
            {"name": "geo.country", "value": "DE", "origin": "crm"},
            {"name": "now", "value": "2026-03-02T09:00:00.000Z", "origin": "Placet"},
            {"name": "tz", "value": "Europe/Berlin", "origin": "Placet"},
        ],
    }


def test_without_the_base_nothing_is_known_but_the_time(shell: Shell, directory: Path) -> None:
    words = ("--no-base", "--given", "action=customer.read")
    told = shell.now("policy", "explain", *words, "--json").data
    assert told["rule"] == "managed-device-only"
    assert told["trials"][0]["attributes"] == [
        {"name": "device.managed", "value": "false", "origin": "default"}
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--given", "geo.country"), "geo.country is no attribute=value"),
        (("--given", "geo.country=["), "geo.country: this is not YAML"),
        (("--given", "geo.cuntry=DE"), "`geo.cuntry`. Did you mean `geo.country`?"),
        (("--given", "device.managed=maybe"), "Write true or false"),
        (("--no-base",), "`action` is missing. Give an action of policy.yaml"),
        (("--case", "unmanaged devise"), "Did you mean `unmanaged device`?"),
        (("req_1", "--given", "geo.country=DE"), "not both"),
        (("req_1",), "That is no request's ID"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    shell: Shell,
    directory: Path,
    words: tuple[str, ...],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, errors = 2, ""
    with suppress(SystemExit):  # as argparse refuses
        result = shell.now("policy", "explain", *words)
        code, errors = result.code, result.err
    assert code == 2
    assert told in errors + capsys.readouterr().err


def test_without_fixtures_there_is_no_case(shell: Shell, directory: Path) -> None:
    (directory / "fixtures.yaml").unlink()
    result = shell.now("policy", "explain", "--case", "a")
    assert (result.code, result.err) == (2, "fixtures.yaml has no case `a`. Known here: none\n")


def test_faults_of_the_files_are_told_instead(shell: Shell, directory: Path) -> None:
    (directory / "policy.yaml").write_text("version: 1\n")
    result = shell.now("policy", "explain", *EXPORT)
    assert result.code == 1
    assert "policy.yaml:1:1: `actions` is missing" in result.out
    assert shell.now("policy", "explain", *EXPORT, "--json").data["ok"] is False


@pytest.fixture
async def asked(office: Office, directory: Path) -> str:
    """A request of a person from an address, with words that are nobody's business."""
    people = directory / "people.yaml"
    people.write_text(people.read_text().replace(
        "people:\n", 'people:\n  - {id: jonas, name: Jonas Berg, requester_ids: ["okta:00u1"]}\n'
    ))  # fmt: skip
    services = directory / "services.yaml"
    services.write_text(services.read_text() + '    requesters: ["okta:*"]\n')
    policy = directory / "policy.yaml"
    rule = f'rules:\n  - id: address\n    when: client.ip == "{SECRET}" && request.purpose == "x"'
    rule += ' && requester.id == "y"\n    then: {decision: deny}\n'
    policy.write_text(policy.read_text().replace("rules:\n", rule))
    configuration = load_configuration(directory)
    office.service.configuration = configuration
    await office.store.policies.keep(configuration.version, configuration.text)
    sent = Ask.parse({
        "action": "customer.read",
        "requester": {"id": "okta:00u1"},
        "justification": "Dana Example wants to know what we have",
        "purpose": "for Dana Example",
        "record_count": 1,
        "context": {"device.managed": True, "geo.country": "DE", "requester.groups": ["a"]},
    })  # fmt: skip
    caller = CRM.model_copy(update={"address": SECRET})
    opened = await office.service.open(caller, sent, body=b"", idempotency_key=None)
    return opened.request.id


async def test_a_recorded_request_is_judged_by_its_own_policy(
    office: Office, asked: str, directory: Path
) -> None:
    result = await office.shell("policy", "explain", asked)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"{asked}, asked ")
    assert "by Jonas Berg (okta:00u1)\n" in result.out
    assert " device.managed=not shown (key" in result.out
    assert "crm might not assert requester.groups: dropped." in result.out
    assert "would decide the same.\n" in result.out


async def test_no_more_of_it_is_shown_than_its_card_has(office: Office, asked: str) -> None:
    plain, machine = [
        await office.shell("policy", "explain", asked, *option) for option in ((), ("--json",))
    ]
    for told in (plain.out, machine.out):
        assert "Dana" not in told
        assert SECRET not in told
    assert "client.ip=not shown (Placet)" in plain.out
    assert '"Jonas Berg (okta:00u1)"' in machine.out


async def test_what_today_would_be_different_is_said(
    office: Office, asked: str, directory: Path
) -> None:
    policy = directory / "policy.yaml"
    policy.write_text(policy.read_text().replace("rules:\n", FREEZE))
    (directory / "fixtures.yaml").unlink()
    frozen = load_configuration(directory)
    await office.store.policies.keep(frozen.version, frozen.text)
    await office.store.system.activate(office.store.policies, frozen.version)
    told = (await office.shell("policy", "explain", asked, "--json")).data["today"]
    assert (told["policy"], told["is_same"]) == (frozen.version, False)
    words = f"Today's policy, {frozen.version}, would decide otherwise: deny, by rule freeze"
    assert told["words"] == words + " (review becomes deny)."


async def test_a_deny_rule_that_came_later_is_named_with_its_policy_even_when_it_is_gone(
    office: Office, asked: str, directory: Path
) -> None:
    policy, fixtures = directory / "policy.yaml", directory / "fixtures.yaml"
    before, cases = policy.read_text(), fixtures.read_text()
    policy.write_text(before.replace("rules:\n", FREEZE))
    fixtures.unlink()
    refused = await office.shell("approve", asked, "--as", "anna", "--reason", "Seen", "--yes")
    assert refused.code == 1
    frozen = load_configuration(directory).version
    policy.write_text(before)
    fixtures.write_text(cases)
    result = await office.shell("policy", "explain", asked)
    assert "denied by rule freeze, " in result.out
    assert f"At an approval the deny rules of policy {frozen} were asked:\n deny pass" in result.out
    assert " TRUE   <- decided\n" in result.out.partition("were asked:")[2]
    assert "would decide the same." in result.out
    told = (await office.shell("policy", "explain", asked, "--json")).data
    assert (told["status"], told["ended_by"]["policy"]) == ("denied", frozen)


FREEZE = "rules:\n  - {id: freeze, then: {decision: deny}}\n"


async def test_what_today_would_be_cannot_be_told_of_faulty_files(
    office: Office, asked: str, directory: Path
) -> None:
    (directory / "policy.yaml").write_text("version: 1\n")
    result = await office.shell("policy", "explain", asked)
    assert result.code == 0
    assert "cannot be told: its files have faults." in " ".join(result.out.split())


async def test_an_unknown_request_is_none(office: Office, directory: Path) -> None:
    result = await office.shell("policy", "explain", "req_" + "0" * 26)
    assert (result.code, result.err) == (1, "There is no such request.\n")


def test_all_that_a_review_asks_is_said(shell: Shell, directory: Path) -> None:
    policy = directory / "policy.yaml"
    then = (
        "{decision: review, say: Ask early, stages: [{groups: [privacy]}, {groups: [duty]}], "
        "quick_approve: true, remind: [5m], uses: 3, must_hold: [geo.country], expires_in: 15m}"
    )
    usual = "{decision: review, threshold: 1, groups: [privacy], expires_in: 15m}"
    when = 'when: "true"'
    text = policy.read_text()
    assert text.count(usual) == text.count(when) == 1
    everything = 'when: request.record_count > 9 || (now.getHours(tz) >= 0 && requester.id != "")'
    policy.write_text(text.replace(usual, then).replace(when, everything))
    (directory / "fixtures.yaml").unlink()
    given = ("action=customer.read", "service=crm", "requester.id=a c", "device.managed=true")
    words = [word for one in (*given, "geo.country=DE") for word in ("--given", one)]
    result = shell.now("policy", "explain", *words, "--given", "now=2026-03-02T09:00:00Z")
    assert result.out == STAGED


STAGED = """\
customer.read: policy e28dda10a839 -> review, 2 approvals: 1 of privacy, then
| 1 of duty, on the card too
  rule      everything-else: People decide about this action
  say       Ask early
  expires   after 15m; reminds after 5m
  grant     15m, 3 times; must hold: geo.country

 deny pass  managed-device-only        false  device.managed=true (crm)
            country-known-and-allowed  false  geo.country=DE (crm)
 rules      special-data               false  request.data_classes=[contact]
                                              | (the action)
            everything-else            TRUE   <- decided
                                              request.record_count is absent
                                              now=2026-03-02T09:00:00.000Z
                                              | (Placet)
                                              tz=Europe/Berlin (Placet)
                                              requester.id="a c" (Placet)
 shadow     single-read-office-hours   ERROR  request.record_count is not
                                              | known
                                              geo.country=DE (crm)
                                              now=2026-03-02T09:00:00.000Z
                                              | (Placet)
                                              tz=Europe/Berlin (Placet)
"""


def test_what_is_told_and_kept_of_persons_is_said(shell: Shell, directory: Path) -> None:
    policy = directory / "policy.yaml"
    text = policy.read_text().replace("defaults: {", "defaults: {personal_retention: 90d, ")
    policy.write_text(
        text.replace(
            "distinct_groups: true,", "distinct_groups: true, show_justification: channel,"
        )
    )
    said = " ".join(shell.now("policy", "explain", *EXPORT).out.replace("|", " ").split())
    assert (
        "privacy the justification is shown in the channel; "
        "personal data is forgotten 90d after the end"
    ) in said
    told = shell.now("policy", "explain", *EXPORT, "--json").data
    assert (told["show_justification"], told["personal_retention"]) == (True, 90 * 86400)
    unmanaged = ("--given", "device.managed=false")
    denied = shell.now("policy", "explain", *EXPORT, *unmanaged).out
    assert "privacy   personal data is forgotten 90d after the end\n" in denied


async def test_today_without_the_action_or_without_its_policy(
    office: Office, asked: str, directory: Path
) -> None:
    policy = directory / "policy.yaml"
    text = policy.read_text()
    policy.write_text(text.replace("customer.read", "customer.look"))
    (directory / "fixtures.yaml").unlink()
    gone = load_configuration(directory)
    await office.store.policies.keep(gone.version, gone.text)
    for version, words in (
        (gone.version, "would decide otherwise: it does not have the action"),
        ("0123456789ab", "Today's policy: The store does not have policy 0123456789ab."),
    ):
        await office.store.system.activate(office.store.policies, version)
        told = (await office.shell("policy", "explain", asked, "--json")).data["today"]
        assert words in told["words"]


def test_why_a_rule_does_not_approve_by_a_default_is_told(shell: Shell, directory: Path) -> None:
    policy = directory / "policy.yaml"
    quiet = "rules:\n  - {id: quiet, when: geo.country != 'XA', then: {decision: approve}}\n"
    policy.write_text(policy.read_text().replace("rules:\n", quiet))
    (directory / "fixtures.yaml").unlink()
    words = ("action=customer.read", "device.managed=true", "service=crm")
    given = [word for one in words for word in ("--given", one)]
    told = shell.now("policy", "explain", *given)
    line = "quiet                      -      not reached"
    assert line in told.out  # an unknown country is denied before
    policy.write_text(policy.read_text().replace('geo.country == "" || ', ""))
    told = shell.now("policy", "explain", *given)
    words_told = " ".join(told.out.replace("|", "").split())
    assert "quiet false geo.country is not known: who approves goes by what is known" in words_told
