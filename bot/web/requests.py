"""The calls on requests: authenticate, read, hand to the service, answer ready-made bytes.

Decides nothing. Handlers are plain ASGI routes: the framework's own reading and validation would
take half of the time of a POST.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import cast, get_args

from starlette.requests import Request
from starlette.responses import Response

from approvals.ask import Ask
from approvals.errors import Finding, InvalidRequest, NotFound, Refusal, StoreFailure, Throttled
from approvals.model import ApprovalRequest, Caller, RequestId, Status
from approvals.opening import Opened
from approvals.service import ApprovalService
from bot.telemetry import Metrics, OpenOutcome
from bot.web.auth import Authenticator
from bot.web.body import parse_object, read_body
from bot.web.own_answers import OwnAnswers, as_json
from bot.web.query import Query
from bot.web.quotas import quota_headers
from bot.web.waiting import Waiting, Watch

DEFAULT_LIMIT, MOST_LIMIT = 50, 100
MOST_WAIT_S = 60
MOST_KEY_LENGTH = 255
REQUEST_ID = re.compile(r"req_[0-9A-HJKMNP-TV-Z]{26}")
_IDEMPOTENCY_KEY = re.compile(rf"[!-~](?:[ -~]{{0,{MOST_KEY_LENGTH - 2}}}[!-~])?")
_ACTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,99}")
_STATUSES: frozenset[str] = frozenset(get_args(Status))


@dataclass(frozen=True, slots=True)
class Listing:
    """What a list call asks for."""

    status: Status | None
    action: str | None
    limit: int
    cursor: str | None


class RequestRoutes:
    """The handlers of `/v1/requests`."""

    def __init__(
        self,
        service: ApprovalService,
        authenticator: Authenticator,
        waiting: Waiting,
        answers: OwnAnswers,
        metrics: Metrics,
    ) -> None:
        self._service = service
        self._authenticator = authenticator
        self._waiting = waiting
        self._answers = answers
        self._metrics = metrics

    async def open(self, request: Request) -> Response:
        """`POST /v1/requests`"""
        caller = self._authenticator.caller(request)
        try:
            opened = await self._open(caller, request)
        except (Refusal, StoreFailure) as error:
            outcome: OpenOutcome = "refused" if isinstance(error, Refusal) else "failed"
            self._metrics.request_asked(caller.service, outcome)
            if isinstance(error, Throttled):
                self._metrics.throttled(error.limit)
            raise
        self._metrics.request_asked(caller.service, _outcome(opened))
        if opened.is_new:
            policy = opened.request.policy
            self._metrics.shadow_judged(policy.shadow, policy.shadow_failed)
        headers = {"Location": f"/v1/requests/{opened.request.id}"} | quota_headers(opened.quotas)
        return await self._answers.request(opened.request, 201 if opened.is_new else 200, headers)

    async def show(self, request: Request) -> Response:
        """`GET /v1/requests/{id}`"""
        caller = self._authenticator.caller(request)
        request_id = _request_id(request)
        seconds = _wait(request)
        if seconds is None:
            return await self._answers.request(await self._service.get_own(caller, request_id))
        with self._waiting.watch(request_id) as watch:
            leaving = asyncio.create_task(_end_when_left(request, watch))
            try:
                return await self._answers.request(
                    await self._settled(caller, request_id, watch, seconds)
                )
            finally:
                leaving.cancel()

    async def list(self, request: Request) -> Response:
        """`GET /v1/requests`"""
        caller = self._authenticator.caller(request)
        asked = _listing(request)
        page = await self._service.list_own(
            caller,
            status=asked.status,
            action=asked.action,
            limit=asked.limit,
            cursor=asked.cursor,
        )
        items = await self._answers.data(page.items)
        return as_json({"items": items, "next_cursor": page.next_cursor})

    async def cancel(self, request: Request) -> Response:
        """`DELETE /v1/requests/{id}`"""
        caller = self._authenticator.caller(request)
        return await self._answers.request(
            await self._service.cancel_by_service(caller, _request_id(request))
        )

    async def _open(self, caller: Caller, request: Request) -> Opened:
        body = await read_body(request)
        key = _idempotency_key(request)
        ask = Ask.parse(parse_object(body))
        return await self._service.open(caller, ask, body=body, idempotency_key=key)

    async def _settled(
        self, caller: Caller, request_id: RequestId, watch: Watch, seconds: int
    ) -> ApprovalRequest:
        """The request as soon as it is settled, else as it is after `seconds`."""
        until = asyncio.get_running_loop().time() + seconds
        found = await self._service.get_own(caller, request_id)
        while not _is_settled(found) and not watch.is_over:
            is_woken = await watch.woken(until)
            async with watch.turn:
                found = await self._service.get_own(caller, request_id)
            if not is_woken:
                break
        return found


def _outcome(opened: Opened) -> OpenOutcome:
    if not opened.is_new:
        return "repeated"
    status = opened.request.status
    return "approved" if status == "approved" else "denied" if status == "denied" else "pending"


def _is_settled(request: ApprovalRequest) -> bool:
    return request.is_final or request.delivery == "undeliverable"


async def _end_when_left(request: Request, watch: Watch) -> None:
    """Ends the wait of a client that has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    watch.end()


def _request_id(request: Request) -> RequestId:
    text = str(request.path_params["request_id"])
    if not REQUEST_ID.fullmatch(text):
        raise NotFound("No request of yours has this id.")
    return RequestId(text)


def _idempotency_key(request: Request) -> str | None:
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not _IDEMPOTENCY_KEY.fullmatch(keys[0]):
        message = "the header Idempotency-Key must be sent once, with 1 to 255 printable ASCII"
        raise InvalidRequest([Finding("", message + " characters")])
    return keys[0]


def _wait(request: Request) -> int | None:
    query = Query(request, frozenset({"wait"}))
    seconds = query.number("wait", MOST_WAIT_S)
    query.raise_findings()
    return seconds


def _listing(request: Request) -> Listing:
    query = Query(request, frozenset({"status", "action", "limit", "cursor"}))
    status = query.one_of("status", _STATUSES, "must be one of " + ", ".join(get_args(Status)))
    asked = Listing(
        status=cast("Status | None", status),
        action=query.shaped("action", _ACTION, "must be the id of an action"),
        limit=query.number("limit", MOST_LIMIT) or DEFAULT_LIMIT,
        cursor=query.shaped("cursor", REQUEST_ID, "must be a `next_cursor` as answered"),
    )
    query.raise_findings()
    return asked
