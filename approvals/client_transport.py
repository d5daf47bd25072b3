"""Carries steps out over HTTP: two thin drivers, one waits and one awaits. Decides nothing.

They stand on httpx's transports, below its client: no redirect is followed, no cookie is kept, no
proxy is taken from the environment, and a call costs less.

The API key stays inside: it is in no repr and in no error, and foreign errors are not handed on,
because theirs hold the request with its headers and body.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import re
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypedDict, TypeVar
from urllib.parse import urlsplit

import httpx

from approvals.client_errors import About, NotSendable
from approvals.client_exchange import Call, Lost, Patience, Pause, Reply, Steps

MOST_BYTES = 1024 * 1024  # of an answer; Placet's own are far smaller
CONNECT_S = 3.0
SETTINGS = About("Placet's address and API key")
_API_KEY = re.compile(r"[!-~]{1,512}")
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=20)  # waits hold theirs

R = TypeVar("R")


class Options(TypedDict, total=False):
    """How a client behaves. A proxy is used only when named here, whatever the environment says.

    `allow_http` admits plain http to other machines: whoever is between may then read and change
    what is sent. `clock` (seconds, never going back) and `jitter` (0 to 1) are for tests.
    """

    patience: Patience
    allow_http: bool
    ssl_context: ssl.SSLContext
    proxy: str
    clock: Callable[[], float]
    jitter: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Target:
    """Where calls go, checked. Its repr is the address alone."""

    url: httpx.URL
    headers: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        return repr(str(self.url))

    @classmethod
    def checked(cls, base_url: str, api_key: str, options: Options) -> Target:
        """Raises `NotSendable`; never holds what was given."""
        if unknown := options.keys() - Options.__annotations__.keys():
            raise TypeError(f"a client has no options {sorted(unknown)}")  # not to be passed over
        if not _API_KEY.fullmatch(api_key):
            raise NotSendable(SETTINGS, "the API key is empty, or not printable ASCII")
        fault = _fault_of(base_url, allow_http=options.get("allow_http", False))
        if fault:
            raise NotSendable(SETTINGS, fault)
        headers = (
            ("Authorization", f"Bearer {api_key}"),
            ("Accept", "application/json"),
            ("Accept-Encoding", "identity"),
            ("User-Agent", "placet-client"),
        )
        return cls(httpx.URL(base_url.rstrip("/")), headers)

    def request(self, call: Call) -> httpx.Request:
        """The call as httpx sends it."""
        headers = list(self.headers)
        if call.body is not None:
            headers.append(("Content-Type", "application/json"))
        if call.idempotency_key is not None:
            headers.append(("Idempotency-Key", call.idempotency_key))
        path = self.url.raw_path.rstrip(b"/") + call.path.encode()
        timeout = httpx.Timeout(call.timeout_s, connect=min(CONNECT_S, call.timeout_s))
        return httpx.Request(
            call.method,
            self.url.copy_with(raw_path=path),
            headers=headers,
            content=call.body,
            extensions={"timeout": timeout.as_dict()},
        )


class Driver:
    """Carries steps out, blocking.

    A call's time ends it between two parts of its body; a head that trickles in is held to it
    part by part only, for a blocked read cannot be broken off from outside.
    """

    def __init__(
        self,
        target: Target,
        options: Options,
        transport: httpx.BaseTransport | None,
        sleep: Callable[[float], None],
    ) -> None:
        self._target = target
        self._clock = clock_of(options)
        self._sleep = sleep
        self._http = transport or httpx.HTTPTransport(
            verify=options.get("ssl_context", True),
            proxy=options.get("proxy"),
            trust_env=False,
            limits=_LIMITS,
        )

    def run(self, steps: Steps[R]) -> R:
        """The result of the steps, or the error they end with."""
        answer: Reply | Lost | None = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as done:
                result: R = done.value
                return result
            if isinstance(step, Pause):
                answer = None
                self._sleep(step.seconds)
            else:
                answer = self._send(step)

    def close(self) -> None:
        """Closes what is connected."""
        self._http.close()

    def _send(self, call: Call) -> Reply | Lost:
        until = self._clock() + call.timeout_s
        request = self._target.request(call)
        try:
            answer = self._http.handle_request(request)
            try:
                if _is_packed(answer):
                    return Reply(answer.status_code, b"")
                body = b""
                for chunk in answer.iter_bytes():
                    body += chunk
                    if len(body) > MOST_BYTES:
                        return Reply(answer.status_code, b"")
                    if self._clock() > until:
                        return Lost("the answer did not end in time")
            finally:
                answer.close()
        except httpx.HTTPError as error:
            return Lost(_cause(error))
        return _reply(answer, body)


class AsyncDriver:
    """The same, awaiting."""

    def __init__(
        self,
        target: Target,
        options: Options,
        transport: httpx.AsyncBaseTransport | None,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._target = target
        self._sleep = sleep
        self._finishing: set[asyncio.Task[object]] = set()
        self._http = transport or httpx.AsyncHTTPTransport(
            verify=options.get("ssl_context", True),
            proxy=options.get("proxy"),
            trust_env=False,
            limits=_LIMITS,
        )

    async def run(self, steps: Steps[R]) -> R:
        """The result of the steps, or the error they end with."""
        answer: Reply | Lost | None = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as done:
                result: R = done.value
                return result
            if isinstance(step, Pause):
                answer = None
                await self._sleep(step.seconds)
            else:
                answer = await self._send(step)

    async def finish(self, steps: Steps[R]) -> R:
        """As `run`, to the end even when the task that waits for it is cancelled."""
        task = asyncio.create_task(self.run(steps))
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Waits for what is being finished, then closes what is connected."""
        if self._finishing:  # not `gather`, which would cancel them with whoever waits here
            await asyncio.wait(self._finishing)
        await self._http.aclose()

    async def _send(self, call: Call) -> Reply | Lost:
        request = self._target.request(call)
        try:
            async with asyncio.timeout(call.timeout_s):
                answer = await self._http.handle_async_request(request)
                try:
                    if _is_packed(answer):
                        return Reply(answer.status_code, b"")
                    body = b""
                    async for chunk in answer.aiter_bytes():
                        body += chunk
                        if len(body) > MOST_BYTES:
                            return Reply(answer.status_code, b"")
                finally:
                    await answer.aclose()
        except httpx.HTTPError as error:
            return Lost(_cause(error))
        except TimeoutError:
            return Lost("the answer did not end in time")
        return _reply(answer, body)


def clock_of(options: Options) -> Callable[[], float]:
    """The clock of a client."""
    return options.get("clock", time.monotonic)


def jitter_of(options: Options) -> Callable[[], float]:
    """What spreads the retries of many clients."""
    return options.get("jitter", random.random)


def _is_packed(answer: httpx.Response) -> bool:
    """A small answer could unpack to gigabytes, and nobody asked for one."""
    return bool(answer.headers.get("Content-Encoding", "identity").lower() != "identity")


def _reply(answer: httpx.Response, body: bytes) -> Reply:
    return Reply(answer.status_code, body, answer.headers.get("Retry-After"))


def _cause(error: httpx.HTTPError) -> str:
    """Our own words: those of the library may quote what was sent."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return "no connection"
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return "the connection broke"


def _fault_of(base_url: str, *, allow_http: bool) -> str | None:
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port
        httpx.URL(base_url)
    except (ValueError, httpx.InvalidURL):
        return "the address is no URL"
    if parts.scheme not in ("http", "https") or not host:
        return "the address is no http or https URL"
    if parts.username is not None or parts.query or parts.fragment:
        return "the address holds more than scheme, host, port and path"
    if parts.scheme == "http" and not allow_http and not _is_loopback(host):
        return "plain http is for this machine alone; use https"
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
