"""The attributes conditions may name: their kinds, their strict defaults, and who may set them.

What a service sends is a claim. Its values never reach a message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import islice

from pydantic import JsonValue

from approvals.errors import Finding, InvalidRequest
from approvals.policy.expressions import Kind
from approvals.policy.issues import nearest

# A field name may itself be personal data: only what looks like one of ours is told back.
# It holds neither `~` nor `/`, so that its pointer needs no escaping (RFC 6901).
_PLAIN_NAME = re.compile(r"[a-z_.]{1,40}")


# Accepted values stand in the audit's clear part. These shapes hold no name, address or sentence.
_COUNTRY = re.compile(r"[A-Z]{2}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
_A_WORD = "1 to 64 letters, digits and _ . : -, a letter or digit first"
_MAX_ITEMS = 50
# One request must not buy an answer, or a search for near names, as long as it likes.
_MAX_FINDINGS = 20
_MAX_HINTS = 5


def _is_country(value: JsonValue) -> bool:
    return isinstance(value, str) and _COUNTRY.fullmatch(value) is not None


def _is_truth(value: JsonValue) -> bool:
    return isinstance(value, bool)


def _is_word(value: JsonValue) -> bool:
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def _is_word_list(value: JsonValue) -> bool:
    return isinstance(value, list) and len(value) <= _MAX_ITEMS and all(map(_is_word, value))


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute a service may claim. `default` holds where nobody says: the strict case."""

    kind: Kind
    default: JsonValue
    fits: Callable[[JsonValue], bool]
    wanted: str


_WORDS = f"a list of at most {_MAX_ITEMS} texts, each {_A_WORD}"
CLAIMABLE: Mapping[str, Attribute] = {
    "requester.roles": Attribute("texts", [], _is_word_list, _WORDS),
    "requester.groups": Attribute("texts", [], _is_word_list, _WORDS),
    "geo.country": Attribute(
        "text", "", _is_country, "two capital letters, an ISO 3166 code such as DE"
    ),
    "device.managed": Attribute("truth", False, _is_truth, "true or false"),
    "device.type": Attribute("text", "unknown", _is_word, _A_WORD),
}
# What Placet knows by itself, or takes from the request's own members.
GIVEN: Mapping[str, Kind] = {
    "service": "text",
    "requester.id": "text",
    "request.record_count": "number",  # no default: where it is absent, whoever needs it errs
    "request.data_classes": "texts",
    "request.purpose": "text",
    "requester.unreceipted": "number",
    "requester.overuse": "number",
    "client.ip": "text",
    "now": "time",
    "tz": "text",
}
MAY_BE_ABSENT = frozenset({"request.record_count"})
KINDS: Mapping[str, Kind] = {
    **GIVEN,
    **{name: attribute.kind for name, attribute in CLAIMABLE.items()},
}
_RESERVED_PREFIX = "request."
# What a redeem can compare with the request; the others are bound into the digest, or move.
MAY_BE_HELD = frozenset({*CLAIMABLE, "client.ip"})
# What a request may hold of each list: two of its own, and classes of the action besides.
SIZES: Mapping[str, int] = {
    "requester.roles": _MAX_ITEMS,
    "requester.groups": _MAX_ITEMS,
    "request.data_classes": 2 * _MAX_ITEMS,
}


@dataclass(frozen=True, slots=True)
class Claims:
    """What of a context counts, and what was dropped to its strict default."""

    accepted: dict[str, JsonValue]
    ignored: tuple[str, ...]


def check_claims(context: Mapping[str, JsonValue], asserts: tuple[str, ...]) -> Claims:
    """The claims a service that may assert `asserts` makes with `context`.

    Raises `InvalidRequest` naming the first unknown, reserved and wrongly shaped attributes; a
    shape is judged also where the attribute would be ignored, and nothing is coerced.
    """
    hinted = frozenset(islice(filter(_is_unknown, context), _MAX_HINTS))
    faults = (_fault(name, value, hinted) for name, value in context.items())
    if findings := list(islice(filter(None, faults), _MAX_FINDINGS)):
        raise InvalidRequest(findings)
    accepted = {name: value for name, value in context.items() if name in asserts}
    return Claims(accepted, tuple(name for name in context if name not in accepted))


def is_reserved(name: str) -> bool:
    """Whether Placet alone sets the attribute."""
    return name in GIVEN or name.startswith(_RESERVED_PREFIX)


def _is_unknown(name: str) -> bool:
    is_known = name in CLAIMABLE or is_reserved(name)
    return not is_known and _PLAIN_NAME.fullmatch(name) is not None


def _fault(name: str, value: JsonValue, hinted: Collection[str]) -> Finding | None:
    if _PLAIN_NAME.fullmatch(name) is None:
        return Finding("/context", f"holds a key that is no context attribute; {_known()}")
    pointer = f"/context/{name}"
    if is_reserved(name):
        return Finding(pointer, "is set by Placet and may not be sent; remove it")
    attribute = CLAIMABLE.get(name)
    if attribute is None:
        close = nearest(name, CLAIMABLE) if name in hinted else None
        hint = f"did you mean {close}?" if close else _known()
        return Finding(pointer, f"is not a context attribute; {hint}")
    return None if attribute.fits(value) else Finding(pointer, f"must be {attribute.wanted}")


def _known() -> str:
    return "known are " + ", ".join(sorted(CLAIMABLE))
