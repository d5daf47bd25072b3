"""The known calls, answered and counted as plain ASGI; all else goes on to the framework.

The framework's layers cost more than our part of a small call does, and its answers to unknown
paths and methods need no speed. Labels of figures are route templates, never paths.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.telemetry import Metrics
from bot.web import problems

Endpoint = Callable[[Request], Awaitable[Response]]
Handlers = Mapping[str, Endpoint]  # by method

_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"})
_PARAMETER = re.compile(r"\{(\w+)\}")


class Front:
    """Answers `routes` (by path template) itself; `framework` refuses what they do not hold."""

    def __init__(
        self, framework: ASGIApp, routes: Mapping[str, Handlers], metrics: Metrics
    ) -> None:
        self._framework = framework
        self._routes = routes
        self._shapes = {
            path: re.compile(_PARAMETER.sub(r"(?P<\1>[^/]+)", path))
            for path in routes
            if "{" in path
        }
        self._metrics = metrics
        self._on_error = problems.handlers(metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, and counts the answer also when an error passes through."""
        if scope["type"] != "http":
            await self._framework(scope, receive, send)
            return
        status = 500  # what is answered to an error that passes through
        started = time.perf_counter()

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        method = scope["method"]
        label = self._find(scope)
        endpoint = self._routes.get(label, {}).get("GET" if method == "HEAD" else method)
        try:
            if endpoint is None:
                await self._framework(scope, receive, send_on)
            else:
                await self._answer(endpoint, Request(scope, receive, send_on), send_on)
        finally:
            seconds = time.perf_counter() - started
            method = method if method in _METHODS else "other"
            self._metrics.http_answered(label, method, status, seconds)

    def _find(self, scope: Scope) -> str:
        """The template of the path, whose parameters enter the scope; `other` if there is none."""
        path: str = scope["path"]
        if path in self._routes and path not in self._shapes:
            return path
        for template, shape in self._shapes.items():
            if found := shape.fullmatch(path):
                scope["path_params"] = found.groupdict()
                return template
        return "other"

    async def _answer(self, endpoint: Endpoint, request: Request, send: Send) -> None:
        try:
            response = await endpoint(request)
        except Exception as error:
            kind = next(each for each in type(error).__mro__ if each in self._on_error)
            response = await self._on_error[kind](request, error)
            if kind is Exception:  # our own mistake: answered, then logged by who called us
                await response(request.scope, request.receive, send)
                raise
        await response(request.scope, request.receive, send)
