"""Made-up policies of a given size, and the requests they judge. Writes whole configurations."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import yaml
from pydantic import JsonValue

from approvals.model import ActionId, Asked, Requester
from approvals.policy.document import Action, Defaults, Policy, Rule, Then
from approvals.policy.loader import FIXTURES, PEOPLE, POLICY, SERVICES, load_configuration
from approvals.policy.supposing import suppose

_EEA = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK"
_LISTS = {
    "EEA": _EEA.split(),
    "BLOCKED": ["XA", "XB"],
    "SPECIAL": ["biometric", "genetic", "health", "religious_beliefs"],
    "STAFF": ["support", "lead", "fraud"],
}
_SERVICES = 20
NOON = datetime(2026, 3, 2, 11, tzinfo=UTC)  # a Monday
# None of them holds for `asked()`; each asks in another way. `{n}` makes each its own, and `{s}` is
# the number of a service.
_CONDITIONS = (
    "!device.managed || request.record_count > {n} + 100000",
    'geo.country == "" || geo.country in BLOCKED',
    "!requester.roles.exists(role, role in STAFF)",
    "request.data_classes.exists(class, class in SPECIAL)",
    "request.record_count > {n} + 5000 && !(geo.country in EEA)",
    "now.getHours(tz) < 6 || now.getHours(tz) >= 22",
    'device.type == "phone-{n}" && request.purpose == "support"',
    '!client.ip.startsWith("10.") || client.ip.startsWith("10.{n}.")',
    'service == "service-{s}" && "fraud" in requester.roles',
    "now.getDayOfWeek(tz) in [0, 6] && request.record_count > {n}",
)


class _Plain(yaml.SafeDumper):
    """Without aliases, which the loader refuses."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # named by the base class
        return True


VIEW, EXPORT = ActionId("customer.view"), ActionId("customer.export")


def asked(action: ActionId = VIEW, *, record_count: int | None = 20, country: str = "DE") -> Asked:
    """What a service asks, whole and in order."""
    return Asked(
        action=action,
        title="Something with customers",
        requester=Requester(id="okta:00u1"),
        purpose="support",
        record_count=record_count,
        data_classes=("contact", "orders"),
        context={
            "requester.roles": ["support"],
            "geo.country": country,
            "device.managed": True,
            "device.type": "laptop",
        },
        address="10.200.3.4",
    )


def worst_case(rules: int) -> Policy:
    """Every rule is about the action, and the last alone fits."""
    last = Rule(id="last", then=Then(decision="review", groups=("group-0",)))
    return _policy((*_rules(rules - 1, ("*",)), last))


def mixed(rules: int) -> Policy:
    """Half of the rules are about the other action; one in the middle fits a large export."""
    half = rules // 2
    large = Rule(
        id="large",
        actions=("*.export",),
        when="request.record_count > 500",
        then=Then(decision="review", threshold=2, groups=("group-0",)),
    )
    views, exports = _rules(half, ("*.view",)), _rules(rules - half - 2, ("*.export",), "export")
    last = Rule(id="last", then=Then(decision="review", groups=("group-0",)))
    return _policy((*views, *exports[: half // 2], large, *exports[half // 2 :], last))


def write(directory: Path, *, rules: int, actions: int, persons: int, fixtures: int) -> None:
    """A whole configuration. Its fixtures expect what the policy says of them."""
    names = [f"unit-{n}.action" for n in range(actions)]
    catalogue = {name: {"title": f"Do {name}", "data_classes": ["contact"]} for name in names}
    policy = {
        "version": 1,
        "lists": _LISTS,
        "defaults": {"groups": ["group-0"], "timezone": "Europe/Berlin"},
        "actions": catalogue,
        "rules": list(_written(rules, names)),
    }
    members = [f"person-{n}" for n in range(persons)]
    people = {
        "people": [
            {
                "id": member,
                "name": f"Person {n}",
                "roles": ["approver"],
                "requester_ids": [f"okta:{n}"],
            }
            for n, member in enumerate(members)
        ],
        "groups": {f"group-{n}": {"members": members[n::10]} for n in range(10)},
    }
    claims = ["requester.roles", "geo.country", "device.managed", "device.type"]
    service = {"actions": ["*"], "requesters": ["okta:*"], "asserts": claims}
    services = {"services": {f"service-{n}": service for n in range(_SERVICES)}}
    for name, content in ((POLICY, policy), (PEOPLE, people), (SERVICES, services)):
        _write(directory / name, content)
    if fixtures:
        _write(directory / FIXTURES, _fixtures(directory, fixtures, names))


def _policy(rules: tuple[Rule, ...]) -> Policy:
    return Policy(
        version=1,
        lists={name: tuple(items) for name, items in _LISTS.items()},
        defaults=Defaults(groups=("group-0",), timezone="Europe/Berlin"),
        actions={VIEW: Action(title="View"), EXPORT: Action(title="Export")},
        rules=rules,
    )


def _rules(count: int, actions: tuple[str, ...], name: str = "rule") -> tuple[Rule, ...]:
    deny, review = Then(decision="deny"), Then(decision="review", groups=("group-0",))
    return tuple(
        Rule(
            id=f"{name}-{n}",
            actions=actions,
            when=_condition(n),
            then=deny if n % 3 == 0 else review,
        )
        for n in range(count)
    )


def _condition(n: int) -> str:
    text = _CONDITIONS[n % len(_CONDITIONS)]
    return text.replace("{n}", str(n)).replace("{s}", str(n % _SERVICES))


def _written(count: int, actions: list[str]) -> Iterator[dict[str, object]]:
    for n in range(count):
        review: dict[str, object] = {"decision": "review", "groups": [f"group-{n % 10}"]}
        yield {
            "id": f"rule-{n}",
            "why": f"Rule {n} of the made-up policy",
            "actions": [actions[n // 10 % len(actions)]],
            "when": _condition(n),
            "then": {"decision": "deny"} if n % 3 == 0 else {**review, "remind": ["5m"]},
        }


def _fixtures(directory: Path, count: int, actions: list[str]) -> dict[str, object]:
    found = load_configuration(directory)
    cases = []
    for n in range(count):
        given: dict[str, JsonValue] = {
            "action": actions[n % len(actions)],
            "service": "service-0",
            "requester.id": "okta:1",
            "requester.roles": ["support"],
            "geo.country": "CH" if n % 2 else "DE",
            "device.managed": n % 5 != 0,
            "request.record_count": n * 1000,
            "request.purpose": "support",
            "client.ip": "10.200.3.4",
            "now": NOON.isoformat(),
        }
        inquiry = suppose(given, found.policy, found.services).inquiry
        matched = found.rulebook.terms(inquiry).matched
        expect = {"decision": matched.decision, "rule": matched.rule}
        cases.append({"name": f"Case {n}", "given": given, "expect": expect})
    return {"cases": cases}


def _write(path: Path, content: object) -> None:
    path.write_text(yaml.dump(content, Dumper=_Plain, sort_keys=False), encoding="utf-8")
