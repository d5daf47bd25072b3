"""A request's body: bounded raw bytes, then JSON as strict as it must be. Knows no field.

Size first, then encoding, then structure; what is told of a fault never holds the input.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Iterator
from typing import NoReturn, cast

from pydantic import JsonValue
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from approvals.errors import BodyTooLarge, Finding, InvalidRequest, MalformedJson, NotJson

MAX_BYTES = 32 * 1024
MAX_DEPTH = 20
MAX_INTEGER = 2**53 - 1  # beyond it readers of JSON disagree about the number
READ_TIMEOUT_S = 5.0
_JSON_TYPE = re.compile(r'application/json(?:\s*;\s*charset="?utf-8"?)?', re.IGNORECASE)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SURROGATE = re.compile("[\ud800-\udfff]")
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,39}")
# Most bodies hold no escape, no exponent and no long number, and so nothing that needs a walk.
_MAYBE_UNFIT = re.compile(r"\\u|[0-9]{16}|[0-9][eE]")
_BEYOND = "holds a number that readers of JSON disagree about (beyond 2^53 - 1); send it as text"
_UNSEEN = "holds U+0000, which a reader cannot see; remove it"


async def read_body(request: Request, *, timeout: float = READ_TIMEOUT_S) -> bytes:  # noqa: ASYNC109 - one bound over many receives
    """The raw bytes. Raises `BodyTooLarge`, `NotJson`, or 408 for who sends too slowly."""
    _check_announced(request)
    try:
        async with asyncio.timeout(timeout):
            return await _receive_all(request)
    except TimeoutError:
        # Stops a client that sends a byte now and then and so holds its connection for ever.
        raise HTTPException(408, headers={"Connection": "close"}) from None


def parse_object(body: bytes) -> dict[str, JsonValue]:
    """The JSON object in `body`. Raises `MalformedJson`, or `InvalidRequest` for sound JSON that
    reads differently elsewhere, naming the object's member that holds it.
    """
    text = _text(body)
    try:
        value = cast("JsonValue", _DECODER.decode(text))
    except json.JSONDecodeError as error:
        raise MalformedJson(
            f"The body is not valid JSON at line {error.lineno}, column {error.colno}."
        ) from None
    except RecursionError:
        raise _too_deep() from None
    if not isinstance(value, dict):
        raise MalformedJson("The body is not a JSON object; send {...}.")
    # The brackets cannot nest deeper than there are brackets: most bodies need no walk.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise _too_deep()
    if _MAYBE_UNFIT.search(text):
        _check_members(value)
    return value


def _check_announced(request: Request) -> None:
    headers = request.headers
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()) or len(length) > 9 or int(length) > MAX_BYTES:
        raise _too_large()
    types = headers.getlist("content-type")
    if len(types) != 1 or not (types[0] == "application/json" or _JSON_TYPE.fullmatch(types[0])):
        raise NotJson("Send the body with `Content-Type: application/json`, in UTF-8.")
    if headers.get("content-encoding", "identity") != "identity":
        raise NotJson("Send the body uncompressed, without Content-Encoding.")


async def _receive_all(request: Request) -> bytes:
    body = b""
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > MAX_BYTES:
            raise _too_large()
        more = message.get("more_body", False)
    return body


def _text(body: bytes) -> str:
    if not body:
        raise MalformedJson("The body is empty; send a JSON object.")
    if body.startswith(_BYTE_ORDER_MARK):
        raise MalformedJson("The body begins with a byte order mark; send it without.")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedJson("The body is not UTF-8.") from None


def _unique(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    # Two readers that keep different ones of two equal keys see two different requests.
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedJson("An object of the body holds the same key twice.")
    return members


def _constant(_: str) -> NoReturn:
    raise MalformedJson("NaN and Infinity are no JSON numbers.")


def _integer(digits: str) -> int | float:
    if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
        return math.inf  # found by its place once the object stands
    return int(digits)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant, parse_int=_integer)


def _is_deeper(value: JsonValue, levels: int) -> bool:
    if isinstance(value, dict):
        return levels == 0 or any(_is_deeper(inner, levels - 1) for inner in value.values())
    if isinstance(value, list):
        return levels == 0 or any(_is_deeper(inner, levels - 1) for inner in value)
    return False


def _check_members(value: dict[str, JsonValue]) -> None:
    findings = [
        Finding(f"/{name}" if _FIELD.fullmatch(name) else "", message)
        for name, inner in value.items()
        for message in sorted({*_unfit_in(name), *_unfit(inner)})
    ]
    if findings:
        raise InvalidRequest(findings)


def _unfit(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield from _unfit_in(value)
    elif isinstance(value, float) and not math.isfinite(value):
        yield _BEYOND
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from (*_unfit_in(name), *_unfit(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from _unfit(inner)


def _unfit_in(text: str) -> Iterator[str]:
    if _SURROGATE.search(text):
        raise MalformedJson("A text of the body holds half a surrogate pair.")
    if "\0" in text:
        yield _UNSEEN


def _too_deep() -> MalformedJson:
    return MalformedJson(f"The body nests deeper than {MAX_DEPTH} levels.")


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(f"The body may hold at most {MAX_BYTES} bytes.")
