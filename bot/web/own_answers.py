"""What a service is answered about its own requests: JSON that nobody keeps, and fresh tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from pydantic_core import to_json
from starlette.responses import Response

from approvals.answer import Json, answer, grant_answer
from approvals.model import ApprovalRequest, Grant
from approvals.tokens import GrantTokens
from bot.web.auth import wall_clock

NO_STORE = {"Cache-Control": "no-store"}  # answers hold salts, tokens and people's words


class OwnAnswers:
    """Answers of `/v1`. Whose record is read was sealed by us, so its grant may be signed."""

    def __init__(self, tokens: GrantTokens, now: Callable[[], datetime] = wall_clock) -> None:
        self._tokens = tokens
        self._now = now

    def request(
        self, request: ApprovalRequest, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Response:
        """One request."""
        return as_json(self.data(request), status, headers)

    def data(self, request: ApprovalRequest) -> Json:
        """One request as JSON data."""
        is_open = request.grant is not None and request.grant.status == "active"
        return answer(request, self._signed(request) if is_open else None)

    def grant(
        self, request: ApprovalRequest, grant: Grant, *, is_open: bool = False, **more: object
    ) -> Response:
        """A grant as it is, or as one redeem left it; with a token where it `is_open`."""
        token = self._signed(request) if is_open else None
        return as_json({**grant_answer(request, grant, token), **more})

    def _signed(self, request: ApprovalRequest) -> str | None:
        return self._tokens.token(request, self._now())


def as_json(data: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`data` as an answer that nobody may keep."""
    return Response(to_json(data), status, {**NO_STORE, **(headers or {})}, "application/json")
