"""Who calls: an API key proves a service, and the address is what Placet itself sees.

Every failure has the same answer, so that nobody learns which keys exist.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.requests import Request

from approvals.errors import Unauthorized
from approvals.model import Caller, KeyId
from approvals.policy.loader import Configuration

_BEARER = re.compile(r"(?i:Bearer) (plc_([a-z0-9-]{1,40})_[0-9A-Za-z]{16,128})")
_NOBODYS_HASH = "sha256:" + hashlib.sha256(b"").hexdigest()
_REFUSAL = (
    "Send a valid API key as `Authorization: Bearer plc_<key id>_<secret>`; "
    "`placet key new SERVICE` makes one."
)

Address = IPv4Address | IPv6Address


Noted = Callable[[KeyId, datetime], None]


def wall_clock() -> datetime:
    """The time by which API keys run out. Decisions go by the store's time, never by this."""
    return datetime.now(UTC)


class Authenticator:
    """Finds out who sent a request. `configuration` is asked each time: it may be reloaded.

    `noted` is told of every key that lets somebody in.
    """

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        trusted_proxies: Sequence[IPv4Network | IPv6Network] = (),
        now: Callable[[], datetime] = wall_clock,
        noted: Noted | None = None,
    ) -> None:
        self._configuration = configuration
        self._trusted = tuple(trusted_proxies)
        self._now = now
        self._noted = noted

    def caller(self, request: Request) -> Caller:
        """The caller. Raises `Unauthorized`, the same for every reason."""
        given = request.headers.getlist("authorization")
        bearer = _BEARER.fullmatch(given[0]) if len(given) == 1 else None
        if bearer is None:
            raise Unauthorized(_REFUSAL)
        found = self._configuration().services.key(KeyId(bearer[2]))
        known = found[1].hash if found else _NOBODYS_HASH
        # Compared for unknown ids as well, and in constant time: the answer's time tells nothing.
        digest = "sha256:" + hashlib.sha256(bearer[1].encode()).hexdigest()
        is_right = hmac.compare_digest(digest, known)
        if found is None or not is_right:
            raise Unauthorized(_REFUSAL)
        service, key = found
        now = self._now()
        if key.not_after is not None and now > key.not_after:
            raise Unauthorized(_REFUSAL)
        if self._noted is not None:
            self._noted(KeyId(key.id), now)
        return Caller(service=service.id, key_id=KeyId(key.id), address=self.address(request))

    def address(self, request: Request) -> str:
        """The peer's address, or what trusted proxies say of it: the right-most untrusted hop."""
        peer = request.client.host if request.client else ""
        if not self._trusted:
            return peer
        hops = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
        address = _parsed(peer)
        # What stands left of an untrusted hop was written by that hop: it may claim anything.
        while address is not None and self._is_trusted(address) and hops:
            before = _parsed(hops.pop())
            if before is None:
                break
            address = before
        return peer if address is None else str(address)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _parsed(text: str) -> Address | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    # A zone id may be any text, and the address goes into the audit's clear part.
    return None if address.scope_id else address.ipv4_mapped or address
