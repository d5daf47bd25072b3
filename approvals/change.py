"""What goes into the state machine and what comes out: commands, and the Change a commit applies.

Data only; who may do what, and what follows, is `lifecycle`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import JsonValue

from approvals.events import Event
from approvals.model import (
    ApprovalRequest,
    Asked,
    Caller,
    Encrypted,
    MatchedPolicy,
    Origin,
    Person,
    ReceiptOutcome,
    RequestId,
    Vote,
)


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit applies, all or none.

    `callback` names the event the service is told of. `valid_before`: refused at or after it by
    the store's time. `guarded`: refused while the store's clock stands behind the time seen.
    """

    request: ApprovalRequest
    events: tuple[Event, ...]
    callback: str | None = None
    guarded: bool = False
    valid_before: datetime | None = None
    forgets: bool = False


@dataclass(frozen=True, slots=True)
class Opening:
    """A request about to open: what was asked, and what policy said. A mark is a keyed hash."""

    id: RequestId
    caller: Caller
    asked: Asked
    policy: MatchedPolicy
    expires_in: timedelta
    grant_ttl: timedelta
    uses: int
    digest: str
    salt: str
    body_mark: str


@dataclass(frozen=True, slots=True)
class DenyRule:
    """A deny rule that fits a request opened under an older policy; `policy` is its version."""

    rule: str
    say: str | None
    policy: str


@dataclass(frozen=True, slots=True)
class TakingBack:
    """A person takes a request, or the grant that came of it, back."""

    person: Person
    origin: Origin
    reason: Encrypted | None = None


@dataclass(frozen=True, slots=True)
class Voting:
    """A person's vote. `revision` is what they looked at; None means the one they viewed.

    `policy` is the version whose deny rules were asked.
    """

    person: Person
    origin: Origin
    vote: Vote
    reason: Encrypted | None = None
    revision: int | None = None
    policy: str | None = None


@dataclass(frozen=True, slots=True)
class Redeeming:
    """A service is about to act. `nonce` is a keyed hash, `context` holds what it may assert."""

    digest: str
    nonce: str
    context: Mapping[str, JsonValue]
    address: str


@dataclass(frozen=True, slots=True)
class Receipting:
    """A service tells what it has done."""

    records: int
    outcome: ReceiptOutcome
    note: Encrypted | None = None
