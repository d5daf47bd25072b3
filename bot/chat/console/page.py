"""The page around the cards: its frame, its lists, its three files. Knows no store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template

from approvals.model import ApprovalRequest, Person
from bot.chat.console.board import SECTIONS, Board, Section, order_of, section_of
from bot.chat.console.render import card_html
from bot.chat.console.sessions import Session
from bot.chat.messages import Messages
from bot.policy_status import PolicyStatus

SHOWN_AT_ONCE = 100
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
MEDIA_TYPES = {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_COLUMNS: tuple[tuple[Section, ...], ...] = (
    ("waiting", "open"),
    ("granted", "reviewed", "settled"),
)
_HEADINGS: Mapping[Section, tuple[str, str]] = {
    "waiting": (
        "Waiting for you",
        "Nothing waits for you. New requests appear here by themselves.",
    ),
    "open": ("Waiting for others", "Nothing else is open."),
    "granted": ("Access open now", "No access is open."),
    "reviewed": ("Decided by you", "You have not decided anything yet."),
    "settled": ("Settled", "Nothing has been settled without you."),
}


@dataclass(frozen=True, slots=True)
class Assets:
    """The files of the page as they are shipped. `version` changes with any of them."""

    frame: Template
    files: Mapping[str, bytes]
    version: str

    @classmethod
    def shipped(cls) -> Assets:
        """Reads them once."""
        folder = files("bot.chat.console") / "static"
        frame = (folder / "page.html").read_text(encoding="utf-8")
        others = {name: (folder / name).read_bytes() for name in MEDIA_TYPES}
        digest = hashlib.sha256(frame.encode() + b"".join(others.values()))
        return cls(Template(frame), others, digest.hexdigest()[:16])


class Page:
    """Draws the page and its parts for one person."""

    def __init__(
        self, messages: Messages, assets: Assets, policy: Callable[[], PolicyStatus]
    ) -> None:
        self._messages = messages
        self._assets = assets
        self._policy = policy

    def whole(self, session: Session, everyone: list[Person], board: Board) -> str:
        """The document."""
        return self._assets.frame.substitute(
            version=self._assets.version,
            token=session.token,
            person=escape(session.person.id),
            choices="".join(_choice(person, session.person) for person in everyone),
            role=escape(_role(session.person)),
            board=self.lists(board, session.person),
        )

    def lists(self, board: Board, person: Person) -> str:
        """All sections, for a first look and for who has missed something.

        Admins are told besides which policy is in force, and why no newer one is.
        """
        drawn = {each: self._section(each, board.sections[each], person) for each in SECTIONS}
        return self._policy_line(person) + "".join(
            f'<div class="column">{"".join(drawn[each] for each in column)}</div>'
            for column in _COLUMNS
        )

    def _policy_line(self, person: Person) -> str:
        if "admin" not in person.roles:
            return ""
        status = self._policy()
        kind = "policy stale" if status.fault else "policy"
        return f'<p class="{kind}">{escape(status.sentence)}</p>'

    def _card(self, request: ApprovalRequest, person: Person) -> str:
        card = self._messages.personal_card(request, person)
        return card_html(card, section_of(request, person), order_of(request))

    def _section(self, section: Section, requests: list[ApprovalRequest], person: Person) -> str:
        heading, nothing = _HEADINGS[section]
        shown, more = requests[:SHOWN_AT_ONCE], requests[SHOWN_AT_ONCE:]
        cards = "".join(self._card(request, person) for request in shown)
        rest = " ".join(f"{request.id}:{order_of(request)}" for request in more)
        return (
            f'<section id="{section}" data-more="{rest}" aria-labelledby="{section}-head">'
            f'<h2 id="{section}-head" tabindex="-1">{heading} '
            f'<span class="count">{len(requests)}</span></h2>'
            f'<p class="nothing">{nothing}</p><div class="cards">{cards}</div>'
            '<button type="button" class="more plain" hidden>Show more</button></section>'
        )


def _choice(person: Person, current: Person) -> str:
    selected = " selected" if person.id == current.id else ""
    label = f"{person.name} ({_role(person)})"
    return f'<option value="{escape(person.id)}"{selected}>{escape(label)}</option>'


def _role(person: Person) -> str:
    return ", ".join(sorted(person.roles)) or "requester"
