"""A store out of reach: where it is, what happened and what to do, and no secret among it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.store_place import StoreOutOfReach, check_reach, fit_url, place_of
from tests.conftest import RealServer, start_real_server


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[RealServer]:
    server = start_real_server(tmp_path)
    yield server
    server.process.terminate()
    server.process.wait()


async def refusal(url: str) -> str:
    with pytest.raises(StoreOutOfReach) as refused:
        await check_reach(url)
    assert "hush" not in refused.value.detail
    return refused.value.detail


async def test_a_store_that_answers_is_within_reach(real_server: RealServer) -> None:
    await check_reach(real_server.url)


async def test_nobody_listens(tmp_path: Path) -> None:
    told = await refusal("redis://user:hush@127.0.0.1:1")
    assert told.startswith("The store at 127.0.0.1:1 cannot be reached (connection refused).")
    told = await refusal(f"unix://{tmp_path}/no.sock?password=hush")
    assert f"{tmp_path}/no.sock cannot be reached (no such file or directory)" in told


async def test_it_listens_and_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hung:
        told = await refusal(f"redis://127.0.0.1:{hung.getsockname()[1]}")
    assert "does not answer (timed out)" in told


async def _say_no(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"-ERR no TLS here\r\n")
    writer.close()


async def test_what_answers_there_speaks_no_tls() -> None:
    async with await asyncio.start_server(_say_no, "127.0.0.1", 0) as plain:
        port = plain.sockets[0].getsockname()[1]
        told = await refusal(f"rediss://127.0.0.1:{port}")
    assert f"The store at 127.0.0.1:{port} cannot be reached (TLS failed)." in told


async def test_it_has_no_such_database(guarded: RealServer) -> None:
    assert "has no such database" in await refusal(f"{guarded.url}?db=99")


@pytest.mark.parametrize("given", ["", "?password=hush", "?username=hush&password=hush"])
async def test_it_does_not_let_us_in(guarded: RealServer, given: str) -> None:
    async with Redis.from_url(guarded.url) as client:
        await client.config_set("requirepass", "the right one")
        assert "refuses us (authentication)" in await refusal(guarded.url + given)


async def test_its_user_may_do_nothing(guarded: RealServer) -> None:
    async with Redis.from_url(guarded.url) as client:
        await client.acl_setuser("hush", enabled=True, passwords=["+hush"], categories=["-@all"])
    told = await refusal(f"{guarded.url}?username=hush&password=hush")
    assert "refuses us (permission)" in told


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://u:p@store.example", "store.example:6379"),
        ("rediss://:p@[::1]:7000/3?x=y", "[::1]:7000"),
        ("unix:///run/a%20b.sock?password=p", "/run/a b.sock"),
    ],
)
def test_a_place_holds_no_secret(url: str, place: str) -> None:
    assert place_of(url) == place


@pytest.mark.parametrize("url", ["redis://host", "redis://host/", "redis://host/3", "unix:///s"])
def test_a_fit_url_stays_as_it_is(url: str) -> None:
    assert fit_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host",
        "redis://host/abc",
        "redis://host/٣",
        "redis://host/0/1",
        "redis://host?nonsense=1",
        "redis://host?db=many",
        "redis://host?socket_timeout=long",
    ],
)
def test_an_unfit_url_is_told_without_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"\.$") as unfit:
        fit_url(url)
    assert url.partition("host")[2] not in str(unfit.value) or url == "ftp://host"
