"""A service over HTTP that acts on grants, and configurations that stand in its way."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from approvals.policy.loader import Configuration, load_configuration
from tests.bot.web.conftest import Web
from tests.configurations import POLICY, write_configuration
from tests.conftest import BEN, CLI
from tests.servers.asgi_client import Answered
from tests.stories.telling import set_store_time

# What the report that `tests/configurations.py` approves at once is about.
ACT: dict[str, Any] = {
    "action": "report.read",
    "subject": "customer:48213",
    "params": {"email": "dana@example.com"},
}
RECEIPT = {"records": 1, "outcome": "succeeded"}


def configured(policy: str) -> Configuration:
    """The configuration of the tests with another policy."""
    with tempfile.TemporaryDirectory(prefix="placet-test-") as folder:
        write_configuration(Path(folder), policy=policy)
        return load_configuration(Path(folder))


def denying() -> Configuration:
    """Nothing is allowed any more."""
    rule = "rules:\n  - {id: closed, then: {decision: deny, say: The desk is closed}}\n"
    return configured(POLICY.replace("rules:\n", rule))


def with_uses(uses: int) -> Configuration:
    """Reports may be read so often on one approval."""
    return configured(POLICY.replace("{decision: approve,", f"{{decision: approve, uses: {uses},"))


def holding(*attributes: str) -> Configuration:
    """What must hold for reports between approval and redeem."""
    held = f"{{decision: approve, must_hold: [{', '.join(attributes)}],"
    return configured(POLICY.replace("{decision: approve,", held))


async def granted(web: Web, **changes: object) -> dict[str, Any]:
    """A request that a rule approves at once."""
    return await web.opened(action="report.read", **changes)


def grant_path(request: Mapping[str, Any], call: str = "") -> str:
    """Where the grant of a request is called."""
    return f"/v1/grants/{request['grant']['id']}{call}"


async def redeem(
    web: Web,
    request: Mapping[str, Any],
    nonce: str = "n1",
    *,
    service: str = "crm",
    but: Mapping[str, object] | None = None,
) -> Answered:
    """The service acts; a change of None leaves the member out."""
    sent = {"nonce": nonce, **ACT, **(but or {})}
    body = {name: value for name, value in sent.items() if value is not None}
    return await web.client.post(grant_path(request, "/redeem"), body, web.auth(service))


async def receipt(web: Web, request: Mapping[str, Any], **changes: object) -> Answered:
    """The service says what it did."""
    return await web.client.post(grant_path(request, "/receipt"), RECEIPT | changes, web.auth())


async def end(web: Web, request: Mapping[str, Any]) -> Answered:
    """The service gives the grant back."""
    return await web.client.call("DELETE", grant_path(request), web.auth())


async def used(web: Web) -> dict[str, Any]:
    """A request whose grant has been used."""
    request = await granted(web)
    assert (await redeem(web, request)).status == 200
    return request


async def ended(web: Web) -> dict[str, Any]:
    """A request whose grant its service has given back."""
    request = await granted(web)
    assert (await end(web, request)).status == 200
    return request


async def revoked(web: Web) -> dict[str, Any]:
    """A request whose grant an admin has taken back."""
    request = await granted(web)
    await web.placet.service.grants.revoke(request["id"], BEN, CLI)
    return request


async def expired(web: Web) -> dict[str, Any]:
    """A request whose grant's time is up by the store's time, and seen by no worker yet."""
    request = await granted(web, grant_ttl=1)
    grant = (await web.placet.service.card_facts(request["id"])).grant
    assert grant is not None
    await set_store_time(web.placet, grant.expires_at + timedelta(milliseconds=1))
    return request


def body_of(call: str) -> bytes:
    """A body in order for `redeem` or `receipt`."""
    return json.dumps({"nonce": "n1", **ACT} if call == "redeem" else RECEIPT).encode()
