"""What happened, in the past tense: the facts for audit entries. Knows no store and no key.

No fact holds personal data of a data subject: subjects come as keyed marks, words stay out.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import JsonValue, PlainSerializer

from approvals.answer import moment
from approvals.model import (
    ActionId,
    Closed,
    Frozen,
    GrantId,
    KeyId,
    Origin,
    PersonId,
    PolicyDecision,
    ReceiptOutcome,
    RequestId,
    ServiceId,
    Vote,
)

Rotation = Literal["added", "promoted", "retired"]
Erasure = Literal["by_admin", "retention"]
# Entries are for ever, so all their times have one form; pydantic's own gives up to six digits.
Moment = Annotated[datetime, PlainSerializer(moment, when_used="json")]


class Event(Frozen):
    """One fact. `type` names it as `<noun>.<past participle>`."""

    type: str


class RequestOpened(Event):
    """A service asked. `subject` and `body` are keyed hashes of what it sent.

    `words` is the SHA-256 of the encrypted justification and fields, `findings` the kinds of what
    the scan has masked in them. `context` is what its key asserted, `ignored` what the key may not
    assert, and what therefore took the strict default; `shadow` and `shadow_failed` are as in
    `MatchedPolicy`.
    """

    type: str = "request.opened"
    service: ServiceId
    key: KeyId
    address: str
    action: ActionId
    requester: str
    owner: PersonId | None = None
    subject: str | None = None
    body: str
    words: str = ""
    findings: tuple[str, ...] = ()
    digest: str
    rule: str
    policy: str
    decision: PolicyDecision
    context: dict[str, JsonValue] = {}
    ignored: tuple[str, ...] = ()
    shadow: tuple[str, ...] = ()
    shadow_failed: tuple[str, ...] = ()
    expires_at: Moment


class RequestViewed(Event):
    """A person opened the full details; `shown` is the SHA-256 of what they saw."""

    type: str = "request.viewed"
    person: PersonId
    origin: Origin
    revision: int
    shown: str


class RequestReviewed(Event):
    """A person voted. Of an approval: in which stage, from 0, and for which groups it may stand.

    `policy` is the version whose deny rules were asked before it counted.
    """

    type: str = "request.reviewed"
    person: PersonId
    origin: Origin
    vote: Vote
    revision: int
    stage: int = 0
    groups: tuple[str, ...] = ()
    policy: str | None = None


class RequestReminded(Event):
    """It still waited, and its cards say so. `step` counts the rule's reminders from 1."""

    type: str = "request.reminded"
    step: int


class RequestEscalated(Event):
    """`groups` may decide besides, and `notify` are told besides. `step` counts from 1."""

    type: str = "request.escalated"
    step: int
    groups: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()


class RequestPresented(Event):
    """The first card stands; `place` is the channel's name in the policy."""

    type: str = "request.presented"
    place: str


class RequestUndeliverable(Event):
    """Every place that was to be notified has refused the card."""

    type: str = "request.undeliverable"


class RequestDecided(Event):
    """The request became final. `reason` is a code, never a person's words.

    `policy` is as in `Decision`.
    """

    by: tuple[PersonId, ...] = ()
    actor: PersonId | ServiceId | None = None
    origin: Origin | None = None
    rule: str | None = None
    policy: str | None = None
    reason: str | None = None
    grant: GrantId | None = None
    grant_expires_at: Moment | None = None
    uses: int | None = None


class RequestErased(Event):
    """Nobody's words are kept of it any more. `person` asked for it, or its time has come."""

    type: str = "request.erased"
    person: PersonId | None = None
    origin: Origin | None = None
    reason: Erasure


class SubjectErased(Event):
    """An admin had a data subject forgotten: the key of their words is gone.

    `subject` is a keyed hash; `request` is named where one without a subject was meant.
    `requests` were concerned, of which so many were `cancelled` and so many grants `revoked`.
    """

    type: str = "subject.erased"
    person: PersonId
    origin: Origin
    subject: str | None = None
    request: RequestId | None = None
    requests: int = 0
    cancelled: int = 0
    revoked: int = 0


class GrantRedeemed(Event):
    """The service acts now: this is who accessed what, and when. `use` counts from 1.

    `digest` is of what it does; `policy` is the version whose deny rules were asked; `context` is
    what its key asserted then, `held` what had to be as at the opening, and was.
    """

    type: str = "grant.redeemed"
    grant: GrantId
    service: ServiceId
    requester: str
    digest: str
    use: int
    uses_left: int
    policy: str
    address: str = ""
    context: dict[str, JsonValue] = {}
    held: tuple[str, ...] = ()


class GrantEnded(Event):
    """The grant opens nothing any more, used or not; `actor` is the service that ended it."""

    type: str = "grant.ended"
    grant: GrantId
    reason: Closed
    actor: ServiceId | None = None


class GrantRevoked(Event):
    """A person took the grant back, or a deny rule of the policy `policy` did."""

    type: str = "grant.revoked"
    grant: GrantId
    reason: Closed
    person: PersonId | None = None
    origin: Origin | None = None
    rule: str | None = None
    policy: str | None = None


class ReceiptGiven(Event):
    """The service says what it has done. `asked` is the number it had asked for, if any."""

    type: str = "receipt.given"
    grant: GrantId
    service: ServiceId
    records: int
    outcome: ReceiptOutcome
    asked: int | None = None
    is_larger: bool = False
    is_late: bool = False


class ReceiptMissed(Event):
    """The receipt's deadline has passed without one."""

    type: str = "receipt.missed"
    grant: GrantId
    due_at: Moment


class CallbackAttempted(Event):
    """One delivery attempt: `callback.delivered`, `.failed`, `.refused` (410) or `.dead`."""

    attempt: int
    status: int | None = None
    kind: str | None = None
    milliseconds: int = 0


class CallbackReplayed(Event):
    """An admin asked for the same bytes to be sent again."""

    type: str = "callback.replayed"
    person: PersonId
    origin: Origin


class KeyMade(Event):
    """An API key was made. `person` is None while people.yaml has no admin to answer for it."""

    type: str = "key.made"
    service: ServiceId
    key: KeyId
    person: PersonId | None = None
    origin: Origin


class KeyRotated(Event):
    """A signing key of grant tokens was added, made to sign, or taken away; `kid` names it.

    `person` is as in `KeyMade`.
    """

    type: str = "key.rotated"
    kid: str
    what: Rotation
    person: PersonId | None = None
    origin: Origin


class RightRefused(Event):
    """Somebody tried what they have no right to. `actor` is a person, a service or `unknown`.

    `found` are the kinds of what a refused text held.
    """

    type: str = "right.refused"
    actor: str
    code: str
    wanted: str
    request: RequestId | None = None
    origin: Origin | None = None
    found: tuple[str, ...] = ()


class RightsRefusedMore(Event):
    """So many more refusals of one actor within a minute, counted and not written singly."""

    type: str = "right.refused_more"
    actor: str
    count: int


class ClockReset(Event):
    """An admin set the time seen back to the server's clock; `behind_ms` says by how much."""

    type: str = "clock.reset"
    person: PersonId
    origin: Origin
    behind_ms: int


class PolicyActivated(Event):
    """The deployment's policy is now `version`; one entry, however many processes run it."""

    type: str = "policy.activated"
    version: str
    previous: str | None = None


class PolicyRefused(Event):
    """A process found faults in the changed files and stays with `version`."""

    type: str = "policy.refused"
    version: str
    faults: int
