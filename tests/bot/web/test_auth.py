"""Who is let in, and which address they are said to have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from starlette.requests import Request

from approvals.errors import Unauthorized
from approvals.model import Caller
from approvals.policy.loader import Configuration, load_configuration
from bot.web.auth import Authenticator
from tests.bot.web.conftest import Web
from tests.configurations import API_KEY, ask, write_configuration

CRM = API_KEY["crm"]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)

REFUSED = {
    "none": [],
    "empty": [""],
    "another scheme": [f"Basic {CRM}"],
    "no scheme": [CRM],
    "a lower-case scheme with two spaces": [f"bearer  {CRM}"],
    "an unknown key": [f"Bearer plc_nobody_{'c' * 49}"],
    "a wrong secret": [f"Bearer {CRM[:-1]}x"],
    "another service's secret": [f"Bearer plc_crm-1_{'b' * 49}"],
    "cut off": [f"Bearer {CRM[:-1]}"],
    "more behind it": [f"Bearer {CRM} x"],
    "a newline behind it": [f"Bearer {CRM}\n"],
    "two of them": [f"Bearer {CRM}", f"Bearer {CRM}"],
    "far too long": [f"Bearer plc_crm-1_{'c' * 10_000}"],
    "not ASCII": ["Bearer plc_crm-1_" + "\xe9" * 49],
    "no key id": [f"Bearer plc__{'c' * 49}"],
}


@pytest.mark.parametrize("values", REFUSED.values(), ids=REFUSED.keys())
async def test_a_wrong_key_is_refused_and_leaves_no_trace(web: Web, values: list[str]) -> None:
    reference = await web.client.post("/v1/requests", ask(), {})
    headers = [("Authorization", value) for value in values]
    answered = await web.client.call("POST", "/v1/requests", headers, b"{}")
    await web.assert_refused(answered, 401, "unauthorized")
    assert answered.headers["www-authenticate"] == "Bearer"
    # No hint which of them exists.
    assert (answered.body, answered.headers) == (reference.body, reference.headers)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/v1/requests"),
        ("GET", "/v1/requests"),
        ("GET", f"/v1/requests/req_{'0' * 26}"),
        ("GET", f"/v1/requests/req_{'0' * 26}?wait=60"),
        ("DELETE", f"/v1/requests/req_{'0' * 26}"),
    ],
)
async def test_every_call_needs_a_key(web: Web, method: str, target: str) -> None:
    answered = await web.client.call(method, target)
    await web.assert_refused(answered, 401, "unauthorized")


def authenticator(
    configuration: Configuration, *networks: str, now: datetime = NOW
) -> Authenticator:
    trusted = [ip_network(network) for network in networks]
    return Authenticator(lambda: configuration, trusted, lambda: now)


def request_from(peer: str | None, *forwarded: str, key: str = CRM) -> Request:
    headers = [(b"authorization", f"Bearer {key}".encode())]
    headers += [(b"x-forwarded-for", value.encode()) for value in forwarded]
    client = (peer, 50000) if peer is not None else None
    return Request({"type": "http", "headers": headers, "client": client})


def caller(configuration: Configuration) -> Caller:
    return authenticator(configuration).caller(request_from("192.0.2.7"))


def test_the_right_key_names_service_key_and_address(configuration: Configuration) -> None:
    found = caller(configuration)
    assert (found.service, found.key_id, found.address) == ("crm", "crm-1", "192.0.2.7")


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR"])
def test_the_scheme_may_be_written_in_any_case(configuration: Configuration, scheme: str) -> None:
    request = request_from("192.0.2.7")
    request.scope["headers"] = [(b"authorization", f"{scheme} {CRM}".encode())]
    assert authenticator(configuration).caller(request).service == "crm"


def test_a_key_ends_with_its_day(tmp_path: Path) -> None:
    write_configuration(tmp_path)
    services = tmp_path / "services.yaml"
    ending = services.read_text().replace("{id: crm-1,", f"{{id: crm-1, not_after: {NOW:%FT%TZ},")
    services.write_text(ending)
    configuration = load_configuration(tmp_path)
    now = authenticator(configuration)
    later = authenticator(configuration, now=NOW + timedelta(seconds=1))
    assert now.caller(request_from("192.0.2.7")).service == "crm"
    with pytest.raises(Unauthorized) as late:
        later.caller(request_from("192.0.2.7"))
    with pytest.raises(Unauthorized) as wrong:
        now.caller(request_from("192.0.2.7", key=CRM[:-1] + "x"))
    assert late.value.detail == wrong.value.detail


PROXY = "10.0.0.0/8"
ADDRESSES = [
    # peer, trusted, X-Forwarded-For, the address that counts
    ("192.0.2.7", [], ["198.51.100.1"], "192.0.2.7"),
    ("192.0.2.7", [PROXY], ["198.51.100.1"], "192.0.2.7"),
    ("10.0.0.1", [PROXY], [], "10.0.0.1"),
    ("10.0.0.1", [PROXY], ["198.51.100.1"], "198.51.100.1"),
    ("10.0.0.1", [PROXY], ["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
    ("10.0.0.1", [PROXY], ["203.0.113.9, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
    ("10.0.0.1", [PROXY], ["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
    ("10.0.0.1", [PROXY], ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
    ("10.0.0.1", [PROXY], ["198.51.100.1, unknown"], "10.0.0.1"),
    ("10.0.0.1", [PROXY], ["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2"),
    ("10.0.0.1", [PROXY], ["10.0.0.1<script>"], "10.0.0.1"),
    ("10.0.0.1", [PROXY], ["fe80::1%Dana Weiss"], "10.0.0.1"),
    ("::ffff:10.0.0.1", [PROXY], ["::ffff:198.51.100.1"], "198.51.100.1"),
    ("fd00::1", ["fd00::/8"], ["2001:db8::5"], "2001:db8::5"),
    (None, [PROXY], ["198.51.100.1"], ""),
]


@pytest.mark.parametrize(("peer", "trusted", "forwarded", "address"), ADDRESSES)
def test_only_trusted_proxies_say_who_called(
    configuration: Configuration,
    peer: str | None,
    trusted: list[str],
    forwarded: list[str],
    address: str,
) -> None:
    request = request_from(peer, *forwarded)
    assert authenticator(configuration, *trusted).caller(request).address == address


async def test_a_key_that_lets_somebody_in_is_noted_and_no_other(web: Web) -> None:
    uses = web.placet.store.key_uses
    await web.client.get("/v1/requests", {"Authorization": f"Bearer {CRM[:-1]}x"})
    await uses.close()
    assert await uses.all() == {}
    await web.get("/v1/requests")
    await uses.close()
    assert list(await uses.all()) == ["crm-1"]


async def test_that_a_use_cannot_be_noted_hinders_no_call(web: Web) -> None:
    async with web.placet.engine.client() as client:
        await client.set(web.placet.store.keys.keys_used, "somebody else's")
    assert (await web.get("/v1/requests")).status == 200
    await web.placet.store.key_uses.close()
