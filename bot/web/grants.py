"""`/v1/grants`: the moment of the action, what was done, and an end before its time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.responses import Response

from approvals.act import ReceiptSent, Redeem
from approvals.errors import NotFound, PlacetError
from approvals.granting import GrantService
from approvals.model import ApprovalRequest, GrantId, RequestId, request_of
from bot.telemetry import GrantCall, Metrics
from bot.web.auth import Authenticator
from bot.web.body import parse_object, read_body
from bot.web.own_answers import OwnAnswers

_GRANT_ID = re.compile(r"grt_[0-9A-HJKMNP-TV-Z]{26}")


class GrantRoutes:
    """The handlers of `/v1/grants/{grant_id}`."""

    def __init__(
        self,
        service: GrantService,
        authenticator: Authenticator,
        answers: OwnAnswers,
        metrics: Metrics,
    ) -> None:
        self._service = service
        self._authenticator = authenticator
        self._answers = answers
        self._metrics = metrics

    async def redeem(self, request: Request) -> Response:
        """`POST /v1/grants/{id}/redeem`"""
        caller, of = self._authenticator.caller(request), _request_id(request)
        with self._counting("redeem"):
            sent = Redeem.parse(parse_object(await read_body(request)))
            redeemed = await self._service.redeem(caller, of, sent)
        self._metrics.grant_called("redeem", "done" if redeemed.is_new else "repeated")
        return self._answers.grant(
            redeemed.request,
            redeemed.grant,
            is_open=True,
            context_ignored=list(redeemed.ignored),
        )

    async def receipt(self, request: Request) -> Response:
        """`POST /v1/grants/{id}/receipt`"""
        caller, of = self._authenticator.caller(request), _request_id(request)
        with self._counting("receipt"):
            sent = ReceiptSent.parse(parse_object(await read_body(request)))
            after = await self._service.give_receipt(caller, of, sent)
        self._metrics.grant_called("receipt", "done")
        if after.is_overused:
            self._metrics.receipt_larger()
        return self._answered(after)

    async def end(self, request: Request) -> Response:
        """`DELETE /v1/grants/{id}`"""
        caller, of = self._authenticator.caller(request), _request_id(request)
        with self._counting("end"):
            after = await self._service.end(caller, of)
        self._metrics.grant_called("end", "done")
        return self._answered(after)

    def _answered(self, request: ApprovalRequest) -> Response:
        if request.grant is None:
            raise _nowhere()
        return self._answers.grant(request, request.grant)

    @contextmanager
    def _counting(self, call: GrantCall) -> Iterator[None]:
        try:
            yield
        except PlacetError as error:
            self._metrics.grant_called(call, error.code)
            raise


def _request_id(request: Request) -> RequestId:
    text = str(request.path_params["grant_id"])
    if not _GRANT_ID.fullmatch(text):
        raise _nowhere()
    return request_of(GrantId(text))


def _nowhere() -> NotFound:
    return NotFound("No grant of yours has this id.")
