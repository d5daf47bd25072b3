"""Requests in every state, with a marker in each field that no channel may ever hold."""

from __future__ import annotations

from datetime import timedelta

from approvals import lifecycle
from approvals.change import Change, DenyRule, TakingBack, Voting
from approvals.model import ApprovalRequest, MatchedPolicy, Origin, Person, PersonId, Requester
from approvals.policy.people import People, PeopleDocument
from approvals.privacy.personal import KeptField
from tests import words
from tests.approvals.samples import ADMIN, ANNA, BEN, CLEO, NOW, asked, opening, policy

CONSOLE = Origin(via="console")
# Each of them must stay out of channels, and each is told apart from the others.
CANARIES = {
    "justification": "canary-justification",
    "subject": "canary-subject",
    "ticket": "canary-ticket",
    "purpose": "canary-purpose",
    "given_name": "canary-given-name",
    "plain": "canary-plain-param",
    "email": "c***@c***.example",
    "context": "canary-context",
    "ignored": "canary.ignored",
    "approving": "canary-approver-words",
    "denying": "canary-denier-words",
    "note": "canary-cancel-note",
    "salt": "canary-salt",
    "digest": "canary-digest",
    "callback": "canary-callback",
}
NAMES = {
    "anna": "Anna Ek", "ben": "Ben Okafor", "cleo": "Cleo Marsh", "jonas": "Jonas Berg",
    "olga": "Olga Rossi", "alma": "Alma Lund", "dora": "Dora Vik",
}  # fmt: skip
MINUTE = timedelta(minutes=1)


def people(*gone: str) -> People:
    """people.yaml as it is today, without those who are `gone`."""
    listed = [{"id": id_, "name": name} for id_, name in NAMES.items() if id_ not in gone]
    return People(PeopleDocument.model_validate({"people": listed}))


def requester(**changes: object) -> Requester:
    return Requester.model_validate({"id": "okta:00u1", "person": "jonas"} | changes)


MACHINE = requester(id="job:nightly", person=None, owner="ben")
FIELDS = (
    KeptField(name="format", show="plain", value=CANARIES["plain"]),
    KeptField(name="email", show="mask_email", value=CANARIES["email"]),
)
PERSONAL = words.personal(
    CANARIES["justification"],
    ticket=CANARIES["ticket"],
    given_name=CANARIES["given_name"],
    fields=FIELDS,
)


def opened(
    under: MatchedPolicy | None = None,
    *,
    callback_url: str | None = f"http://127.0.0.1:9/{CANARIES['callback']}",
    **changes: object,
) -> ApprovalRequest:
    """A request just opened; `changes` are those of what was asked."""
    said = asked(
        **{
            "title": "Export customer records",
            "requester": requester(),
            "personal": PERSONAL,
            "subject_mark": CANARIES["subject"],
            "purpose": CANARIES["purpose"],
            "record_count": 1240,
            "data_classes": ("contact", "financial"),
            "hidden_fields": 2,
            "context": {"geo.country": CANARIES["context"]},
            "context_ignored": (CANARIES["ignored"],),
            "callback_url": callback_url,
        }
        | changes
    )
    request = lifecycle.open_request(opening(asked_for=said, under=under), NOW).request
    return request.model_copy(update={"salt": CANARIES["salt"], "digest": CANARIES["digest"]})


TWO = policy(rule="export-two-approvers", why="Large exports need two people", threshold=2,
             groups=("privacy", "duty"))  # fmt: skip


def looked(request: ApprovalRequest, person: Person, minutes: int = 1) -> ApprovalRequest:
    """`person` has opened the details."""
    return lifecycle.view(request, person, CONSOLE, "sha256:0", NOW + minutes * MINUTE).request


def voted(
    request: ApprovalRequest, person: Person, minutes: int = 2, *, against: bool = False
) -> ApprovalRequest:
    """`person` has looked and voted, with words that stay out of channels."""
    said = words.reviewing(person.id, CANARIES["denying" if against else "approving"])
    vote = Voting(person, CONSOLE, "deny" if against else "approve", said, request.revision)
    seen = looked(request, person, minutes - 1)
    return lifecycle.review(seen, vote, NOW + minutes * MINUTE).request


def denied_by_a_later_rule(request: ApprovalRequest) -> ApprovalRequest:
    """An approval has met a deny rule that came after the request."""
    vote = Voting(ANNA, CONSOLE, "approve", None, request.revision)
    rule = DenyRule("freeze", "Nothing leaves the house this week", "v2")
    return lifecycle.review(looked(request, ANNA), vote, NOW + 2 * MINUTE, denied_by=rule).request


def by_rule(decision: str) -> ApprovalRequest:
    """A request that a rule has decided as it opened."""
    rule = "reports-are-open" if decision == "approve" else "never-sell"
    return opened(policy(rule=rule, why="", say="canary-free words of policy", decision=decision,
                         threshold=0, groups=()))  # fmt: skip


def expired(request: ApprovalRequest) -> ApprovalRequest:
    """Its time is up."""
    return after(lifecycle.on_deadline(request, request.expires_at))


def undeliverable() -> ApprovalRequest:
    return expired(after(lifecycle.on_undeliverable(opened(policy(notify=("desk",))))))


def cancelled_by(person: Person) -> ApprovalRequest:
    cancelling = TakingBack(person, CONSOLE, words.cancelling(CANARIES["note"]))
    return lifecycle.cancel_by_person(opened(), cancelling, NOW + MINUTE).request


def cancelled_by_service() -> ApprovalRequest:
    return lifecycle.cancel_by_service(opened(), NOW + MINUTE).request


def erased(request: ApprovalRequest | None = None, minutes: int = 1) -> ApprovalRequest:
    """Its data subject was forgotten, and what was still to happen ended by it."""
    erasing = TakingBack(ADMIN, CONSOLE)
    return after(lifecycle.erase(request or opened(), erasing, NOW + minutes * MINUTE))


def after(change: Change | None) -> ApprovalRequest:
    assert change is not None
    return change.request


def half_approved() -> ApprovalRequest:
    return voted(opened(TWO), ANNA)


def approved() -> ApprovalRequest:
    return voted(half_approved(), CLEO, 4)


def denied() -> ApprovalRequest:
    return voted(opened(), BEN, against=True)


JONAS = Person(id=PersonId("jonas"), name="Jonas Berg")
