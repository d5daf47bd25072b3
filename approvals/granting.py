"""The use cases of grants, one method each: redeem, account for it, end it, take it back.

Like `service`, of which it is the part that comes after an approval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from approvals import grants
from approvals.act import ReceiptSent, Redeem
from approvals.answer import grant_data
from approvals.change import Change, DenyRule, Receipting, Redeeming, TakingBack
from approvals.commits import Commits, check_own
from approvals.digest import action_digest
from approvals.errors import (
    GrantDenied,
    Unauthorized,
)
from approvals.model import (
    ApprovalRequest,
    Caller,
    Encrypted,
    Grant,
    Origin,
    Person,
    PersonId,
    RequestId,
)
from approvals.policy.attributes import Claims, check_claims
from approvals.policy.inquiry import inquiry_of
from approvals.policy.loader import Configuration
from approvals.privacy.vault import RECEIPT, REVOKING
from approvals.refusals import Refusals
from approvals.store.records import Stored
from approvals.store.store import Store
from approvals.words import Words


@dataclass(frozen=True, slots=True)
class Redeemed:
    """A grant as one redeem left it; `is_new` is False where the nonce had redeemed before.

    `ignored` are the attributes of the context that the service may not assert.
    """

    request: ApprovalRequest
    grant: Grant
    is_new: bool
    ignored: tuple[str, ...] = ()


class GrantService:
    """What services and people may do with a grant. `configuration` answers today's."""

    def __init__(
        self,
        store: Store,
        commits: Commits,
        refusals: Refusals,
        words: Words,
        configuration: Callable[[], Configuration],
    ) -> None:
        self._store = store
        self._commits = commits
        self._refusals = refusals
        self._words = words
        self._configuration = configuration

    async def redeem(self, caller: Caller, request: RequestId, sent: Redeem) -> Redeemed:
        """One use, for exactly what was approved; the same nonce answers the first result.

        Raises `NotFound`, a `GrantOver`, `DigestMismatch`, `ContextChanged`, `GrantDenied`.
        """
        self._store.health.check_approving()
        claims = self._claims(caller, sent)
        nonce = self._store.marks.nonce(request, sent.nonce)
        is_new = True
        denied_by: DenyRule | None = None

        def decide(stored: Stored) -> Change | None:
            nonlocal is_new, denied_by
            check_own(caller, stored.request)
            redeeming = Redeeming(
                _digest(sent, stored.request), nonce, claims.accepted, caller.address
            )
            version = self._configuration().version
            denied_by = self._denial(stored.request, redeeming)
            change = grants.redeem(
                stored.request, redeeming, stored.now, policy=version, denied_by=denied_by
            )
            is_new = change is not None
            return change

        with self._refusals.of_grant(caller, "redeem", request):
            after = await self._commits.change(request, decide)
            grant = grants.as_of(after, nonce)
            if grant is None:
                raise _denied(after, denied_by)
        return Redeemed(after, grant, is_new, claims.ignored)

    async def give_receipt(
        self, caller: Caller, request: RequestId, sent: ReceiptSent
    ) -> ApprovalRequest:
        """What was really done. Raises `NotFound`, `NotRedeemed`, `ReceiptExists`."""
        note: Encrypted | None = None

        def decide(stored: Stored) -> Change:
            check_own(caller, stored.request)
            receipting = Receipting(sent.records, sent.outcome, note)
            return grants.give_receipt(stored.request, receipting, stored.now)

        with self._refusals.of_grant(caller, "receipt", request):
            note = await self._words.kept(request, RECEIPT, sent.note, "/note")
            return await self._commits.change(request, decide)

    async def end(self, caller: Caller, request: RequestId) -> ApprovalRequest:
        """The service needs it no longer. Raises `NotFound`, a `GrantOver`."""

        def decide(stored: Stored) -> Change:
            check_own(caller, stored.request)
            return grants.end(stored.request, stored.now)

        with self._refusals.of_grant(caller, "end", request):
            return await self._commits.change(request, decide)

    async def revoke(
        self, request: RequestId, person: PersonId, origin: Origin, *, reason: str | None = None
    ) -> ApprovalRequest:
        """The requester, an approver of it, or an admin takes it back.

        Raises `NotFound`, `NotAllowed`, a `GrantOver`.
        """
        words: Encrypted | None = None

        def decide(stored: Stored) -> Change:
            revoking = TakingBack(self._person(person), origin, words)
            return grants.revoke(stored.request, revoking, stored.now)

        with self._refusals.of_person(person, "revoke", request, origin):
            words = await self._words.reason(request, REVOKING, reason)
            return await self._commits.change(request, decide)

    def _claims(self, caller: Caller, sent: Redeem) -> Claims:
        service = self._configuration().services.service(caller.service)
        if service is None:
            raise Unauthorized("The API key is not valid.")
        return check_claims(sent.context, service.asserts)

    def _denial(self, request: ApprovalRequest, redeeming: Redeeming) -> DenyRule | None:
        """A deny rule now in force: for the request as it was, or as its service tells it now."""
        rulebook, asked = self._configuration().rulebook, request.asked
        inquiry = inquiry_of(asked, request.service, request.created_at)
        denied_by = rulebook.denial(inquiry)
        context = {**asked.context, **redeeming.context}
        if denied_by or (context == asked.context and redeeming.address == asked.address):
            return denied_by
        now = asked.model_copy(update={"context": context, "address": redeeming.address})
        return rulebook.denial(inquiry_of(now, request.service, request.created_at))

    def _person(self, person: PersonId) -> Person:
        return self._configuration().people.listed(person)


def _digest(sent: Redeem, request: ApprovalRequest) -> str:
    if sent.digest is not None:
        return sent.digest
    if request.salt is None:
        return ""  # erased: nothing fits it any more
    return action_digest(
        action=sent.action or "", subject=sent.subject, params=sent.params, salt=request.salt
    )


def _denied(request: ApprovalRequest, by: DenyRule | None) -> GrantDenied:
    rule = f"Rule {by.rule}, now in force, denies this" if by else "Policy denies this now"
    said = f": {by.say}" if by and by.say else ""
    return GrantDenied(
        f"{rule}{said}. The grant is revoked; stop, and tell the requester.",
        facts={"grant": grant_data(request, request.grant)} if request.grant else {},
    )
