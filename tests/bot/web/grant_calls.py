"""Each problem that the calls about grants may be answered, provoked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from bot.web import body
from tests.bot.web.conftest import Web
from tests.granting import (
    denying,
    end,
    ended,
    expired,
    granted,
    holding,
    receipt,
    redeem,
    revoked,
    used,
)
from tests.limiting import refusing
from tests.servers.asgi_client import Answered

Call = tuple[str, str]
Provoke = Callable[[Web], Awaitable[Answered]]
NOBODYS = "grt_" + "0" * 26
REDEEM = ("post", "/v1/grants/{grant_id}/redeem")
RECEIPT = ("post", "/v1/grants/{grant_id}/receipt")
END = ("delete", "/v1/grants/{grant_id}")


def called(of: Call, content: bytes = b"", headers: Mapping[str, str] | None = None) -> Provoke:
    """A call of a grant that is nobody's."""
    method, path = of

    async def provoke(web: Web) -> Answered:
        sent = {"Content-Type": "application/json"} if content else {}
        target = path.replace("{grant_id}", NOBODYS)
        everything = web.auth() | sent | dict(headers or {})
        return await web.client.call(method.upper(), target, everything, content)

    return provoke


def slowly(of: Call) -> Provoke:
    async def provoke(web: Web) -> Answered:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"{"
            raise TimeoutError  # as when the time for reading is up

        headers = web.auth() | {"Content-Type": "application/json"}
        target = of[1].replace("{grant_id}", NOBODYS)
        return await web.client.call("POST", target, headers, chunks())

    return provoke


def after(
    before: Callable[[Web], Awaitable[dict[str, Any]]],
    act: Callable[[Web, dict[str, Any]], Awaitable[Answered]],
) -> Provoke:
    async def provoke(web: Web) -> Answered:
        return await act(web, await before(web))

    return provoke


async def again(web: Web, request: dict[str, Any]) -> Answered:
    return await redeem(web, request, "n2")


async def another(web: Web, request: dict[str, Any]) -> Answered:
    return await redeem(web, request, but={"subject": "customer:48214"})


async def under_a_new_rule(web: Web, request: dict[str, Any]) -> Answered:
    web.placet.service.configuration = denying()
    return await redeem(web, request)


async def twice(web: Web, request: dict[str, Any]) -> Answered:
    await receipt(web, request)
    return await receipt(web, request)


async def elsewhere(web: Web) -> Answered:
    web.placet.service.configuration = holding("geo.country")
    request = await granted(web, context={"geo.country": "DE"})
    return await redeem(web, request, but={"context": {"geo.country": "FR"}})


async def with_a_secret(web: Web, request: dict[str, Any]) -> Answered:
    return await receipt(web, request, note="The key is AKIAQWERTYUIOPASDFGH")


async def with_personal_data(web: Web, request: dict[str, Any]) -> Answered:
    web.placet.service.configuration = refusing(web.placet.service.configuration)
    return await receipt(web, request, note="Sent to dana@example.org")


def of_bodies(of: Call) -> dict[str, Provoke]:
    bearer = {"Authorization": "Bearer plc_crm-1_wrong"}
    return {
        "unauthorized": called(of, headers=bearer),
        "malformed-json": called(of, b"{"),
        "not-json": called(of, b"{}", {"Content-Type": "text/plain"}),
        "body-too-large": called(of, b"x" * (body.MAX_BYTES + 1)),
        "request-timeout": slowly(of),
        "invalid-request": called(of, b"{}"),
    }


OVER = {
    "grant-used": used, "grant-expired": expired, "grant-ended": ended, "grant-revoked": revoked,
}  # fmt: skip
PROVOKED: dict[Call, dict[str, Provoke]] = {
    REDEEM: {
        **of_bodies(REDEEM),
        "not-found": called(REDEEM, b'{"nonce": "n1", "action": "report.read"}'),
        **{slug: after(before, again) for slug, before in OVER.items()},
        "digest-mismatch": after(granted, another),
        "context-changed": elsewhere,
        "denied-by-policy": after(granted, under_a_new_rule),
    },
    RECEIPT: {
        **of_bodies(RECEIPT),
        "not-found": called(RECEIPT, b'{"records": 1, "outcome": "failed"}'),
        "not-redeemed": after(granted, receipt),
        "receipt-exists": after(used, twice),
        "secret-found": after(used, with_a_secret),
        "personal-data-found": after(used, with_personal_data),
    },
    END: {
        "unauthorized": called(END, headers={"Authorization": "Bearer plc_crm-1_wrong"}),
        "not-found": called(END),
        **{slug: after(before, end) for slug, before in OVER.items()},
    },
}
