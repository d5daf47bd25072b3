"""The small JSON API of CONTRACT section 4: what a person may see, and what they do."""

from __future__ import annotations

from typing import cast, get_args

from pydantic import JsonValue
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from approvals.answer import Json, callback_data
from approvals.errors import Finding, InvalidRequest, NotFound
from approvals.grants import may_revoke
from approvals.inbox import Inbox
from approvals.model import ApprovalRequest, Origin, Person, RequestId, Status, Vote
from approvals.service import ApprovalService
from approvals.standing import has_viewed, may_approve, may_vote
from bot.chat.asker import shown_id
from bot.chat.console.board import MOST_FINAL, MOST_PENDING
from bot.chat.console.sessions import Sessions
from bot.web.body import parse_object, read_body
from bot.web.query import Query
from bot.web.requests import REQUEST_ID

CONSOLE = Origin(via="console")
_STATUSES = get_args(Status)


class ConsoleApi:
    """The handlers of `/console/api`."""

    def __init__(self, service: ApprovalService, inbox: Inbox, sessions: Sessions) -> None:
        self._service = service
        self._inbox = inbox
        self._sessions = sessions

    async def list(self, request: Request) -> Response:
        """`GET /console/api/requests?status=`: pending ones the next to expire first, then the
        newest final ones.
        """
        person = self._sessions.reader(request)
        query = Query(request, frozenset({"status"}))
        words = "must be one of " + ", ".join(_STATUSES)
        status = cast("Status | None", query.one_of("status", frozenset(_STATUSES), words))
        query.raise_findings()
        found: list[ApprovalRequest] = []
        if status in (None, "pending"):
            found += await self._inbox.pending(person.id, MOST_PENDING)
        if status != "pending":
            found += await self._inbox.recent(person.id, MOST_FINAL, status)
        return json_answer({"items": [_item(each, person) for each in found]})

    async def show(self, request: Request) -> Response:
        """`GET /console/api/requests/{id}`"""
        person = self._sessions.reader(request)
        return json_answer(_item(await self._inbox.one(person.id, request_id(request)), person))

    async def view(self, request: Request) -> Response:
        """`POST /console/api/requests/{id}/view`"""
        person = self._sessions.writer(request)
        view = await self._service.view(request_id(request), person.id, CONSOLE)
        return json_answer(view.model_dump(mode="json"))

    async def review(self, request: Request) -> Response:
        """`POST /console/api/requests/{id}/review`"""
        person = self._sessions.writer(request)
        sent = parse_object(await read_body(request))
        vote = Fields(sent, frozenset({"decision", "reason", "revision"}))
        decision = cast("Vote", vote.one_of("decision", ("approve", "deny")))
        reason, revision = vote.text("reason"), vote.number("revision")
        vote.raise_findings()
        after = await self._service.review(
            request_id(request), person.id, CONSOLE, decision, reason=reason, revision=revision
        )
        return json_answer(callback_data(after))

    async def revoke(self, request: Request) -> Response:
        """`POST /console/api/requests/{id}/revoke`"""
        person = self._sessions.writer(request)
        sent = Fields(parse_object(await read_body(request)), frozenset({"reason"}))
        reason = sent.text("reason")
        sent.raise_findings()
        after = await self._service.grants.revoke(
            request_id(request), person.id, CONSOLE, reason=reason
        )
        return json_answer(callback_data(after))


class Fields:
    """Reads a JSON object field by field and remembers every fault; values are never told."""

    def __init__(self, sent: dict[str, JsonValue], known: frozenset[str], place: str = "") -> None:
        self._sent = sent
        self._place = place
        self._findings: list[Finding] = []
        if sent.keys() - known:
            choice = ", ".join(sorted(known))
            self._findings.append(
                Finding(place, f"holds a field that is not known; known: {choice}")
            )

    def one_of(self, name: str, choice: tuple[str, ...]) -> str:
        """One of the words of `choice`; required."""
        value = self._sent.get(name)
        if value not in choice:
            self._add(name, "must be one of " + ", ".join(choice))
        return str(value)

    def text(self, name: str) -> str | None:
        """A text, or None."""
        value = self._sent.get(name)
        if not (value is None or isinstance(value, str)):
            self._add(name, "must be text")
            return None
        return value

    def number(self, name: str) -> int | None:
        """A whole number, or None."""
        value = self._sent.get(name)
        if isinstance(value, bool) or not (value is None or isinstance(value, int)):
            self._add(name, "must be a whole number")
            return None
        return value

    def inner(self, name: str, known: frozenset[str]) -> Fields:
        """The fields of an object; none where it is missing. Its faults count here."""
        value = self._sent.get(name)
        if not (value is None or isinstance(value, dict)):
            self._add(name, "must be an object")
            value = None
        inner = Fields(value or {}, known, f"{self._place}/{name}")
        self._findings += inner._findings
        inner._findings = self._findings
        return inner

    def raise_findings(self) -> None:
        """Raises `InvalidRequest` if there was any fault."""
        if self._findings:
            raise InvalidRequest(self._findings)

    def _add(self, name: str, message: str) -> None:
        self._findings.append(Finding(f"{self._place}/{name}", message))


def request_id(request: Request) -> RequestId:
    """The id in the path. Raises `NotFound` before the store meets what cannot be one."""
    return checked_id(str(request.path_params["request_id"]))


def checked_id(text: str) -> RequestId:
    """A request's id. Raises `NotFound` for what cannot be one."""
    if not REQUEST_ID.fullmatch(text):
        raise NotFound("There is no such request.")
    return RequestId(text)


def json_answer(data: object, headers: dict[str, str] | None = None) -> Response:
    """`data` as JSON."""
    return Response(to_json(data), 200, headers, "application/json")


def _item(request: ApprovalRequest, person: Person) -> Json:
    return {
        **callback_data(request),
        "requester": {"id": shown_id(request.asked.requester)},
        "title": request.asked.title,
        "may_decide": may_vote(request, person),
        "may_approve": may_approve(request, person),
        "may_revoke": may_revoke(request, person),
        "viewed": has_viewed(request, person),
    }
