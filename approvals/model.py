"""The nouns of Placet as frozen data. Knows no rule, no clock and no store.

The words are those of the design's glossary; times are aware UTC datetimes, in milliseconds.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, NewType

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

RequestId = NewType("RequestId", str)
GrantId = NewType("GrantId", str)
EventId = NewType("EventId", str)
PersonId = NewType("PersonId", str)
ServiceId = NewType("ServiceId", str)
ActionId = NewType("ActionId", str)
KeyId = NewType("KeyId", str)
# Somebody's own words, under the key of the data subject they concern: see `encryption`.
Encrypted = NewType("Encrypted", str)
NO_WORDS = Encrypted("")
ERASED_WORDS = Encrypted("erased")  # in place of words that are forgotten; no key has made it

Status = Literal["pending", "approved", "denied", "expired", "cancelled"]
GrantStatus = Literal["active", "used", "ended", "revoked"]
Delivery = Literal["queued", "presented", "undeliverable"]
Vote = Literal["approve", "deny"]
PolicyDecision = Literal["approve", "deny", "review"]
Role = Literal["approver", "admin", "auditor"]
Via = Literal["slack", "teams", "console", "cli"]
ReceiptOutcome = Literal["succeeded", "failed"]
PiiInText = Literal["mask", "warn", "refuse"]
# Why a grant is no longer active, but for having been used up.
Closed = Literal[
    "time",
    "by_service",
    "receipt",
    "by_requester",
    "by_approver",
    "by_admin",
    "denied_by_policy",
    "subject_erased",
]


class Frozen(BaseModel):
    """Base of all data: immutable, closed, changed by `model_copy`."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Kept(Frozen):
    """Base of what is stored. What a newer version wrote beside it is kept, not refused."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Person(Frozen):
    """A person as people.yaml has them today. `groups` are those they are a member of now."""

    id: PersonId
    name: str
    roles: frozenset[Role] = frozenset()
    groups: frozenset[str] = frozenset()


class Caller(Frozen):
    """Who authenticated with which API key. `address` is what Placet itself sees."""

    service: ServiceId
    key_id: KeyId
    address: str = ""


class Origin(Frozen):
    """By which way a person acted; on the CLI also as which OS user on which host."""

    via: Via
    os_user: str | None = None
    host: str | None = None


class Requester(Kept):
    """Who will act: a person of people.yaml, or a machine with an owner; one of the two is set."""

    id: str
    person: PersonId | None = None
    owner: PersonId | None = None

    @property
    def responsible(self) -> PersonId | None:
        """The person who may not decide this request."""
        return self.person or self.owner


class Stage(Kept):
    """A part of a review: all of it comes before the next part is asked."""

    threshold: int
    groups: tuple[str, ...]


class Escalation(Kept):
    """Who is asked, and told, besides, once `after` has passed since the opening."""

    after: timedelta
    groups: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()


class MatchedPolicy(Kept):
    """What policy said when the request opened. Frozen: a reload cannot move the goalposts.

    With `stages`, `threshold` is their sum and `groups` all of theirs. `remind` counts from the
    opening. `shadow` names the rules that fitted and only would have decided, `shadow_failed` those
    that gave an error; `must_hold` the attributes that a redeem must find unchanged.
    `personal_retention` is how long after its end, its grant over, the request keeps personal data;
    None is until it is erased. `show_justification` puts the requester's words on the channel card.
    """

    version: str
    rule: str
    why: str = ""
    say: str | None = None
    decision: PolicyDecision
    threshold: int = 0
    groups: tuple[str, ...] = ()
    quick_approve: bool = False
    notify: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = ()
    distinct_groups: bool = False
    remind: tuple[timedelta, ...] = ()
    escalate: tuple[Escalation, ...] = ()
    must_hold: tuple[str, ...] = ()
    shadow: tuple[str, ...] = ()
    shadow_failed: tuple[str, ...] = ()
    receipt_within: timedelta | None = None
    personal_retention: timedelta | None = None
    show_justification: bool = False

    @property
    def all_stages(self) -> tuple[Stage, ...]:
        """The stages, or the one of `threshold` and `groups` where none are told apart."""
        return self.stages or (Stage(threshold=self.threshold, groups=self.groups),)

    @property
    def escalations(self) -> tuple[Escalation, ...]:
        """`escalate` in the order of its times."""
        return tuple(sorted(self.escalate, key=lambda step: step.after))

    @property
    def reminders(self) -> tuple[timedelta, ...]:
        """`remind` in the order of its times."""
        return tuple(sorted(self.remind))


class TextFinding(Kept):
    """What the scan has found in a text, and masked. `pointer` is a JSON pointer (RFC 6901)."""

    pointer: str
    kind: str


class Asked(Kept):
    """The part of a request that never changes: what the service said, as far as it is kept.

    `personal` are the justification, the ticket, the name given and the declared fields, each
    through its mask; `hidden_fields` counts the fields that are not kept. The digest covers them
    all. `subject_mark` is a keyed hash of the data subject. `address` is where the request came
    from, as Placet saw it; `unreceipted` and `overuse` are what it knew of the requester's earlier
    grants then. `likeness` is a keyed hash: who asks the same has the same.
    """

    action: ActionId
    title: str
    requester: Requester
    personal: Encrypted = NO_WORDS
    purpose: str | None = None
    subject_mark: str | None = None
    record_count: int | None = None
    data_classes: tuple[str, ...] = ()
    hidden_fields: int = 0
    context: dict[str, JsonValue] = Field(default_factory=dict)
    context_ignored: tuple[str, ...] = ()
    findings: tuple[TextFinding, ...] = ()
    callback_url: str | None = None
    address: str = ""
    unreceipted: int = 0
    overuse: int = 0
    likeness: str = ""


class View(Kept):
    """That a person opened the full details of one revision."""

    person: PersonId
    via: Via
    revision: int
    at: AwareDatetime


class Review(Kept):
    """One person's vote.

    Of an approval, `stage` is the one it counts in, from 0, and `groups` are those of that stage
    of which the person was a member then.
    """

    person: PersonId
    via: Via
    vote: Vote
    revision: int
    at: AwareDatetime
    reason: Encrypted | None = None
    stage: int = 0
    groups: tuple[str, ...] = ()


class DecidedBy(Kept):
    """A counted approver, or the denier."""

    person: PersonId
    via: Via


class EntryReceipt(Kept):
    """Proof of an audit entry: its number within its record, and its MAC."""

    entry: int
    mac: str


class Decision(Kept):
    """The outcome of a request; `by` is empty when policy, time or the service ended it.

    `reason` is a code or the rule's `say`; what the denier said is in their review. `note` is what
    a person said when cancelling. `policy` is the version
    that the deciding rule is of, where it came into force after the opening. `receipt` names the
    entry that tells of the decision; the store adds it when it commits.
    """

    outcome: Status
    at: AwareDatetime
    by: tuple[DecidedBy, ...] = ()
    reason: str | None = None
    rule: str | None = None
    note: Encrypted | None = None
    policy: str | None = None
    receipt: EntryReceipt | None = None


class Redemption(Kept):
    """One use of a grant: what is done under it is done by now. `nonce` is a keyed hash."""

    nonce: str
    at: AwareDatetime


class Receipt(Kept):
    """What a service says was really done under a grant. `note` are its own words."""

    records: int
    outcome: ReceiptOutcome
    at: AwareDatetime
    note: Encrypted | None = None


class Closing(Kept):
    """How a grant came to its end; `person` revoked it, and `note` is what they said."""

    at: AwareDatetime
    reason: Closed
    person: PersonId | None = None
    note: Encrypted | None = None


class Grant(Kept):
    """The permission that follows an approval. Its clock starts with the approval.

    `receipt_missed`: the receipt's deadline has passed without one, whatever came later.
    """

    id: GrantId
    status: GrantStatus
    expires_at: AwareDatetime
    uses_left: int
    redemptions: tuple[Redemption, ...] = ()
    receipt: Receipt | None = None
    receipt_missed: bool = False
    closing: Closing | None = None


class ApprovalRequest(Kept):
    """A request and all that happened to it. `revision` counts changes of what approvers see.

    `escalated` and `reminded` count the steps taken of those that the frozen policy has.
    `erased_at`: since then nobody's words are kept, nor the digest's salt.
    """

    id: RequestId
    service: ServiceId
    key_id: KeyId
    asked: Asked
    digest: str
    salt: str | None
    policy: MatchedPolicy
    created_at: AwareDatetime
    expires_at: AwareDatetime
    grant_ttl: timedelta = timedelta(minutes=15)
    uses: int = 1
    status: Status = "pending"
    revision: int = 1
    delivery: Delivery = "presented"
    first_shown_at: AwareDatetime | None = None
    views: tuple[View, ...] = ()
    reviews: tuple[Review, ...] = ()
    escalated: int = 0
    reminded: int = 0
    decision: Decision | None = None
    grant: Grant | None = None
    callbacks: int = 0
    erased_at: AwareDatetime | None = None

    @property
    def presented_at(self) -> datetime | None:
        """When the first card stood in a channel; where none is to from the start, at once."""
        return self.first_shown_at if self.policy.notify else self.created_at

    @property
    def is_final(self) -> bool:
        """Whether the request has its outcome, which never changes."""
        return self.status != "pending"

    @property
    def is_overused(self) -> bool:
        """Whether more was done than was asked for, as the receipt says."""
        receipt = self.grant.receipt if self.grant else None
        asked = self.asked.record_count
        return receipt is not None and asked is not None and receipt.records > asked

    @property
    def is_unreceipted(self) -> bool:
        """Whether a receipt is overdue and has not come."""
        return self.grant is not None and self.grant.receipt_missed and not self.grant.receipt

    @property
    def approvals(self) -> tuple[Review, ...]:
        """The approvals counted so far; a person appears once."""
        return tuple(review for review in self.reviews if review.vote == "approve")

    @property
    def escalations(self) -> tuple[Escalation, ...]:
        """Those carried out so far, the first one first."""
        return self.policy.escalations[: self.escalated]

    @property
    def reminders(self) -> tuple[datetime, ...]:
        """When each reminder given so far was due."""
        return tuple(self.created_at + after for after in self.policy.reminders[: self.reminded])

    @property
    def groups(self) -> tuple[str, ...]:
        """Whose members may decide: those frozen in, then those that escalations have added."""
        added = (group for step in self.escalations for group in step.groups)
        return tuple(dict.fromkeys((*self.policy.groups, *added)))

    @property
    def places(self) -> tuple[str, ...]:
        """The channels that hold a card: those frozen in, then those that escalations added."""
        added = (place for step in self.escalations for place in step.notify)
        return tuple(dict.fromkeys((*self.policy.notify, *added)))


def grant_id(request: RequestId) -> GrantId:
    """The id of the one grant a request may have, found from either side without an index."""
    return GrantId("grt_" + request.removeprefix("req_"))


def request_of(grant: GrantId) -> RequestId:
    """The request whose grant it is, the other way round."""
    return RequestId("req_" + grant.removeprefix("grt_"))


def event_id(request: RequestId, seq: int) -> EventId:
    """The `webhook-id` of a request's `seq`-th callback. Holds no dot (Standard Webhooks)."""
    return EventId(f"evt_{request}_{seq}")
