"""What Placet answers, as plain frozen data: read strictly, because an approval hangs on it.

Anything that is missing or of another kind is `WrongShape`, never a default.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from approvals.errors import Finding

REQUEST_ID = re.compile(r"req_[0-9A-Za-z]{1,64}")
GRANT_ID = re.compile(r"grt_[0-9A-Za-z]{1,64}")
PROBLEM = "urn:placet:problem:"
STATUSES = frozenset({"pending", "approved", "denied", "expired", "cancelled"})
GRANT_STATUSES = frozenset({"active", "used", "ended", "revoked"})
REASON_CODES = frozenset(
    {
        *("no_decision", "not_presented", "undeliverable"),
        *("by_service", "by_requester", "by_admin", "subject_erased", "erased"),
    }
)
MOST_DETAIL = 500  # characters of Placet's own words that enter a message
_SLUG = re.compile(r"[a-z][a-z-]{0,63}")

Json = Mapping[str, Any]


class WrongShape(Exception):
    """JSON that is not what the contract says. Says which member, never its value."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant as answered. `data` is the answer as a whole."""

    id: str
    status: str
    expires_at: datetime
    uses_left: int
    token: str | None = field(repr=False, compare=False, default=None)  # new at every answer
    data: Json = field(repr=False, default_factory=dict, compare=False)

    @classmethod
    def read(cls, data: object) -> Grant:
        """From JSON. Raises `WrongShape`."""
        found = _object(data, "grant")
        return cls(
            id=_matching(found, "id", GRANT_ID),
            status=_one_of(found, "status", GRANT_STATUSES),
            expires_at=_time(found, "expires_at"),
            uses_left=_count(found, "uses_left"),
            token=_text_or_none(found, "token"),
            data=found,
        )


@dataclass(frozen=True, slots=True)
class Request:
    """A request as answered. `decision` and `data` may hold people's words: not in its repr."""

    id: str
    status: str
    delivery: str
    action: str
    digest: str = field(repr=False)
    salt: str | None = field(repr=False)
    created_at: datetime = field(repr=False)
    expires_at: datetime
    decision: Json | None = field(repr=False)
    grant: Grant | None
    data: Json = field(repr=False, compare=False)

    @classmethod
    def read(cls, data: object) -> Request:
        """From JSON. Raises `WrongShape`."""
        found = _object(data, "request")
        status = _one_of(found, "status", STATUSES)
        grant, decision = found.get("grant"), found.get("decision")
        if (status == "approved") != (grant is not None):
            raise WrongShape("grant")  # an approval has one, and nothing else has
        if (status == "pending") != (decision is None):
            raise WrongShape("decision")
        return cls(
            id=_matching(found, "id", REQUEST_ID),
            status=status,
            delivery=_text(found, "delivery"),
            action=_text(found, "action"),
            digest=_text(found, "digest"),
            salt=_text_or_none(found, "salt"),
            created_at=_time(found, "created_at"),
            expires_at=_time(found, "expires_at"),
            decision=None if decision is None else _object(decision, "decision"),
            grant=None if grant is None else Grant.read(grant),
            data=found,
        )

    @property
    def is_pending(self) -> bool:
        """Whether there is no outcome yet."""
        return self.status == "pending"

    @property
    def is_by_policy(self) -> bool:
        """Whether a rule, and no person, decided."""
        return self.decision is not None and not self.decision.get("by")

    @property
    def reason_code(self) -> str:
        """The reason where it is one of ours, else `unknown`: people's words are not told."""
        reason = (self.decision or {}).get("reason")
        return reason if isinstance(reason, str) and reason in REASON_CODES else "unknown"


@dataclass(frozen=True, slots=True)
class Problem:
    """Placet's own problem+json. `facts` are its further members, `findings` the wrong fields."""

    status: int
    slug: str
    detail: str
    findings: tuple[Finding, ...]
    facts: Json

    @property
    def told(self) -> str:
        """Its slug and its words, to stand inside a sentence."""
        return f"{self.slug}: {self.detail.rstrip('.') or 'Placet refuses the call'}"


def parsed(body: bytes) -> Json | None:
    """The JSON object in `body`, or None when there is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested without end
        return None
    return found if isinstance(found, dict) else None


def problem_in(status: int, body: bytes) -> Problem | None:
    """Placet's own problem in an answer, or None when the answer is somebody else's."""
    found = parsed(body) or {}
    kind = found.get("type")
    if not isinstance(kind, str) or not kind.startswith(PROBLEM):
        return None
    slug = kind.removeprefix(PROBLEM)
    if not _SLUG.fullmatch(slug):
        return None
    findings = found.get("errors")
    told = findings if isinstance(findings, list) else []
    facts = {name: value for name, value in found.items() if name not in _STANDARD}
    detail = _plain(found.get("detail"))
    return Problem(status, slug, detail, tuple(map(_finding, told)), facts)


_STANDARD = frozenset({"type", "title", "status", "detail", "errors", "instance"})


def _finding(told: object) -> Finding:
    found = told if isinstance(told, dict) else {}
    return Finding(_plain(found.get("pointer")), _plain(found.get("message")))


def _plain(text: object) -> str:
    """One printable line: an answer must not write into our logs."""
    if not isinstance(text, str):
        return ""
    return "".join(each if each.isprintable() else " " for each in text[:MOST_DETAIL])


def _object(data: object, name: str) -> Json:
    if not isinstance(data, dict):
        raise WrongShape(name)
    return data


def _text(data: Json, name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str):
        raise WrongShape(name)
    return value


def _text_or_none(data: Json, name: str) -> str | None:
    return None if data.get(name) is None else _text(data, name)


def _matching(data: Json, name: str, pattern: re.Pattern[str]) -> str:
    value = _text(data, name)
    if not pattern.fullmatch(value):
        raise WrongShape(name)
    return value


def _one_of(data: Json, name: str, known: frozenset[str]) -> str:
    value = _text(data, name)
    if value not in known:
        raise WrongShape(name)
    return value


def _count(data: Json, name: str) -> int:
    value = data.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise WrongShape(name)
    return value


def _time(data: Json, name: str) -> datetime:
    try:
        found = datetime.fromisoformat(_text(data, name))
    except ValueError:
        raise WrongShape(name) from None
    if found.tzinfo is None:
        raise WrongShape(name)
    return found
