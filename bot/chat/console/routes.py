"""The routes of the console: the page, its parts, its clicks. Registered in the demo only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast, get_args

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from approvals.answer import Json
from approvals.errors import Finding, InvalidRequest, NotAllowed, Refusal
from approvals.inbox import Inbox
from approvals.model import ApprovalRequest, Person, PersonId, RequestId
from approvals.policy.people import People
from approvals.service import ApprovalService
from bot.chat.card import Action, Card, plain
from bot.chat.console.adapter import Answer, ConsolePort
from bot.chat.console.api import ConsoleApi, Fields, checked_id, json_answer
from bot.chat.console.board import board_of, order_of, section_of
from bot.chat.console.live import Live
from bot.chat.console.page import HEADERS, MEDIA_TYPES, Assets, Page
from bot.chat.console.render import card_html, form_html, reply_html
from bot.chat.console.sessions import Sessions, check_loopback
from bot.chat.interactions import Interactions
from bot.chat.messages import Messages
from bot.chat.port import ChatUser, Click
from bot.policy_status import PolicyStatus
from bot.web.body import parse_object, read_body
from bot.web.front import Endpoint
from bot.web.problems import from_error

MOST_CARDS = 50
_ACTIONS = get_args(Action)
_STREAM = {"X-Accel-Buffering": "no"}


@dataclass(frozen=True, slots=True)
class ConsoleParts:
    """What the routes stand on. `people` answers today's people.yaml, `policy` what is in force."""

    service: ApprovalService
    inbox: Inbox
    interactions: Interactions
    messages: Messages
    port: ConsolePort
    sessions: Sessions
    live: Live
    people: Callable[[], People]
    policy: Callable[[], PolicyStatus]


class ConsoleRoutes:
    """The handlers of `/console`."""

    def __init__(self, parts: ConsoleParts) -> None:
        self._parts = parts
        self.live = parts.live
        self._sessions = parts.sessions
        self._inbox = parts.inbox
        self._assets = Assets.shipped()
        self._page = Page(parts.messages, self._assets, parts.policy)

    def routes(self) -> Mapping[str, Mapping[str, Endpoint]]:
        """Every handler by path template and method, each behind the loopback check.

        Whatever they answer, a refusal too, carries the headers that keep a page in its place.
        """
        api = ConsoleApi(self._parts.service, self._inbox, self._sessions)
        handlers: dict[str, dict[str, Endpoint]] = {
            "/console": {"GET": self.page},
            "/console/board": {"GET": self.board},
            "/console/cards": {"GET": self.cards},
            "/console/events": {"GET": self.events},
            "/console/clicks": {"POST": self.click},
            "/console/person": {"POST": self.switch},
            "/console/api/requests": {"GET": api.list},
            "/console/api/requests/{request_id}": {"GET": api.show},
            "/console/api/requests/{request_id}/view": {"POST": api.view},
            "/console/api/requests/{request_id}/review": {"POST": api.review},
            "/console/api/requests/{request_id}/revoke": {"POST": api.revoke},
            **{f"/console/{name}": {"GET": self._file(name)} for name in MEDIA_TYPES},
        }
        return {
            path: {method: _guarded(handler) for method, handler in methods.items()}
            for path, methods in handlers.items()
        }

    async def page(self, request: Request) -> Response:
        """`GET /console`: for who sits here, or the first approver of people.yaml."""
        session = self._sessions.current(request)
        headers = {}
        everyone = self._parts.people().everyone()
        if session is None:
            session = self._sessions.begin(_first(everyone))
            headers["Set-Cookie"] = self._sessions.set_cookie(request, session)
        board = await board_of(self._inbox, session.person)
        html = self._page.whole(session, everyone, board)
        return Response(html, 200, headers, "text/html; charset=utf-8")

    async def board(self, request: Request) -> Response:
        """`GET /console/board`: all lists anew."""
        person = self._sessions.reader(request)
        html = self._page.lists(await board_of(self._inbox, person), person)
        version = self._assets.version
        return json_answer({"version": version, "person": person.id, "html": html})

    async def cards(self, request: Request) -> Response:
        """`GET /console/cards?id=...&id=...`: some cards; one without section is not to be seen."""
        person = self._sessions.reader(request)
        asked = request.query_params.getlist("id")
        if not 1 <= len(asked) <= MOST_CARDS:
            raise InvalidRequest([Finding("/id", f"must be sent 1 to {MOST_CARDS} times")])
        wanted = [checked_id(text) for text in dict.fromkeys(asked)]
        seen = await self._inbox.some(person.id, wanted)
        drawn = [self._drawn(each, seen.get(each), person) for each in wanted]
        return json_answer({"cards": drawn})

    def _drawn(self, wanted: RequestId, found: ApprovalRequest | None, person: Person) -> Json:
        if found is None:
            return {"id": wanted, "section": None, "order": 0, "html": "", "text": ""}
        card = self._parts.messages.personal_card(found, person)
        section, order = section_of(found, person), order_of(found)
        html = card_html(card, section, order)
        return {"id": wanted, "section": section, "order": order, "html": html, "text": card.text}

    async def events(self, request: Request) -> Response:
        """`GET /console/events`: server-sent events; each names requests and nothing of them."""
        self._sessions.reader(request)
        if request.method == "HEAD":  # its answer would have no end
            return Response(None, 200, _STREAM, "text/event-stream")
        stream = self._parts.live.stream()
        return StreamingResponse(stream, 200, _STREAM, "text/event-stream")

    async def click(self, request: Request) -> Response:
        """`POST /console/clicks` `{action, request, revision, inputs}`: a button, or a form."""
        person = self._sessions.writer(request)
        answer = Answer()
        click = await _click(request, person, answer)
        await self._parts.interactions.on_click(self._parts.port, click)
        if answer.form is not None:
            return json_answer({"form": form_html(answer.form)})
        reply = answer.reply
        told = "" if reply is None else reply_html(reply)
        is_done = isinstance(reply, Card) and reply.state != "refused"
        text = " ".join(map(plain, reply.notes)) if isinstance(reply, Card) else ""
        return json_answer({"reply": told, "text": text, "done": is_done})

    async def switch(self, request: Request) -> Response:
        """`POST /console/person` `{person}`: another made-up person sits here now."""
        self._sessions.writer(request)
        fields = Fields(parse_object(await read_body(request)), frozenset({"person"}))
        named = fields.text("person")
        fields.raise_findings()
        known = self._parts.people().person(PersonId(named or ""))
        if known is None:
            raise InvalidRequest([Finding("/person", "is nobody of people.yaml")])
        session = self._sessions.begin(known)
        cookie = {"Set-Cookie": self._sessions.set_cookie(request, session)}
        return json_answer({"person": known.id}, cookie)

    def _file(self, name: str) -> Endpoint:
        async def endpoint(_: Request) -> Response:
            return Response(self._assets.files[name], 200, media_type=MEDIA_TYPES[name])

        return endpoint


def _guarded(handler: Endpoint) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            check_loopback(request)
            response = await handler(request)
        except Refusal as refusal:
            response = from_error(refusal)
        response.headers.update(HEADERS)
        return response

    return endpoint


def _first(everyone: list[Person]) -> Person:
    approvers = [person for person in everyone if "approver" in person.roles]
    if not (approvers or everyone):
        raise NotAllowed("people.yaml lists nobody.")
    return (approvers or everyone)[0]


async def _click(request: Request, person: Person, answer: Answer) -> Click:
    known = frozenset({"action", "request", "revision", "inputs"})
    fields = Fields(parse_object(await read_body(request)), known)
    action = cast("Action", fields.one_of("action", _ACTIONS))
    target, revision = fields.text("request"), fields.number("revision")
    reason = fields.inner("inputs", frozenset({"reason"})).text("reason")
    fields.raise_findings()
    return Click(
        user=ChatUser(platform="console", id=person.id),
        action=action,
        request=checked_id(target or ""),
        revision=revision,
        inputs={} if reason is None else {"reason": reason},
        handle=answer,
    )
