"""A service believes a callback that Placet signed just now, and nothing else."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import flask
import pytest
from fastapi import Depends, FastAPI, HTTPException, Request
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from starlette.routing import Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from approvals.callback_receiver import (
    MOST_BYTES,
    BadCallback,
    CallbackASGI,
    CallbackEvent,
    CallbackWSGI,
    Headers,
    verify_callback,
)
from approvals.signing import BadSecret, callback_secret, callback_signature
from tests.servers.asgi_client import AsgiClient

OLD = "whsec_" + base64.b64encode(b"o" * 32).decode()
NEW = "whsec_" + base64.b64encode(b"n" * 32).decode()
NOW = 1_764_000_000
ID = "evt_req_00000000000000000000000001_2"
TOLD: dict[str, Any] = {
    "type": "request.approved",
    "timestamp": "2026-11-23T14:20:00.123Z",
    "seq": 2,
    "data": {
        "id": "req_00000000000000000000000001",
        "status": "approved",
        "delivery": "presented",
        "action": "customer.view",
        "digest": "sha256:" + "0" * 64,
        "created_at": "2026-11-23T14:17:00.123Z",
        "expires_at": "2026-11-23T14:32:00.123Z",
        "decision": {"outcome": "approved", "at": "2026-11-23T14:20:00.123Z", "by": []},
        "grant": {
            "id": "grt_00000000000000000000000001",
            "status": "active",
            "expires_at": "2026-11-23T14:30:00.123Z",
            "uses_left": 1,
        },
    },
    "receipt": {"entry": 4, "mac": "x"},
}
BODY = json.dumps(TOLD).encode()


def signed(
    body: bytes = BODY, *, secrets: tuple[str, ...] = (NEW,), at: int = NOW, webhook_id: str = ID
) -> dict[str, str]:
    keys = [callback_secret(secret) for secret in secrets]
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(at),
        "webhook-signature": callback_signature(keys, webhook_id, at, body),
    }


def test_a_callback_of_placet_is_read() -> None:
    event = verify_callback(NEW, signed(), BODY, NOW)
    assert (event.webhook_id, event.type, event.seq) == (ID, "request.approved", 2)
    assert (event.request.id, event.request.status) == (TOLD["data"]["id"], "approved")
    assert event.request.salt is None
    assert event.request.grant is not None
    assert event.request.grant.uses_left == 1


@pytest.mark.parametrize("mine", [OLD, NEW, [OLD, NEW], [NEW, OLD]])
def test_while_secrets_change_each_side_may_be_first(mine: str | list[str]) -> None:
    assert verify_callback(mine, signed(secrets=(OLD, NEW)), BODY, NOW).seq == 2


def test_it_agrees_with_the_library_of_the_standard() -> None:
    signature = Webhook(NEW).sign(ID, datetime.fromtimestamp(NOW, UTC), BODY.decode())
    headers = signed() | {"webhook-signature": "v1a,ignored " + signature}
    assert verify_callback([OLD, NEW], headers, BODY, NOW).seq == 2


@pytest.mark.parametrize(
    "headers",
    [
        {name.title(): value for name, value in signed().items()},
        {name.upper(): value for name, value in signed().items()},
        list(signed().items()),
        iter([("Host", "desk"), ("Accept", "*/*"), ("accept", "x"), *signed().items()]),
    ],
)
def test_headers_come_in_any_case_and_form(headers: Headers) -> None:
    assert verify_callback(NEW, headers, BODY, NOW).seq == 2


@pytest.mark.parametrize("away", [-300, 300])
def test_clocks_may_differ_by_five_minutes(away: int) -> None:
    assert verify_callback(NEW, signed(at=NOW + away), BODY, NOW).seq == 2


def without(name: str) -> dict[str, str]:
    return {each: value for each, value in signed().items() if each != name}


SIGNATURE = signed()["webhook-signature"]
BAD: dict[str, tuple[Any, bytes]] = {
    "too old": (signed(at=NOW - 301), BODY),
    "from the future": (signed(at=NOW + 301), BODY),
    "another secret": (signed(secrets=(OLD,)), BODY),
    "another body": (signed(), BODY + b" "),
    "another id": (signed() | {"webhook-id": "evt_other"}, BODY),
    "another time": (signed() | {"webhook-timestamp": str(NOW + 1)}, BODY),
    "an id with a space": (signed(webhook_id="evt 1"), BODY),
    "an empty id": (signed(webhook_id=""), BODY),
    "no id": (without("webhook-id"), BODY),
    "no time": (without("webhook-timestamp"), BODY),
    "no signature": (without("webhook-signature"), BODY),
    "no headers": ({}, BODY),
    "two ids": ([*signed().items(), ("Webhook-Id", ID)], BODY),
    "two signatures": ([*signed().items(), ("webhook-signature", SIGNATURE)], BODY),
    "a time in words": (signed() | {"webhook-timestamp": "now"}, BODY),
    "a negative time": (signed() | {"webhook-timestamp": f"-{NOW}"}, BODY),
    "a time with a point": (signed() | {"webhook-timestamp": f"{NOW}.0"}, BODY),
    "a time in other digits": (signed() | {"webhook-timestamp": "١٧٦٤"}, BODY),
    "a time without end": (signed() | {"webhook-timestamp": "9" * 5000}, BODY),
    "v1a alone": (signed() | {"webhook-signature": "v1a," + SIGNATURE[3:]}, BODY),
    "v2": (signed() | {"webhook-signature": "v2," + SIGNATURE[3:]}, BODY),
    "no version": (signed() | {"webhook-signature": SIGNATURE[3:]}, BODY),
    "no comma": (signed() | {"webhook-signature": "v1"}, BODY),
    "no base64": (signed() | {"webhook-signature": "v1,no base64!"}, BODY),
    "not ASCII": (signed() | {"webhook-signature": "v1,é"}, BODY),
    "a part of it": (signed() | {"webhook-signature": SIGNATURE[:20]}, BODY),
    "nothing signed": (signed() | {"webhook-signature": "v1,"}, BODY),
    "the seventeenth": (
        signed() | {"webhook-signature": "v1,AAAA " * 16 + SIGNATURE},
        BODY,
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_not(name: str) -> None:
    headers, body = BAD[name]
    with pytest.raises(BadCallback) as caught:
        verify_callback(NEW, headers, body, NOW)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def changed(**members: object) -> bytes:
    return json.dumps(TOLD | members).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b"[" * 60000,
        changed(type=None),
        changed(seq=0),
        changed(seq=True),
        changed(seq="2"),
        changed(seq=1.5),
        changed(data=None),
        changed(data=[]),
        changed(data=TOLD["data"] | {"status": "fine"}),
        changed(data=TOLD["data"] | {"grant": None}),
    ],
)
def test_what_is_signed_and_makes_no_sense_is_not_acted_on(body: bytes) -> None:
    with pytest.raises(BadCallback):
        verify_callback(NEW, signed(body), body, NOW)


@given(
    st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text()
    ),
    st.binary(),
)
def test_no_garbage_raises_anything_else(headers: dict[str, str], body: bytes) -> None:
    for given_headers in (headers, signed() | headers):
        with pytest.raises(BadCallback):
            verify_callback(NEW, given_headers, body, NOW)


@pytest.mark.parametrize("secrets", ["", [], "whsec_", "whsec_!", [NEW, "secret"], "x" * 40])
def test_a_bad_secret_is_found_at_the_start(secrets: str | list[str]) -> None:
    desk = Desk()
    with pytest.raises(BadSecret):
        CallbackWSGI(secrets, desk.hear)
    with pytest.raises(BadSecret):
        CallbackASGI(secrets, desk.hear_async)
    with pytest.raises(BadSecret):
        verify_callback(secrets, signed(), BODY, NOW)


class Desk:
    """Keeps what it is handed, or fails."""

    def __init__(self) -> None:
        self.heard: list[CallbackEvent] = []
        self.error: Exception | None = None

    def hear(self, event: CallbackEvent) -> None:
        if self.error:
            raise self.error
        self.heard.append(event)

    async def hear_async(self, event: CallbackEvent) -> None:
        self.hear(event)


Post = Callable[..., Any]


def call_wsgi(
    desk: Desk, method: str, headers: dict[str, str], body: bytes, **environ: object
) -> tuple[int, dict[str, str]]:
    """As a WSGI server calls it."""
    answered: list[tuple[str, list[tuple[str, str]]]] = []
    names = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()}
    given: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        **names,
        **environ,
    }
    application = CallbackWSGI(NEW, desk.hear, lambda: NOW)
    told: Iterable[bytes] = application(given, lambda *answer: answered.append(answer))
    assert b"".join(told) == b""
    ((status, pairs),) = answered
    return int(status.split()[0]), dict(pairs)


async def call_asgi(
    desk: Desk, method: str, headers: dict[str, str], body: bytes
) -> tuple[int, dict[str, str]]:
    client = AsgiClient(CallbackASGI([NEW], desk.hear_async, lambda: NOW))
    answered = await client.call(method, "/placet", headers, body)
    if answered.error:
        raise answered.error
    return answered.status, answered.headers


@pytest.fixture(params=["wsgi", "asgi"])
def post(request: pytest.FixtureRequest) -> Post:
    async def call(desk: Desk, headers: dict[str, str], body: bytes, method: str = "POST") -> Any:  # noqa: ANN401 - status and headers
        if request.param == "wsgi":
            return call_wsgi(desk, method, headers, body)
        return await call_asgi(desk, method, headers, body)

    return call


async def test_an_application_hands_it_on_and_answers_204(post: Post) -> None:
    desk = Desk()
    assert (await post(desk, signed(), BODY))[0] == 204
    assert [event.seq for event in desk.heard] == [2]


async def test_an_application_refuses_what_is_not_placets(post: Post) -> None:
    desk = Desk()
    assert (await post(desk, signed(secrets=(OLD,)), BODY))[0] == 401
    assert (await post(desk, {}, b""))[0] == 401
    assert (await post(desk, signed(), b"\xff" * 100))[0] == 401
    huge = b"x" * (MOST_BYTES + 1)
    assert (await post(desk, signed(huge), huge))[0] == 413
    for method in ("GET", "PUT", "HEAD"):
        status, headers = await post(desk, signed(), BODY, method=method)
        assert (status, headers.get("Allow") or headers.get("allow")) == (405, "POST")
    assert desk.heard == []


async def test_what_its_service_raises_is_not_swallowed(post: Post) -> None:
    desk = Desk()
    desk.error = LookupError("the database is away")
    with pytest.raises(LookupError):
        await post(desk, signed(), BODY)


@pytest.mark.parametrize("length", ["", "-1", "1e3", "x", "٣"])
def test_wsgi_without_a_sound_length_reads_nothing(length: str) -> None:
    assert call_wsgi(Desk(), "POST", signed(), BODY, CONTENT_LENGTH=length)[0] == 401


def test_wsgi_reads_a_body_that_ends_by_itself() -> None:
    ended = {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}
    assert call_wsgi(Desk(), "POST", signed(), BODY, **ended)[0] == 204
    huge = b"x" * (MOST_BYTES + 1)
    assert call_wsgi(Desk(), "POST", signed(huge), huge, **ended)[0] == 413


async def test_asgi_takes_http_alone() -> None:
    async def never() -> dict[str, object]:
        raise AssertionError("asked")

    application = CallbackASGI(NEW, Desk().hear_async)
    with pytest.raises(ValueError, match="HTTP only"):
        await application({"type": "lifespan"}, never, lambda _: never())  # type: ignore[arg-type,return-value]  # never called


def test_in_flask() -> None:
    desk, app = Desk(), flask.Flask(__name__)

    @app.post("/own")
    def own() -> tuple[str, int]:
        try:
            event = verify_callback(NEW, flask.request.headers, flask.request.get_data(), NOW)
        except BadCallback:
            return "", 401
        desk.hear(event)
        return "", 204

    mounted = CallbackWSGI(NEW, desk.hear, lambda: NOW)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/placet": mounted})  # type: ignore[method-assign]  # as Flask's pages say
    client = app.test_client()
    for path in ("/own", "/placet"):
        assert client.post(path, data=BODY, headers=signed()).status_code == 204
        assert client.post(path, data=BODY + b" ", headers=signed()).status_code == 401
    assert len(desk.heard) == 2


async def test_in_fastapi() -> None:
    desk, app = Desk(), FastAPI()

    async def callback(request: Request) -> CallbackEvent:
        try:
            return verify_callback(NEW, request.headers, await request.body(), NOW)
        except BadCallback as error:
            raise HTTPException(401) from error

    async def own(event: CallbackEvent = Depends(callback)) -> None:
        desk.hear(event)

    app.add_api_route("/own", own, methods=["POST"], status_code=204)
    app.router.routes.append(Route("/placet", CallbackASGI(NEW, desk.hear_async, lambda: NOW)))
    client = AsgiClient(app)
    for path in ("/own", "/placet"):
        assert (await client.call("POST", path, signed(), BODY)).status == 204
        assert (await client.call("POST", path, signed(), BODY + b" ")).status == 401
    assert len(desk.heard) == 2
