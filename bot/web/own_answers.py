"""What a service is answered about its own requests: JSON that nobody keeps, and fresh tokens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from pydantic_core import to_json
from starlette.responses import Response

from approvals.answer import Json, answer, grant_answer
from approvals.model import ApprovalRequest, Grant
from approvals.tokens import GrantTokens
from bot.web.auth import wall_clock

DeniedBecause = Callable[[Sequence[ApprovalRequest]], Awaitable[Sequence[str | None]]]
NO_STORE = {"Cache-Control": "no-store"}  # answers hold salts, tokens and people's words


class OwnAnswers:
    """Answers of `/v1`. Whose record is read was sealed by us, so its grant may be signed.

    `denied_because` answers what the person who denied each request said.
    """

    def __init__(
        self,
        tokens: GrantTokens,
        denied_because: DeniedBecause,
        now: Callable[[], datetime] = wall_clock,
    ) -> None:
        self._tokens = tokens
        self._denied_because = denied_because
        self._now = now

    async def request(
        self, request: ApprovalRequest, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Response:
        """One request."""
        (told,) = await self.data([request])
        return as_json(told, status, headers)

    async def data(self, requests: Sequence[ApprovalRequest]) -> list[Json]:
        """Requests as JSON data."""
        said = await self._denied_because(requests)
        return [
            answer(one, self._token(one), words) for one, words in zip(requests, said, strict=True)
        ]

    def grant(
        self, request: ApprovalRequest, grant: Grant, *, is_open: bool = False, **more: object
    ) -> Response:
        """A grant as it is, or as one redeem left it; with a token where it `is_open`."""
        token = self._signed(request) if is_open else None
        return as_json({**grant_answer(request, grant, token), **more})

    def _token(self, request: ApprovalRequest) -> str | None:
        is_open = request.grant is not None and request.grant.status == "active"
        return self._signed(request) if is_open else None

    def _signed(self, request: ApprovalRequest) -> str | None:
        return self._tokens.token(request, self._now())


def as_json(data: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`data` as an answer that nobody may keep."""
    return Response(to_json(data), status, {**NO_STORE, **(headers or {})}, "application/json")
