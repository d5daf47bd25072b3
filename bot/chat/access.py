"""What became of the access that an approval gave, in words: its uses, its end, its receipt.

Nobody's own words: a receipt's note and what a revoker said are in the review form alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from approvals.answer import receipt_due_at, receipt_missed_at
from approvals.model import ApprovalRequest, Closing, Grant, PersonId
from bot.chat.card import Line, Moment, Step, Who, many

Name = Callable[[PersonId], Who]


def access(request: ApprovalRequest, name: Name) -> Line:
    """How the access stands, as sentences after others; nothing where there is none.

    The first span is the blank between them, and what follows stands by itself too.
    """
    grant = request.grant
    if grant is None:
        return ()
    if grant.status == "active":
        until = Moment(at=grant.expires_at, is_deadline=True)
        return (" ", "Access may be used until ", until, ".")
    if grant.status == "used":
        how = "" if len(grant.redemptions) == 1 else f"{_uses(grant)}, last "
        return (" ", f"The access was used {how}at ", Moment(at=grant.redemptions[-1].at), ".")
    if grant.closing is None:  # ended in a version that kept no closing
        return (" ", "The access has ended.")
    used = f"used {_uses(grant)}" if grant.redemptions else "not used"
    how_ended = _closed(request, grant.closing, name)
    return (" ", *how_ended, " at ", Moment(at=grant.closing.at), f". It was {used}.")


def receipt(request: ApprovalRequest) -> Line:
    """What was really done, or that nobody has said so; nothing where none is due."""
    grant = request.grant
    if grant is None:
        return ()
    missed_at, due_at = receipt_missed_at(request, grant), receipt_due_at(request, grant)
    if grant.receipt:
        late: Line = ("; it came late, at ", Moment(at=grant.receipt.at)) if missed_at else ()
        return (_accounted(request), *late, ".")
    if missed_at:
        return ("No receipt came by ", Moment(at=missed_at), ".")
    # While it may still be used, each use moves the deadline, and no card is drawn anew for it.
    if due_at and grant.status != "active":
        return ("A receipt is due by ", Moment(at=due_at, is_deadline=True), ".")
    return ()


def steps(request: ApprovalRequest, name: Name) -> Iterator[Step]:
    """The grant's life so far."""
    grant = request.grant
    if grant is None:
        return
    for number, use in enumerate(grant.redemptions, start=1):
        which = f", use {number} of {request.uses}" if request.uses > 1 else ""
        yield Step(at=use.at, line=(f"{request.service} used the access{which}",))
    if missed_at := receipt_missed_at(request, grant):
        yield Step(at=missed_at, line=("No receipt came in time",))
    if grant.receipt:
        yield Step(at=grant.receipt.at, line=(_accounted(request),))
    if grant.closing:
        yield Step(at=grant.closing.at, line=_closed(request, grant.closing, name))
    elif grant.status == "ended":
        yield Step(at=grant.expires_at, line=("The access has ended",))


def _closed(request: ApprovalRequest, closing: Closing, name: Name) -> Line:
    if closing.person:
        why = ", because its subject was erased" if closing.reason == "subject_erased" else ""
        return (name(closing.person), f" revoked the access{why}")
    told = {
        "time": "The time of the access was up",
        "by_service": f"{request.service} ended the access early",
        "receipt": "The access was closed by its receipt",
        "denied_by_policy": "The access was revoked by a deny rule now in force",
    }
    return (told.get(closing.reason, "The access has ended"),)


def _accounted(request: ApprovalRequest) -> str:
    """`Receipt: 1,240 of 1,240 records`; what is wrong with it stands first, in words."""
    given, asked = request.grant.receipt if request.grant else None, request.asked.record_count
    if given is None:
        return ""
    failed = "the action failed, " if given.outcome == "failed" else ""
    if asked is None:
        return f"Receipt: {failed}{many(given.records, 'record')}"
    if given.records > asked:
        were = "was" if asked == 1 else "were"
        more = f"{many(given.records, 'record')}, where {asked:,} {were} asked for"
        return f"Receipt larger than asked: {failed}{more}"
    return f"Receipt: {failed}{given.records:,} of {many(asked, 'record')}"


def _uses(grant: Grant) -> str:
    count = len(grant.redemptions)
    return "once" if count == 1 else f"{count} times"
