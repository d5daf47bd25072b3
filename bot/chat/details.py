"""The full view of a request as parts of a card: for an entitled person's review form alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from approvals.model import PersonId, PiiInText
from approvals.privacy.full_view import FullView
from approvals.privacy.masking import ERASED, Shown, scanned
from bot.chat.card import Fact, Line, Quote, Said, many
from bot.chat.findings import taken_out

ERASED_WORDS = "The words of this request were erased."


def facts(view: FullView) -> Iterator[Fact]:
    """What the service said, each line by itself."""
    yield from _said("Name given by the service", view.given_name)
    if view.subject:
        yield Fact(label="Subject", line=(view.subject,))  # a pseudonym of our making
    yield from _said("Ticket", view.ticket)
    yield from _said("Purpose", view.purpose)
    for field in view.fields:
        yield from _said(f"Field {field.name}", field.value)
    if view.hidden_fields:
        yield Fact(label="Not shown", line=(many(view.hidden_fields, "more field"),))
    # Of where somebody is and what they hold Placet knows only what the service says.
    for name, claim in view.context.items():
        yield from _said(f"{name}, says the service", scanned(claim))
    if view.context_ignored:
        ignored = ", ".join(view.context_ignored)
        yield Fact(label="Not believed of the service", line=(ignored,))


def quotes(view: FullView, name: Callable[[PersonId], str]) -> Iterator[Quote]:
    """What people and the service wrote; of what is erased there is nothing to quote."""
    is_denied = view.request["status"] == "denied"
    told: list[tuple[str, Shown | None]] = [
        ("Why, in the requester's words", view.justification),
        ("Why it was denied" if is_denied else "Why it was cancelled", view.said),
        ("Why the access was revoked", view.revoking),
        ("With the receipt, in the service's words", view.receipt_note),
    ]
    told += [(f"{name(each.person)}, approving", each.text) for each in view.comments]
    for label, text in told:
        if text and text != ERASED:
            yield Quote(label=label, text=text)


def notes(view: FullView, mode: PiiInText) -> Iterator[Line]:
    """What is no longer there to be read, and why."""
    if view.is_erased:
        yield (ERASED_WORDS,)
    elif told := taken_out(view.masked, mode):
        yield (told,)


def _said(label: str, text: Shown | None) -> Iterator[Fact]:
    if text:
        yield Fact(label=label, line=(Said(text=text),))
