"""Where the store is, in words that hold no secret, and why it cannot be reached from here."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from typing import cast
from urllib.parse import unquote, urlsplit

from redis.asyncio import Connection
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004 - redis-py's own, which its client raises
)

from approvals.errors import StoreUnavailable
from approvals.store.pipeline import connection_pool
from bot import setting_values as values

PUT_RIGHT = "put PLACET_REDIS_URL right"
_FAILURES: tuple[tuple[type[RedisError], tuple[str, str]], ...] = (
    (BusyLoadingError, ("still loads its data", "Try again in a moment")),
    (
        AuthenticationError,
        ("refuses us (authentication)", "Give it the user and password that it expects"),
    ),
    (NoPermissionError, ("refuses us (permission)", "Let its user run Placet's commands")),
    (TimeoutError, ("does not answer (timed out)", "See whether it works")),
)


class StoreOutOfReach(StoreUnavailable):
    """No store that we may use answers at its place. Nothing was asked of it."""


def fit_url(text: str) -> str:
    """`text` as a URL that the client can use. Raises `ValueError` with the remedy.

    The client takes options from the query, fails deep inside over one that it does not know, and
    takes database 0 for a path that is no number.
    """
    values.redis_url(text)
    parts = urlsplit(text)
    database = parts.path.removeprefix("/")
    if parts.scheme != "unix" and database and not (database.isascii() and database.isdigit()):
        raise ValueError("Write the number of its database, as in redis://host:6379/0.")
    try:
        pool = connection_pool(text)
        pool.connection_class(**pool.connection_kwargs)
    except (TypeError, ValueError):
        raise ValueError("Name only options that the client knows.") from None
    return text


def place_of(url: str) -> str:
    """Host and port, or the socket's path: never a user, a password or an option."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return unquote(parts.path)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or 6379}"


async def check_reach(url: str, else_do: str = PUT_RIGHT) -> None:
    """Connects once. Raises `StoreOutOfReach`, which says where, what happened and what to do.

    `else_do` is what helps where the place itself is wrong.
    """
    # Its own task: under a time-out redis-py can swallow a cancellation (wait_for of Python 3.11).
    asked = asyncio.create_task(_ask(url))
    try:
        await asyncio.wait((asked,))
    finally:
        asked.cancel()
    try:
        asked.result()
    except (RedisError, OSError) as error:
        happened, advice = _told(error)
        told = f"The store at {place_of(url)} {happened}. {advice}, or {else_do}."
        raise StoreOutOfReach(told) from None


async def _ask(url: str) -> None:
    """By a connection of its own: the pipeline keeps no cause, for its callers wait for many."""
    pool = connection_pool(url, max_connections=1)
    try:
        connection = cast("Connection", await pool.get_connection())  # type: ignore[no-untyped-call]  # redis-py
        await connection.send_command("PING")
        await connection.read_response()
    finally:
        await pool.aclose()


def _told(error: BaseException) -> tuple[str, str]:
    if isinstance(error.__cause__, RedisError):  # the client wraps them on a UNIX socket
        return _told(error.__cause__)
    for kind, told in _FAILURES:
        if isinstance(error, kind):
            return told
    if isinstance(error, ResponseError):
        # The code of this reply is ERR, as that of others; its text is all that tells.
        if "DB index" in str(error):
            return "has no such database", "Name one that it has"
        return f"refuses us ({type(error).__name__})", "See what stands there"
    return f"cannot be reached ({_cause(error)})", "See that it runs there"


def _cause(error: BaseException | None) -> str:
    """What the system said, found below what the client made of it."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return "TLS failed"
        if isinstance(error, socket.gaierror):
            return "its name is not known"
        if isinstance(error, OSError) and error.errno:
            return os.strerror(error.errno).lower()
        error = error.__cause__ or error.__context__
    return "no connection"
