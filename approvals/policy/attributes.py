"""The context attributes: their types, their strict defaults, and who may set them.

What a service sends is a claim. Its values never reach a message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from approvals.errors import Finding, InvalidRequest
from approvals.policy.issues import nearest

# A field name may itself be personal data: only what looks like one of ours is told back.
# It holds neither `~` nor `/`, so that its pointer needs no escaping (RFC 6901).
_PLAIN_NAME = re.compile(r"[a-z_.]{1,40}")


def _is_text(value: JsonValue) -> bool:
    return isinstance(value, str)


def _is_truth(value: JsonValue) -> bool:
    return isinstance(value, bool)


def _is_text_list(value: JsonValue) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute a service may claim. `default` holds where nobody says: the strict case."""

    default: JsonValue
    fits: Callable[[JsonValue], bool]
    wanted: str


CLAIMABLE: Mapping[str, Attribute] = {
    "requester.roles": Attribute([], _is_text_list, "a list of texts"),
    "requester.groups": Attribute([], _is_text_list, "a list of texts"),
    "geo.country": Attribute("", _is_text, "a text"),
    "device.managed": Attribute(False, _is_truth, "true or false"),
    "device.type": Attribute("unknown", _is_text, "a text"),
}
RESERVED = frozenset(
    {
        "service",
        "now",
        "tz",
        "client.ip",
        "requester.id",
        "requester.unreceipted",
        "requester.overuse",
    }
)
_RESERVED_PREFIX = "request."


@dataclass(frozen=True, slots=True)
class Claims:
    """What of a context counts, and what was dropped to its strict default."""

    accepted: dict[str, JsonValue]
    ignored: tuple[str, ...]


def check_claims(context: Mapping[str, JsonValue], asserts: tuple[str, ...]) -> Claims:
    """The claims a service that may assert `asserts` makes with `context`.

    Raises `InvalidRequest` naming every unknown, reserved and wrongly typed attribute; a type is
    judged also where the attribute would be ignored, and never coerced.
    """
    if findings := [found for name, value in context.items() if (found := _fault(name, value))]:
        raise InvalidRequest(findings)
    accepted = {name: value for name, value in context.items() if name in asserts}
    return Claims(accepted, tuple(name for name in context if name not in accepted))


def is_reserved(name: str) -> bool:
    """Whether Placet alone sets the attribute."""
    return name in RESERVED or name.startswith(_RESERVED_PREFIX)


def _fault(name: str, value: JsonValue) -> Finding | None:
    if _PLAIN_NAME.fullmatch(name) is None:
        return Finding("/context", f"holds a key that is no context attribute; {_known()}")
    pointer = f"/context/{name}"
    if is_reserved(name):
        return Finding(pointer, "is set by Placet and may not be sent; remove it")
    attribute = CLAIMABLE.get(name)
    if attribute is None:
        close = nearest(name, CLAIMABLE)
        hint = f"did you mean {close}?" if close else _known()
        return Finding(pointer, f"is not a context attribute; {hint}")
    return None if attribute.fits(value) else Finding(pointer, f"must be {attribute.wanted}")


def _known() -> str:
    return "known are " + ", ".join(sorted(CLAIMABLE))
