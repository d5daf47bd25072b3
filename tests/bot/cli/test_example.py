"""`examples/config`, which newcomers copy: fit as it is, and true in its comments."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from approvals.ask import Ask
from approvals.change import Opening
from approvals.destinations import check_url
from approvals.errors import (
    ActionNotAllowed,
    CallbackNotAllowed,
    InvalidRequest,
    Refusal,
    UnknownAction,
    UnknownRequester,
)
from approvals.intake import Chance, prepare, request_id
from approvals.model import Caller, KeyId, PersonId, ServiceId
from approvals.policy.loader import Configuration, load_configuration
from approvals.privacy.personal import PLACE, Personal
from approvals.privacy.scanner import Scanner
from approvals.signing import Marks
from bot.api_keys import key_hash
from bot.receivers import receivers_of
from tests.bot.cli.conftest import Shell
from tests.configurations import CALLBACK_SECRET
from tests.words import KEY

EXAMPLE = Path(__file__).parents[3] / "examples" / "config"
NOW = datetime(2026, 11, 23, 14, 17, tzinfo=UTC)


@pytest.fixture
def example() -> Configuration:
    return load_configuration(EXAMPLE)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "config"))


def opening(example: Configuration, service: str = "crm", **changes: object) -> Opening:
    sent: dict[str, Any] = {
        "action": "customer.view",
        "requester": {"id": "okta:00u1j"},
        "justification": "Customer asked for a copy of their data, ticket ZD-48213",
        "subject": "customer:48213",
        "ticket": "ZD-48213",
    }
    sent |= changes
    ask = Ask.parse({name: value for name, value in sent.items() if value is not None})
    return prepare(
        example,
        Caller(service=ServiceId(service), key_id=KeyId("crm-1")),
        ask,
        now=NOW,
        marks=Marks(b"p" * 32),
        key=KEY,
        scanner=Scanner(),
        body=b"{}",
        chance=Chance(id=request_id(NOW, b"i" * 10), salt=b"s" * 16),
    )


EXPORT: dict[str, Any] = {
    "action": "customer.export",
    "purpose": "legal",
    "record_count": 1240,
    "context": {"device.managed": True},
}


async def test_a_copy_of_it_passes_the_check_and_needs_its_secret(
    shell: Shell, copied: Path
) -> None:
    checked = await shell("check")
    assert (checked.code, checked.err) == (0, "")
    del shell.environment["CRM_CALLBACK_SECRET"]
    checked = await shell("check")
    assert checked.code == 1
    [fault] = checked.err.splitlines()
    assert "env CRM_CALLBACK_SECRET is not set" in fault


@pytest.mark.usefixtures("copied")
async def test_the_cases_of_a_copy_hold_and_meet_every_rule(shell: Shell) -> None:
    tested = await shell("policy", "test")
    assert (tested.code, tested.err) == (0, "")


async def test_a_key_is_made_in_a_copy_as_its_comment_says(shell: Shell, copied: Path) -> None:
    services = copied / "services.yaml"
    before = services.read_text()
    [command] = re.findall(r"`placet (key new crm --as dana --reason)", before)
    made = await shell(*command.split(), "First key")
    assert made.code == 0
    found = load_configuration(copied).services.key(KeyId("crm-1"))
    assert found is not None
    _, key = found
    assert (key.id, key.hash) == ("crm-1", key_hash(made.out.strip()))
    assert (await shell(*command.split(), "The next")).code == 0
    assert (await shell(*command.split(), "A third")).code == 1
    assert [line for line in before.splitlines() if line not in services.read_text()] == []
    assert (await shell("check")).code == 0


def test_its_receivers_are_its_own(example: Configuration) -> None:
    receivers = receivers_of(example, {"CRM_CALLBACK_SECRET": CALLBACK_SECRET}, is_demo=False)
    assert set(receivers) == {"crm"}
    check_url("https://crm.internal.example/elsewhere", receivers[ServiceId("crm")].destinations)
    asked = opening(example).asked
    assert asked.callback_url == "https://crm.internal.example/placet"
    with pytest.raises(CallbackNotAllowed):
        opening(example, callback_url="https://elsewhere.example/placet")


@pytest.mark.parametrize(
    ("changes", "rule", "decision", "threshold"),
    [
        ({}, "one-looks-first", "review", 1),
        (EXPORT, "exports-need-two", "review", 2),
        ({**EXPORT, "context": None}, "managed-device-only", "deny", 0),
        ({**EXPORT, "context": {"device.managed": False}}, "managed-device-only", "deny", 0),
        ({"action": "statistics.read"}, "figures-are-open", "approve", 0),
        ({"action": "customer.send_to_broker"}, "never-to-brokers", "deny", 0),
    ],
)
def test_its_rules_decide_as_they_say(
    example: Configuration, changes: dict[str, Any], rule: str, decision: str, threshold: int
) -> None:
    policy = opening(example, **changes).policy
    assert (policy.rule, policy.decision, policy.threshold) == (rule, decision, threshold)
    assert policy.why


def test_what_its_comments_say_of_time_groups_and_fields_is_so(example: Configuration) -> None:
    view = opening(example, params={"email": "a@b.example", "note": 1})
    export = opening(example, **EXPORT)
    assert view.policy.groups == ("support-leads", "privacy")
    assert export.policy.groups == ("privacy",)
    assert (view.expires_in, export.expires_in) == (timedelta(minutes=30), timedelta(minutes=30))
    assert (view.grant_ttl, export.grant_ttl) == (timedelta(minutes=15), timedelta(minutes=10))
    words = KEY.decrypt(view.asked.personal, f"{view.id}\0{PLACE}")
    (kept,) = Personal.model_validate_json(words or "").fields
    assert (kept.name, kept.value, view.asked.hidden_fields) == ("email", "a***@b***.example", 1)


REFUSED: list[tuple[str, dict[str, Any], type[Refusal]]] = [
    ("crm", {"action": "customer.delete"}, UnknownAction),
    ("crm", {"ticket": None}, InvalidRequest),
    ("crm", {**EXPORT, "purpose": "curiosity"}, InvalidRequest),
    ("crm", {"requester": {"id": "job:nightly"}}, UnknownRequester),
    ("crm", {"requester": {"id": "okta:somebody"}}, UnknownRequester),
    ("reporting", {"requester": {"id": "job:nightly"}}, ActionNotAllowed),
    ("reporting", {"action": "statistics.read"}, UnknownRequester),
]


@pytest.mark.parametrize(("service", "changes", "refusal"), REFUSED)
def test_what_its_comments_say_is_refused_is_refused(
    example: Configuration, service: str, changes: dict[str, Any], refusal: type[Refusal]
) -> None:
    with pytest.raises(refusal):
        opening(example, service, **changes)


def test_a_job_has_an_owner_and_what_is_not_asserted_is_not_believed(
    example: Configuration,
) -> None:
    job = opening(example, "reporting", action="statistics.read", requester={"id": "job:nightly"})
    assert (job.asked.requester.person, job.asked.requester.owner) == (None, "dana")
    assert job.asked.callback_url is None
    believed = opening(example, context={"geo.country": "DE", "device.type": "laptop"}).asked
    assert (set(believed.context), believed.context_ignored) == ({"geo.country"}, ("device.type",))


def test_roles_and_groups_are_as_its_comments_say(example: Configuration) -> None:
    people = example.people
    either = ("support-leads", "privacy")
    assert people.who_may_decide(either, excluding=None) == {"anna", "ben", "cleo", "eva"}
    assert people.who_may_decide(["privacy"], excluding=PersonId("anna")) == {"ben", "cleo"}
    assert opening(example, **EXPORT, requester={"id": "okta:00u1a"}).policy.threshold == 2
    assert people.admins() == {"dana"}


def test_every_action_has_a_rule(example: Configuration) -> None:
    for action in example.policy.actions:
        sent = {**EXPORT, "action": action}
        assert opening(example, **sent).policy.rule != "no-match"
