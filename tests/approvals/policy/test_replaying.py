"""Two policies over the same requests and the same fixture cases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from approvals.errors import ConfigurationInvalid
from approvals.model import (
    ActionId,
    ApprovalRequest,
    Asked,
    KeyId,
    Requester,
    RequestId,
    ServiceId,
)
from approvals.policy.analysis import Rulebook
from approvals.policy.inquiry import Inquiry, inquiry_of
from approvals.policy.kept import kept_rulebook, rulebook_of
from approvals.policy.loader import policy_version, read_configuration
from approvals.policy.replaying import Judgement, OutcomeChange, Side, grouped
from approvals.policy.unjudged import Unjudged
from approvals.policy.yaml_source import parse_source, read_source

REFERENCE = Path(__file__).parent / "reference"
TEXT = (REFERENCE / "policy.yaml").read_text()
NOON = datetime(2026, 3, 2, 9, tzinfo=UTC)
FREEZE = "rules:\n  - {id: freeze, actions: [customer.export], then: {decision: deny}}\n"
OPEN = 'rules:\n  - {id: open, when: geo.country == "DE", then: {decision: approve}}\n'


def book(text: str = TEXT) -> Rulebook:
    return rulebook_of(parse_source("policy.yaml", text.encode()))


def side(directory: Path = REFERENCE) -> Side:
    reading = read_configuration(directory)
    assert reading.configuration
    assert reading.fixtures
    configuration = reading.configuration
    return Side(configuration.rulebook, configuration.services, reading.fixtures.model)


def replayed(asked: list[ApprovalRequest], old: Rulebook, new: Rulebook) -> list[OutcomeChange]:
    return Judgement(old, new).replayed(asked)


def cases_changed(old: Side, new: Side) -> tuple[int, list[OutcomeChange]]:
    return Judgement(old.rulebook, new.rulebook).cases_changed(old, new)


def requests() -> list[ApprovalRequest]:
    made = []
    for number, (action, count) in enumerate(
        [("customer.read", 1), ("customer.export", 20), ("customer.export", 900), ("other", 1)]
    ):
        asked = Asked(
            action=ActionId(action),
            title="",
            requester=Requester(id="okta:1"),
            record_count=count,
            context={"geo.country": "DE", "device.managed": True},
        )
        at = NOON + timedelta(minutes=number)
        made.append(
            ApprovalRequest(
                id=RequestId(f"req_{number}"),
                service=ServiceId("crm"),
                key_id=KeyId("crm-1"),
                asked=asked,
                digest="",
                salt=None,
                policy=book().terms(_known(asked, at)).matched,
                created_at=at,
                expires_at=at,
            )
        )
    return made


def _known(asked: Asked, at: datetime) -> Inquiry:
    known = (
        asked if asked.action != "other" else asked.model_copy(update={"action": "customer.read"})
    )
    return inquiry_of(known, ServiceId("crm"), at)


def test_a_policy_over_its_own_records_changes_nothing() -> None:
    assert replayed(requests(), book(), book()) == []


def test_one_rule_more_changes_just_what_it_is_about() -> None:
    changed = replayed(requests(), book(), book(TEXT.replace("rules:\n", FREEZE)))
    assert [(one.name, one.direction) for one in changed] == [
        ("req_1", "stricter"),
        ("req_2", "stricter"),
    ]


def test_alike_changes_stand_together_and_looser_ones_first() -> None:
    changed = replayed(requests(), book(), book(TEXT.replace("rules:\n", OPEN)))
    twice = [
        *changed,
        *changed[:1],
        *replayed(requests(), book(TEXT.replace("rules:\n", FREEZE)), book()),
    ]
    stricter = replayed(requests(), book(), book(TEXT.replace("rules:\n", FREEZE)))
    found = [(one.first.direction, one.names) for one in grouped([*stricter, *twice])]
    assert found[0] == ("looser", ("req_0", "req_0"))
    assert [direction for direction, _ in found] == ["looser"] * 5 + ["stricter"] * 2


def test_an_action_that_only_one_has() -> None:
    without = book(TEXT.replace("customer.export", "customer.print"))
    there = replayed(requests(), book(), without)
    back = replayed(requests(), without, book())
    assert [(one.name, one.direction) for one in there] == [
        ("req_1", "stricter"),
        ("req_2", "stricter"),
    ]
    assert {one.direction for one in back} == {"new"}
    assert [one.old for one in back] == [None, None]
    assert grouped(back)[0].first.old is None


def test_cases_of_both_sides_count_once() -> None:
    assert cases_changed(side(), side()) == (7, [])


def test_a_side_without_files_is_judged_by_the_other_ones_services() -> None:
    number, changed = cases_changed(side(), Side(book(TEXT.replace("rules:\n", FREEZE))))
    assert number == 7
    assert [one.name for one in changed] == [
        "500 records stay with one approver",
        "501 records need two",
    ]
    assert cases_changed(Side(book()), Side(book())) == (0, [])


def write(directory: Path, **changed: tuple[str, str]) -> Path:
    for file in REFERENCE.iterdir():
        text = file.read_text()
        if file.stem in changed:
            text = text.replace(*changed[file.stem])
        (directory / file.name).write_text(text)
    return directory


def test_what_a_service_may_assert_counts(tmp_path: Path) -> None:
    write(tmp_path, services=("asserts: [geo.country, ", "asserts: ["))
    number, changed = cases_changed(side(), side(tmp_path))
    assert number == 7
    assert {one.comparison.words for one in changed} == {("review becomes deny",)}


def test_a_service_that_only_one_side_knows_is_judged_by_that_side(tmp_path: Path) -> None:
    write(tmp_path, services=("crm:", "desk:"), fixtures=("service: crm", "service: desk"))
    assert cases_changed(side(), side(tmp_path)) == (14, [])


def test_an_action_taken_away_makes_its_cases_stricter() -> None:
    without = Side(book(TEXT.replace("customer.export", "customer.print")))
    _, changed = cases_changed(side(), without)
    assert [(one.action, one.direction) for one in changed] == [("customer.export", "stricter")] * 2


def test_a_kept_policy_keeps_its_version() -> None:
    assert kept_rulebook(TEXT, "0123456789ab").version == "0123456789ab"


def test_a_scope_that_says_nothing_is_refused_of_what_is_written_and_not_of_what_was_in_force() -> (
    None
):
    scoped = TEXT.replace(
        "data_classes: [contact]\n",
        "data_classes: [contact]\n    fields: {email: {show: mask_email, scope: day}}\n",
        1,
    )
    assert scoped != TEXT
    assert kept_rulebook(scoped, "0123456789ab").policy.actions["customer.read"].fields
    with pytest.raises(ConfigurationInvalid) as caught:
        rulebook_of(parse_source("policy.yaml", scoped.encode()))
    (told,) = map(str, caught.value.issues)
    assert "`scope` means nothing with `show: mask_email`" in told
    assert book().version == policy_version(book().policy)
    assert rulebook_of(read_source(REFERENCE / "policy.yaml"), "1").version == "1"


@pytest.mark.parametrize("text", ["rules: [", TEXT.replace("device.managed", "device.manged")])
def test_a_faulty_file_is_refused_with_its_faults(text: str) -> None:
    with pytest.raises(ConfigurationInvalid):
        book(text)


def test_a_kept_text_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ConfigurationInvalid):
        kept_rulebook("version: 2", "1")


def test_what_cases_and_records_meet_is_not_unjudged() -> None:
    old, new = book(), book(TEXT.replace("rules:\n", OPEN))
    judgement = Judgement(old, new)
    assert judgement.unjudged() == Unjudged(("open",), ("open",))
    judgement.replayed(requests()[:1])
    assert judgement.unjudged() == Unjudged()
    by_cases = Judgement(old, new)
    by_cases.cases_changed(side(), Side(new))
    assert by_cases.unjudged() == Unjudged()
