"""One call to Placet and its tries: what to send, how long to pause, when to give up.

A generator that yields `Call` and `Pause` and is sent what came of it, so that the sync and the
async client cannot differ. Knows no socket, and asks no clock but the one it is handed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TypeVar

from approvals.client_answers import Json, parsed, problem_in
from approvals.client_errors import (
    About,
    BadAnswer,
    NotSendable,
    Unavailable,
    Unreachable,
    refusal,
)

RETRIED = frozenset({408, 429, 500, 502, 503, 504})
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request. `timeout_s` is for all of it, the answer's body too."""

    method: str
    path: str
    timeout_s: float
    body: bytes | None = field(repr=False, default=None)
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before the next step."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whoever sent it. `retry_after` is the header as it stands."""

    status: int
    body: bytes = field(repr=False)
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """No whole answer; `cause` in plain words. Whether the call was carried out is unknown."""

    cause: str


Steps = Generator[Call | Pause, Reply | Lost | None, R]


@dataclass(frozen=True, slots=True)
class Patience:
    """How often one call is tried, how long one try may take, and all of them together."""

    tries: int = 4
    timeout_s: float = 10.0
    total_s: float = 30.0


BRIEF = Patience(tries=1, timeout_s=2.0, total_s=2.0)  # of what is tidied up on the way out


class Exchange:
    """Carries out calls with safe retries: every try of a call sends the same bytes."""

    def __init__(
        self, patience: Patience, clock: Callable[[], float], jitter: Callable[[], float]
    ) -> None:
        self._patience = patience
        self._clock = clock
        self._jitter = jitter

    def carry_out(self, call: Call, about: About, patience: Patience | None = None) -> Steps[Json]:
        """The answer's JSON, after as many tries as there is patience for."""
        patience = patience or self._patience
        until = self._clock() + patience.total_s
        tried = 0
        while True:
            tried += 1
            left = until - self._clock()
            answer = yield replace(call, timeout_s=min(max(left, 0.001), call.timeout_s))
            if isinstance(answer, Reply) and answer.status not in RETRIED:
                return _judged(answer, about)
            if not isinstance(answer, Reply | Lost):
                raise TypeError("a driver answers a call with a reply or its loss")
            pause = self._pause(answer, tried)
            if tried == patience.tries or self._clock() + pause >= until:
                raise _given_up(answer, about, tried)
            yield Pause(pause)

    def _pause(self, answer: Reply | Lost, tried: int) -> float:
        """Doubles with every try, jittered; what Placet asks for is waited in full."""
        own = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (tried - 1)) * (0.5 + self._jitter() / 2)
        asked = answer.retry_after if isinstance(answer, Reply) else None
        if asked is not None and asked.isascii() and asked.isdigit() and len(asked) < 8:
            return max(own, float(asked))
        return own


def encoded(sent: object, about: About) -> bytes:
    """UTF-8 JSON. The faults of both encoders quote what they were given, so they are not kept."""
    try:
        return json.dumps(sent, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError):
        pass
    raise NotSendable(about, "what is to be sent is not JSON")


def _judged(reply: Reply, about: About) -> Json:
    if reply.status in (200, 201):
        found = parsed(reply.body)
        if found is None:
            raise BadAnswer(about, f"the answer {reply.status} is not JSON")
        return found
    if 300 <= reply.status < 400:
        raise BadAnswer(about, f"the answer is a redirect ({reply.status}), which is not followed")
    problem = problem_in(reply.status, reply.body)
    if reply.status >= 500:
        raise _given_up(reply, about, 1)
    if problem is None or reply.status < 400:
        raise BadAnswer(about, f"the answer {reply.status} is not one of Placet's")
    raise refusal(about, problem)


def _given_up(answer: Reply | Lost, about: About, tried: int) -> Unreachable:
    times = f"{tried} {'try' if tried == 1 else 'tries'}"
    if isinstance(answer, Lost):
        return Unreachable(about, f"no answer of Placet after {times}: {answer.cause}")
    problem = problem_in(answer.status, answer.body)
    said = problem.told if problem else _phrase(answer.status)
    cause = f"Placet cannot do it now after {times}: {answer.status} {said}"
    return Unavailable(about, cause, answer.status, problem)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unknown status"
