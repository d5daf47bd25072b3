"""What people see, as data: one vocabulary for every platform. Knows no platform.

A plain `str` is ours or policy's own words; `Said` and `Quote` hold somebody else's, which only
`masking` makes `Shown`. A renderer shows every text literally: none may reach a markup parser, and
only `Who` may become a mention.
"""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from approvals.model import Frozen, PersonId, RequestId, Status
from approvals.privacy.masking import Shown

# `info` and `refused` are answers to one person; the others are a request's state.
State = Status | Literal["info", "refused"]
Action = Literal["review", "approve", "deny", "cancel", "revoke"]
Style = Literal["primary", "danger", "plain"]

STATE_WORDS: dict[State, str] = {
    "pending": "Approval needed",
    "approved": "Approved",
    "denied": "Denied",
    "expired": "Expired",
    "cancelled": "Cancelled",
    "info": "Note",
    "refused": "Not done",
}


class Said(Frozen):
    """Somebody else's text on one line, as it may be shown."""

    text: Shown


class Who(Frozen):
    """A person of people.yaml; a platform that knows them may show a mention."""

    person: PersonId
    name: str


class Moment(Frozen):
    """A time; a platform may show it in the reader's own time zone.

    `is_deadline`: it is still to come, so that a live page may count down to it.
    """

    at: AwareDatetime
    is_deadline: bool = False


Span = str | Said | Who | Moment
Line = tuple[Span, ...]


class Fact(Frozen):
    """A label of ours and what it says."""

    label: str
    line: Line


class Quote(Frozen):
    """Somebody else's longer text, as it may be shown, under a label that stands outside of it."""

    label: str
    text: Shown


class Step(Frozen):
    """One thing that happened, for a request's timeline."""

    at: AwareDatetime
    line: Line


class Confirm(Frozen):
    """A question before a button's click counts."""

    title: str
    text: str
    yes: str


class Button(Frozen):
    """A button. It carries request and revision and nothing else; `said` tells it apart by ear."""

    action: Action
    label: str
    said: str
    request: RequestId
    revision: int
    style: Style = "plain"
    confirm: Confirm | None = None

    @property
    def value(self) -> str:
        """`<request id>|<revision>`, all that a platform stores with the button."""
        return f"{self.request}|{self.revision}"


class Card(Frozen):
    """One message. `text` is the whole of it in a sentence, for notifications and readers.

    `facts` stand beside each other, `notes` below them; `steps` are shown where there is room.
    """

    state: State
    title: str
    text: str
    request: RequestId | None = None
    facts: tuple[Fact, ...] = ()
    quotes: tuple[Quote, ...] = ()
    notes: tuple[Line, ...] = ()
    steps: tuple[Step, ...] = ()
    buttons: tuple[Button, ...] = ()

    @property
    def heading(self) -> str:
        """The state in words, then what it is about."""
        return f"{STATE_WORDS[self.state]}: {self.title}"


class Item(Frozen):
    """One row of a list."""

    line: Line
    button: Button | None = None


class Listing(Frozen):
    """A list of requests for one person; `note` says what is not shown."""

    title: str
    text: str
    items: tuple[Item, ...] = ()
    note: str = ""


class Input(Frozen):
    """A text that a person types. `most` counts characters; `hint` says what not to write."""

    name: Literal["reason"]
    label: str
    hint: str = ""
    is_required: bool = False
    most: int = 500


class Form(Frozen):
    """A dialog that holds a card, inputs, and the buttons that send them."""

    title: str
    card: Card
    inputs: tuple[Input, ...] = ()
    submits: tuple[Button, ...] = ()


def plain(line: Line) -> str:
    """A line as text alone, times in UTC."""
    return "".join(_plain(span) for span in line)


def many(number: int, noun: str) -> str:
    """`1 request`, `1,240 requests`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _plain(span: Span) -> str:
    if isinstance(span, str):
        return span
    if isinstance(span, Who):
        return span.name
    return span.text if isinstance(span, Said) else f"{span.at:%Y-%m-%d %H:%M:%S} UTC"
