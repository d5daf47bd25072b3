"""Where a client may call, and what it never shows or takes in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import httpx
import pytest

from approvals.client import AsyncPlacet, NotSendable, Placet
from approvals.client_steps import Wish
from tests.approvals.client.faces import WISH, Face
from tests.servers.fake_placet import API_KEY

FORBIDDEN = ("redis", "fastapi", "starlette", "apscheduler", "aiohttp", "pydantic", "yaml", "cel")


@pytest.mark.parametrize("client", [Placet, AsyncPlacet])
@pytest.mark.parametrize(
    "url",
    [
        "https://placet.example",
        "https://placet.example:8443/gate/",
        "http://127.0.0.1:8080",
        "http://127.8.8.8",
        "http://[::1]:8080",
        "http://localhost:8080/",
    ],
)
def test_https_anywhere_and_plain_http_on_this_machine(
    client: type[Placet | AsyncPlacet], url: str
) -> None:
    assert url.rstrip("/") in repr(client(url, API_KEY))


@pytest.mark.parametrize(
    "url",
    [
        "http://placet.example",
        "http://10.0.0.1",
        "http://localhost.example",
        "http://127.0.0.1.example",
        "ftp://127.0.0.1",
        "placet.example",
        "https://",
        "https://user:pass@placet.example",
        "https://placet.example?x=1",
        "https://placet.example/#x",
        "https://[::1",
        "https://placet.example:99999",
        "https://placet.example\x00",
        "",
    ],
)
def test_any_other_address_is_refused_and_not_told(url: str) -> None:
    with pytest.raises(NotSendable) as caught:
        Placet(url, API_KEY)
    assert not url or url not in str(caught.value)


@pytest.mark.parametrize("client", [Placet, AsyncPlacet])
def test_an_option_that_there_is_not_is_refused(client: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match="proxies"):
        client("https://placet.example", API_KEY, proxies="http://127.0.0.1:1")


def test_plain_http_elsewhere_when_told_so() -> None:
    assert "http://placet" in repr(Placet("http://placet.example", API_KEY, allow_http=True))


@pytest.mark.parametrize("key", ["", "a b", "é", "a\nb", "k" * 513])
def test_a_key_that_is_none_is_refused_and_not_told(key: str) -> None:
    with pytest.raises(NotSendable) as caught:
        Placet("https://placet.example", key)
    assert not key or key not in str(caught.value)


def test_a_path_of_the_address_is_kept() -> None:
    seen: list[str] = []

    def behind_a_prefix(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(404)

    client = Placet(
        "https://placet.example/gate/", API_KEY, transport=httpx.MockTransport(behind_a_prefix)
    )
    with pytest.raises(Exception, match="404"):
        client.show("req_1")
    assert seen == ["https://placet.example/gate/v1/requests/req_1"]


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACET_URL", "https://placet.example")
    monkeypatch.delenv("PLACET_API_KEY", raising=False)
    with pytest.raises(NotSendable, match="PLACET_API_KEY"):
        Placet.from_environment()
    monkeypatch.setenv("PLACET_API_KEY", API_KEY)
    with Placet.from_environment() as client:
        assert repr(client) == "Placet('https://placet.example')"


async def test_nothing_personal_is_in_a_repr() -> None:
    face = Face("sync")
    assert isinstance(face.client, Placet)
    request = face.client.request(**WISH)
    shown = repr([request, face.client, face.client.guard(**WISH), face.client._target])
    access = await face.guarded(lambda _: None)
    access.note = "dana@example.com"
    shown += repr([access, access.request, access.grant, access.request.grant])
    wish = Wish(WISH["action"], "okta:00u1", "why", "customer:1", {"email": "dana@example.com"})
    shown += repr(wish)
    for secret in (API_KEY, "dana@example.com", "customer:", "c2FsdA==", "ey.secret", "why"):
        assert secret not in shown


def test_no_proxy_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    client = Placet("https://placet.example", API_KEY)
    assert isinstance(client._driver._http, httpx.HTTPTransport)
    assert type(client._driver._http._pool).__name__ == "ConnectionPool"


@pytest.mark.parametrize("module", ["approvals.client", "approvals.callback_receiver"])
def test_a_service_takes_in_nothing_of_the_server(module: str) -> None:
    code = (
        f"import sys, {module}; "
        f"print(sorted({{m.partition('.')[0] for m in sys.modules}} & set({FORBIDDEN!r})))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert told.stdout.strip() == "[]"
