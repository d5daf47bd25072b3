"""What is taken as a body, and what is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from approvals.errors import InvalidRequest, MalformedJson
from bot.web.body import MAX_BYTES, MAX_DEPTH, parse_object, read_body
from tests.bot.web.conftest import Web
from tests.configurations import ask

TYPE = ("Content-Type", "application/json")


def nested(levels: int) -> bytes:
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


MALFORMED = {
    "empty": b"",
    "no JSON": b"action=users.export",
    "cut off": b'{"action": "users.exp',
    "two values": b"{} {}",
    "a list": b"[]",
    "a text": b'"action"',
    "null": b"null",
    "a trailing comma": b'{"a": 1,}',
    "a comment": b'{"a": 1} // note',
    "single quotes": b"{'a': 1}",
    "a duplicate key": b'{"action": "view", "action": "export"}',
    "a duplicate key within": b'{"params": {"a": 1, "a": 2}}',
    "a duplicate key behind an escape": b'{"action": 1, "\\u0061ction": 2}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": Infinity}',
    "minus Infinity": b'{"a": -Infinity}',
    "a lone surrogate": b'{"a": "\\ud800"}',
    "a lone surrogate in a key": b'{"params": [{"\\udc00": 1}]}',
    "surrogates in the wrong order": b'{"a": "\\ude00\\ud83d"}',
    "an encoded surrogate": b'{"a": "\xed\xa0\x80"}',
    "a raw zero byte": b'{"a": "\x00"}',
    "a raw newline": b'{"a": "\n"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "Latin-1": '{"a": "\xe9"}'.encode("latin-1"),
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "one level too deep": nested(MAX_DEPTH + 1),
    "lists too deep": b'{"a": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
    "thousands of levels": b"[" * 16_000 + b"]" * 16_000,
}


BEYOND = "holds a number that readers of JSON disagree about (beyond 2^53 - 1); send it as text"
UNSEEN = "holds U+0000, which a reader cannot see; remove it"
# Sound JSON that no reader may be trusted with, and the field that is told.
UNFIT: dict[str, tuple[bytes, str, str]] = {
    "a number beyond floats": (b'{"a": 1e999}', "/a", BEYOND),
    "an integer beyond 2^53": (b'{"record_count": 9007199254740992}', "/record_count", BEYOND),
    "an integer of 5000 digits": (b'{"params": {"a": [' + b"9" * 5000 + b"]}}", "/params", BEYOND),
    "a negative one": (b'{"a": 1, "b": -9007199254740992}', "/b", BEYOND),
    "U+0000": (b'{"params": {"a": "x\\u0000"}}', "/params", UNSEEN),
    "U+0000 in a key": (b'{"context": {"\\u0000": 1}}', "/context", UNSEEN),
    "U+0000 in a field's name": (b'{"a\\u0000": 1}', "", UNSEEN),
    "what is no field's name": (b'{"dana@example.com": 1e999}', "", BEYOND),
}


@pytest.mark.parametrize(("body", "pointer", "message"), UNFIT.values(), ids=UNFIT.keys())
async def test_what_readers_would_read_differently_is_refused_by_its_field(
    web: Web, body: bytes, pointer: str, message: str
) -> None:
    answered = await web.client.post("/v1/requests", body, web.auth())
    told = await web.assert_refused(answered, 422, "invalid-request")
    assert told["errors"] == [{"pointer": pointer, "message": message}]


async def test_every_unfit_field_is_told(web: Web) -> None:
    body = b'{"a": 1e999, "b": {"c": "\\u0000"}, "d": 9007199254740992, "e": 1}'
    answered = await web.client.post("/v1/requests", body, web.auth())
    told = await web.assert_refused(answered, 422, "invalid-request")
    assert [each["pointer"] for each in told["errors"]] == ["/a", "/b", "/d"]


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
async def test_malformed_json_is_refused_and_leaves_no_trace(web: Web, body: bytes) -> None:
    answered = await web.client.post("/v1/requests", body, web.auth())
    await web.assert_refused(answered, 400, "malformed-json")


SOUND = {
    "an empty object": (b"{}", {}),
    "the deepest there may be": (nested(MAX_DEPTH), json.loads(nested(MAX_DEPTH))),
    "many brackets, side by side": (b'{"a": [' + b"[]," * 40 + b"[]]}", {"a": [[]] * 41}),
    "brackets in a text": (b'{"a": "' + b"[{" * 40 + b'"}', {"a": "[{" * 40}),
    "a pair of surrogates": (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
    "a backslash before u0000": (b'{"a": "\\\\u0000"}', {"a": "\\u0000"}),
    "the largest integer": (b'{"a": -9007199254740991}', {"a": -(2**53) + 1}),
    "a float": (b'{"a": 1.5e3}', {"a": 1500.0}),
    "white space around": (b" \r\n\t{} \n", {}),
    "raw UTF-8": ('{"a": "\xe9"}'.encode(), {"a": "\xe9"}),
}


@pytest.mark.parametrize(("body", "value"), SOUND.values(), ids=SOUND.keys())
def test_sound_json_is_read_as_it_is(body: bytes, value: object) -> None:
    assert parse_object(body) == value


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
LEAVES = (
    st.none() | st.booleans() | TEXTS | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=5), st.booleans())
def test_what_json_can_say_is_read_back(value: dict[str, object], escaped: bool) -> None:
    assert parse_object(json.dumps(value, ensure_ascii=escaped).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_malformed(body: bytes) -> None:
    with suppress(MalformedJson, InvalidRequest):
        assert isinstance(parse_object(body), dict)


def padded(size: int) -> bytes:
    body = json.dumps(ask()).encode()
    return body + b" " * (size - len(body))


async def test_a_body_may_hold_32_kib_and_not_a_byte_more(web: Web) -> None:
    fits = await web.client.post("/v1/requests", padded(MAX_BYTES), web.auth())
    assert fits.status == 201


async def test_a_body_that_announces_too_much_is_refused_unread(web: Web) -> None:
    headers = [*web.auth().items(), TYPE, ("Content-Length", str(MAX_BYTES + 1))]
    answered = await web.client.call("POST", "/v1/requests", headers, nothing_comes())
    await web.assert_refused(answered, 413, "body-too-large")


async def test_a_chunked_body_is_refused_once_it_is_too_large(web: Web) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 1024

    headers = [*web.auth().items(), TYPE, ("Transfer-Encoding", "chunked")]
    answered = await web.client.call("POST", "/v1/requests", headers, endless())
    await web.assert_refused(answered, 413, "body-too-large")


async def test_a_body_in_chunks_is_read_whole(web: Web) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        body = json.dumps(ask()).encode()
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    headers = [*web.auth().items(), TYPE]
    assert (await web.client.call("POST", "/v1/requests", headers, chunks())).status == 201


@pytest.mark.parametrize("length", ["-1", "1e3", "9" * 30, "\xb2", ""])
async def test_a_senseless_length_is_too_large(web: Web, length: str) -> None:
    headers = [*web.auth().items(), TYPE, ("Content-Length", length)]
    answered = await web.client.call("POST", "/v1/requests", headers, nothing_comes())
    await web.assert_refused(answered, 413, "body-too-large")


NOT_JSON = [
    [],
    [("Content-Type", "text/plain")],
    [("Content-Type", "application/x-www-form-urlencoded")],
    [("Content-Type", "application/json-seq")],
    [("Content-Type", "application/json; charset=latin-1")],
    [("Content-Type", "application/json; charset=utf-8; q=1")],
    [("Content-Type", "application/json"), ("Content-Type", "text/plain")],
    [("Content-Type", "application/json"), ("Content-Encoding", "gzip")],
]


@pytest.mark.parametrize("types", NOT_JSON, ids=str)
async def test_a_body_announced_as_something_else_is_refused(
    web: Web, types: list[tuple[str, str]]
) -> None:
    body = json.dumps(ask()).encode()
    answered = await web.client.call("POST", "/v1/requests", [*web.auth().items(), *types], body)
    told = await web.assert_refused(answered, 415, "not-json")
    assert "application/json" in told["detail"] or "Content-Encoding" in told["detail"]


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
    ],
)
async def test_utf_8_may_be_said_aloud(web: Web, content_type: str) -> None:
    body = json.dumps(ask()).encode()
    headers = [*web.auth().items(), ("Content-Type", content_type)]
    assert (await web.client.call("POST", "/v1/requests", headers, body)).status == 201


async def nothing_comes() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


def request_of(message: Message | None) -> Request:
    async def receive() -> Message:
        if message is None:
            await asyncio.Event().wait()
        assert message is not None
        return message

    headers = [(b"content-type", b"application/json")]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    with pytest.raises(HTTPException) as caught:
        await read_body(request_of(None), timeout=0.01)
    assert caught.value.status_code == 408
    assert caught.value.headers == {"Connection": "close"}


async def test_a_client_that_leaves_has_sent_nothing() -> None:
    with pytest.raises(ClientDisconnect):
        await read_body(request_of({"type": "http.disconnect"}))
