"""What one person is told privately: what their click did, or why it did nothing and what next."""

from __future__ import annotations

from collections.abc import Sequence

from approvals.errors import (
    AlreadyFinal,
    AlreadyReviewed,
    DeniedByPolicy,
    FoundInText,
    GrantExpired,
    GrantOver,
    InvalidRequest,
    NotApprover,
    NotFound,
    NotReviewed,
    OwnRequest,
    PlacetError,
    SecretFound,
    StaleRevision,
    StoreFailure,
)
from approvals.model import ApprovalRequest, TextFinding
from bot.chat.access import access
from bot.chat.card import Card, Line, Moment, State, plain
from bot.chat.findings import kinds
from bot.chat.messages import Messages, votes

_NOTHING_CHANGED = "Nothing was changed."
_NOTHING_RECORDED = "Nothing of it was recorded, and nothing was changed."
_LEAVE_OUT = "Leave it out and send the reason again."
_EXPOSED = "Leave it out, and replace it wherever it is used."
# A vote may be recorded and only its confirmation lost, so this must not say that nothing changed.
_OUTCOME_UNKNOWN = (
    "The store could not do it, or could not say that it did. "
    "Look at the request again before you repeat it."
)
# What to do next, by the kind of refusal; the refusal itself says what is wrong.
_NEXT: dict[type[PlacetError], str] = {
    NotApprover: "Ask somebody of its groups; an admin may change them in people.yaml.",
    OwnRequest: "Another approver has to look at it.",
    AlreadyReviewed: "The other approvers decide the rest.",
    NotReviewed: "Press Review, look at it, and approve there.",
    StaleRevision: "Press Review to see how it stands now.",
    NotFound: "It may be of another deployment.",
}


class Replies:
    """Answers to one person, in full sentences. `own`: what was taken out of their own words."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages

    def approved(self, request: ApprovalRequest, own: Sequence[TextFinding] = ()) -> Card:
        """Their approval counts, and what is still missing."""
        if request.is_final:
            return self._told(request, ("You approved it.", " ", *self._outcome(request)), own)
        count: Line = (f"Your approval counts: {votes(request)}. ",)
        return self._told(request, (*count, *self._messages.missing(request)), own)

    def denied(self, request: ApprovalRequest, own: Sequence[TextFinding] = ()) -> Card:
        """Their denial ended the request."""
        line = (f"You denied it. {_told_to(request)} No access was given.",)
        return self._told(request, line, own)

    def cancelled(self, request: ApprovalRequest, own: Sequence[TextFinding] = ()) -> Card:
        """They took the request back."""
        return self._told(request, (f"The request is cancelled. {_told_to(request)}",), own)

    def revoked(self, request: ApprovalRequest, own: Sequence[TextFinding] = ()) -> Card:
        """They took the access back."""
        is_used = request.grant is not None and bool(request.grant.redemptions)
        done = " What was done under it stays done." if is_used else " It had not been used."
        return self._told(request, (f"You revoked the access. {_told_to(request)}{done}",), own)

    def refused(self, error: PlacetError, request: ApprovalRequest | None = None) -> Card:
        """Why it does not count, as far as is known, who was first, and what to do next."""
        if isinstance(error, AlreadyFinal) and request and request.is_final:
            line = ("It is already decided. ", *self._messages.outcome(request), " ")
            return _card("refused", request, (*line, _NOTHING_CHANGED))
        if isinstance(error, GrantOver):
            over = self._over(error, request)
            return _card("refused", request, ("There is nothing left to revoke.", *over))
        if isinstance(error, DeniedByPolicy):
            return _card("refused", request, (error.detail,))
        if isinstance(error, StoreFailure):
            return _card("refused", request, (_OUTCOME_UNKNOWN,))
        if isinstance(error, FoundInText):
            return _card("refused", request, (_found(error),))
        next_step = next((_NEXT[kind] for kind in type(error).__mro__ if kind in _NEXT), "")
        said = error.detail
        if isinstance(error, InvalidRequest):  # a person typed it: no pointers, only what is wrong
            said = f"The reason {error.findings[0].message}."
        return _card("refused", request, (f"{said} {_NOTHING_CHANGED} {next_step}".rstrip(),))

    def _outcome(self, request: ApprovalRequest) -> Line:
        return (*self._messages.outcome(request), f" {_told_to(request)}")

    def _over(self, error: GrantOver, request: ApprovalRequest | None) -> Line:
        """How the access ended; the error's own words are for a service."""
        grant = request.grant if request else None
        if request is None or grant is None:
            return (f" {_NOTHING_CHANGED}",)
        told = access(request, self._messages.who)
        if isinstance(error, GrantExpired) and grant.status == "active":  # not yet made visible
            told = (" The time of the access was up at ", Moment(at=grant.expires_at), ".")
        return (*told, f" {_NOTHING_CHANGED}")

    def _told(self, request: ApprovalRequest, line: Line, own: Sequence[TextFinding]) -> Card:
        return _card("info", request, line, *self._messages.warnings(request, own))


def _found(error: FoundInText) -> str:
    remedy = _EXPOSED if isinstance(error, SecretFound) else _LEAVE_OUT
    return f"Your reason holds {kinds(error.found)}. {remedy} {_NOTHING_RECORDED}"


def _told_to(request: ApprovalRequest) -> str:
    how = "is told now" if request.asked.callback_url else "sees it when it asks"
    return f"{request.service} {how}."


def _card(state: State, request: ApprovalRequest | None, *lines: Line) -> Card:
    title = request.asked.title if request else "Placet"
    where = request.id if request else None
    text = " ".join(map(plain, lines))
    return Card(state=state, title=title, text=text, request=where, notes=lines)
