"""A made-up request from flat attributes, for fixtures and for `placet policy explain`.

Judged like a real one: what its service may not assert is dropped to its strict default.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address

from pydantic import JsonValue

from approvals.model import ActionId, Asked, Requester, ServiceId
from approvals.policy.attributes import CLAIMABLE, KINDS
from approvals.policy.document import Action, Policy
from approvals.policy.inquiry import Inquiry, inquiry_of
from approvals.policy.issues import suggestion
from approvals.policy.services import Service, Services

Given = Mapping[str, JsonValue]
MOST_RECORDS = 2**53 - 1


@dataclass(frozen=True, slots=True)
class GivenFault:
    """What is wrong with one of the attributes given; `name` is the one, or the one missing."""

    name: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Supposed:
    """A request that nobody has sent. `ignored` is what its service may not assert.

    `hindrances` tell why a real one would be refused before policy is asked.
    """

    inquiry: Inquiry
    ignored: tuple[str, ...] = ()
    hindrances: tuple[str, ...] = ()


def _is_text(value: JsonValue) -> bool:
    return isinstance(value, str) and bool(value)


def _is_texts(value: JsonValue) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_count(value: JsonValue) -> bool:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return is_number and 0 <= int(str(value)) <= MOST_RECORDS


def _is_address(value: JsonValue) -> bool:
    try:
        return isinstance(value, str) and bool(ip_address(value))
    except ValueError:
        return False


def _is_moment(value: JsonValue) -> bool:
    try:
        moment = datetime.fromisoformat(str(value))
        return isinstance(value, str) and bool(moment.tzinfo and moment.astimezone(UTC))
    except (ValueError, OverflowError):
        return False


_MEMBERS: Mapping[str, tuple[Callable[[JsonValue], bool], str]] = {
    "action": (_is_text, "an action of policy.yaml"),
    "service": (_is_text, "a service of services.yaml"),
    "requester.id": (_is_text, "a text"),
    "requester.unreceipted": (_is_count, "a whole number, 0 or more"),
    "requester.overuse": (_is_count, "a whole number, 0 or more"),
    "request.record_count": (_is_count, "a whole number, 0 or more"),
    "request.purpose": (_is_text, "a text"),
    "request.data_classes": (_is_texts, "a list of texts"),
    "client.ip": (_is_address, "an IP address such as 192.0.2.1"),
    "now": (_is_moment, "a time with its zone, such as 2026-03-02T09:00:00Z"),
}
_REQUIRED = ("action", "now")
_KNOWN = frozenset({*_MEMBERS, *CLAIMABLE})


def faults_of(given: Given, policy: Policy, services: Services) -> Iterator[GivenFault]:
    """What is wrong with `given`; an attribute given as null is absent."""
    for name, value in given.items():
        if name not in _KNOWN:
            yield GivenFault(name, f"no attribute is called `{name}`", suggestion(name, _KNOWN))
        elif value is not None:
            yield from _unfit(name, value)
    for name in _REQUIRED:
        if given.get(name) is None:
            yield GivenFault(name, f"`{name}` is missing", f"Give {_MEMBERS[name][1]}")
    yield from _unknown("action", given.get("action"), policy.actions)
    yield from _unknown("service", given.get("service"), [one.id for one in services.all()])


def suppose(given: Given, policy: Policy, services: Services) -> Supposed:
    """The request that `given`, which has no faults, describes."""
    said = {name: value for name, value in given.items() if value is not None}
    action = policy.actions[str(said["action"])]
    service = services.service(ServiceId(str(said.get("service", ""))))
    claims = {name: value for name, value in said.items() if name in CLAIMABLE}
    may_assert = claims if service is None else service.asserts
    classes = said.get("request.data_classes")
    added = classes if isinstance(classes, list) else []
    asked = Asked(
        action=ActionId(str(said["action"])),
        title=action.title,
        requester=Requester(id=str(said.get("requester.id", ""))),
        purpose=str(said["request.purpose"]) if "request.purpose" in said else None,
        record_count=_count(said, "request.record_count"),
        unreceipted=_count(said, "requester.unreceipted") or 0,
        overuse=_count(said, "requester.overuse") or 0,
        data_classes=tuple(dict.fromkeys((*action.data_classes, *map(str, added)))),
        context={name: value for name, value in claims.items() if name in may_assert},
        address=str(said.get("client.ip", "")),
    )
    at = datetime.fromisoformat(str(said["now"])).astimezone(UTC)
    inquiry = inquiry_of(asked, service.id if service else ServiceId(""), at)
    ignored = tuple(name for name in claims if name not in may_assert)
    return Supposed(inquiry, ignored, tuple(_hindrances(action, asked, service)))


def _count(said: Given, name: str) -> int | None:
    value = said.get(name)
    return value if isinstance(value, int) else None


def _hindrances(action: Action, asked: Asked, service: Service | None) -> Iterator[str]:
    """Why such a request would not come as far as policy."""
    if service and not service.may_ask(asked.action):
        yield f"{service.id} may not ask for {asked.action} (services.yaml)"
    if asked.purpose and action.purposes and asked.purpose not in action.purposes:
        yield f"{asked.action} accepts {', '.join(action.purposes)} only as purpose"


def _unfit(name: str, value: JsonValue) -> Iterator[GivenFault]:
    claimable = CLAIMABLE.get(name)
    fits, wanted = (claimable.fits, claimable.wanted) if claimable else _MEMBERS[name]
    if not fits(value):
        is_misread = isinstance(value, bool) and KINDS.get(name) == "text"
        remedy = "Quote it, for YAML reads NO and ON as false and true" if is_misread else None
        yield GivenFault(name, f"`{name}` does not fit", remedy or f"Write {wanted}")


def _unknown(name: str, value: JsonValue, known: Collection[str]) -> Iterator[GivenFault]:
    if isinstance(value, str) and value not in known:
        yield GivenFault(name, f"no {name} is called `{value}`", suggestion(value, known))
