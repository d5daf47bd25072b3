"""Takes Placet's callbacks in a service: verifies first, by the raw bytes, and then reads.

    event = verify_callback(secrets, request.headers, body)   # or BadCallback: answer 401

`CallbackWSGI` and `CallbackASGI` do it behind an address, in any framework. A callback tells and
permits nothing: only a redeemed grant does. It may come twice, and late: count each `webhook_id`
once, and never go back to a smaller `seq`.
"""

from __future__ import annotations

import base64
import hmac
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from approvals.client_answers import Request, WrongShape, parsed
from approvals.errors import PlacetError
from approvals.signing import BadSecret, callback_secret, callback_signature

TOLERANCE_S = 300  # both ways, as Standard Webhooks has it: an old callback is a replayed one
MOST_BYTES = 64 * 1024
MOST_SIGNATURES = 16  # of one header: each costs a comparison
ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
_TIME = re.compile(r"[0-9]{1,12}")
_ID = re.compile(r"[!-~]{1,256}")

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
Environ = Mapping[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]


class BadCallback(PlacetError):
    """It is not Placet's, or too old to believe. Answer 401, and do nothing."""

    code = "bad_callback"


@dataclass(frozen=True, slots=True)
class CallbackEvent:
    """One event. `request` is the request as it stood then, without salt and people's words.

    `grant.redeemed`, `grant.ended` and `grant.revoked` have `request.status` `approved` too: what
    has happened is in `type` alone.
    """

    webhook_id: str
    type: str
    seq: int
    request: Request


def verify_callback(
    secrets: str | Sequence[str], headers: Headers, body: bytes, now: float | None = None
) -> CallbackEvent:
    """The event in a callback. Raises `BadCallback` for all that Placet did not sign just now.

    `secrets` are the service's `whsec_...`: while they change, the old and the new one. `now` is
    in seconds since 1970. Raises `BadSecret` for a secret that is none.
    """
    return _verified(keys_of(secrets), headers, body, time.time() if now is None else now)


def keys_of(secrets: str | Sequence[str]) -> tuple[bytes, ...]:
    """The key bytes. Raises `BadSecret`, also for no secret at all."""
    given = (secrets,) if isinstance(secrets, str) else tuple(secrets)
    if not given:
        raise BadSecret("is missing")
    return tuple(callback_secret(secret) for secret in given)


def _verified(keys: Sequence[bytes], headers: Headers, body: bytes, now: float) -> CallbackEvent:
    webhook_id, timestamp, signature = _read_headers(headers)
    if not _ID.fullmatch(webhook_id) or not _TIME.fullmatch(timestamp):
        raise BadCallback("The callback's id or timestamp cannot be read.")
    if abs(now - int(timestamp)) > TOLERANCE_S:
        raise BadCallback("The callback is more than five minutes from now; compare the clocks.")
    if not _is_signed(keys, webhook_id, int(timestamp), body, signature):
        raise BadCallback("The callback's signature fits none of the secrets.")
    return _event(webhook_id, body)


def _read_headers(headers: Headers) -> tuple[str, str, str]:
    """The three headers, each of which must stand there once: two would be read differently."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    found: dict[str, list[str]] = {ID: [], TIMESTAMP: [], SIGNATURE: []}
    for name, value in pairs:
        if (wanted := name.lower()) in found:
            found[wanted].append(value)
    if any(len(values) != 1 for values in found.values()):
        raise BadCallback("The callback lacks one of its three headers, or has it twice.")
    return found[ID][0], found[TIMESTAMP][0], found[SIGNATURE][0]


def _is_signed(
    keys: Sequence[bytes], webhook_id: str, timestamp: int, body: bytes, signature: str
) -> bool:
    """Whether one part of the header fits one key. All are compared: the time tells nothing."""
    parts = [part.removeprefix("v1,") for part in signature.split() if part.startswith("v1,")]
    given = [mac for part in parts[:MOST_SIGNATURES] if (mac := _decoded(part)) is not None]
    fits = False
    for key in keys:
        own = callback_signature([key], webhook_id, timestamp, body).removeprefix("v1,")
        expected = base64.b64decode(own)
        for mac in given:
            fits |= hmac.compare_digest(expected, mac)
    return fits


def _decoded(part: str) -> bytes | None:
    try:
        return base64.b64decode(part, validate=True)
    except ValueError:  # binascii.Error, or text that is not ASCII
        return None


def _event(webhook_id: str, body: bytes) -> CallbackEvent:
    """Signed, so it is Placet's; what cannot be read all the same is not acted on."""
    told = parsed(body) or {}
    kind, seq = told.get("type"), told.get("seq")
    if not isinstance(kind, str) or not isinstance(seq, int) or isinstance(seq, bool) or seq < 1:
        raise BadCallback("The callback is signed, but not of the shape agreed.")
    try:
        request = Request.read(told.get("data"))
    except WrongShape:
        raise BadCallback("The callback is signed, but not of the shape agreed.") from None
    return CallbackEvent(webhook_id, kind, seq, request)


class _Receiver:
    """What both applications share. Secrets are read at once: a bad one is found at the start."""

    def __init__(
        self, secrets: str | Sequence[str], clock: Callable[[], float] = time.time
    ) -> None:
        self._keys = keys_of(secrets)
        self._clock = clock

    def event(self, headers: Headers, body: bytes) -> CallbackEvent | None:
        """The event, or None for what is not Placet's."""
        try:
            return _verified(self._keys, headers, body, self._clock())
        except BadCallback:
            return None


class _Input(Protocol):
    def read(self, size: int, /) -> bytes:
        """At most `size` bytes."""
        ...


class CallbackWSGI:
    """A WSGI application that hands each verified callback to `handle`.

    Answers 204 once `handle` has returned; what `handle` raises is the server's to answer with 500,
    and Placet tells again.
    """

    def __init__(
        self,
        secrets: str | Sequence[str],
        handle: Callable[[CallbackEvent], object],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._receiver = _Receiver(secrets, clock)
        self._handle = handle

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request."""
        status, headers = self._answer(environ)
        start_response(status, headers)
        return ()

    def _answer(self, environ: Environ) -> tuple[str, list[tuple[str, str]]]:
        empty = ("Content-Length", "0")
        if environ.get("REQUEST_METHOD") != "POST":
            return "405 Method Not Allowed", [("Allow", "POST"), empty]
        body = _wsgi_body(environ)
        if body is None:
            return "413 Content Too Large", [empty]
        names = {
            "HTTP_" + name.upper().replace("-", "_"): name for name in (ID, TIMESTAMP, SIGNATURE)
        }
        headers = [(name, str(environ[key])) for key, name in names.items() if key in environ]
        event = self._receiver.event(headers, body)
        if event is None:
            return "401 Unauthorized", [empty]
        self._handle(event)
        return "204 No Content", []


def _wsgi_body(environ: Environ) -> bytes | None:
    """The raw body, or None when it is too large. Without a length only what has its own end."""
    length, stream = str(environ.get("CONTENT_LENGTH") or ""), environ["wsgi.input"]
    if not length and environ.get("wsgi.input_terminated"):
        body = _read_up_to(stream, MOST_BYTES + 1)
        return body if len(body) <= MOST_BYTES else None
    if not _TIME.fullmatch(length):
        return b""  # fits no signature
    return _read_up_to(stream, int(length)) if int(length) <= MOST_BYTES else None


def _read_up_to(stream: _Input, size: int) -> bytes:
    body = b""
    while len(body) < size and (part := stream.read(size - len(body))):
        body += part
    return body


class CallbackASGI:
    """An ASGI application that hands each verified callback to `handle`, which is awaited.

    Answers as `CallbackWSGI` does.
    """

    def __init__(
        self,
        secrets: str | Sequence[str],
        handle: Callable[[CallbackEvent], Awaitable[object]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._receiver = _Receiver(secrets, clock)
        self._handle = handle

    async def __call__(
        self,
        scope: Scope,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answers one request. Raises `ValueError` for what is no HTTP, as ASGI asks."""
        if scope["type"] != "http":
            raise ValueError("takes callbacks over HTTP only")
        if scope["method"] != "POST":
            await _answer(send, 405, [(b"allow", b"POST")])
            return
        body = await _asgi_body(receive)
        if body is None:
            await _answer(send, 413)
            return
        pairs = (
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        )
        event = self._receiver.event(pairs, body)
        if event is None:
            await _answer(send, 401)
            return
        await self._handle(event)
        await _answer(send, 204)


async def _asgi_body(receive: Callable[[], Awaitable[Message]]) -> bytes | None:
    """The raw body, or None when it is too large; of a caller who has left, what came."""
    body, is_more = b"", True
    while is_more:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            return None
        is_more = message.get("more_body", False)
    return body


async def _answer(
    send: Callable[[Message], Awaitable[None]],
    status: int,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    length = [] if status == 204 else [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": b""})
