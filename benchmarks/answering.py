"""A server that answers at once with what is ready: what is left is the caller's own time.

Run as a process of its own, so that it shares no interpreter with what is measured.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import cast

REQUEST_ID, GRANT_ID = "req_" + "0" * 26, "grt_" + "0" * 26
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_AT = "2026-11-23T14:17:00.123Z"
_GRANT = {
    "id": GRANT_ID,
    "request_id": REQUEST_ID,
    "status": "active",
    "expires_at": _AT,
    "uses_left": 1,
    "receipt_due_at": None,
    "receipt": None,
    "token": "x" * 560,
}
_REQUEST = {
    "id": REQUEST_ID,
    "status": "approved",
    "delivery": "presented",
    "revision": 1,
    "service": "crm",
    "action": "customer.view",
    "requester": {"id": "okta:00u1"},
    "digest": "sha256:" + "0" * 64,
    "salt": "c2FsdHNhbHRzYWx0c2FsdA==",
    "created_at": _AT,
    "expires_at": _AT,
    "presented_at": _AT,
    "policy": {"version": "3f9a", "rule": "one-approver", "why": "Somebody else looks first"},
    "approvals": {"needed": 1, "given": 1},
    "context_ignored": [],
    "text_findings": [],
    "decision": {"outcome": "approved", "at": _AT, "by": [], "reason": None, "rule": "one"},
    "grant": _GRANT,
}


def _whole(told: object) -> bytes:
    body = json.dumps(told).encode()
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


_ASKED, _GRANTED = _whole(_REQUEST), _whole(_GRANT)


class _Connection(asyncio.Protocol):
    """One keep-alive connection; requests come one at a time."""

    def __init__(self) -> None:
        self._read = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remembers where to answer."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answers once a request is whole."""
        self._read += data
        head, end, body = self._read.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or (length and len(body) < int(length[1])) or self._transport is None:
            return
        self._transport.write(_GRANTED if b" /v1/grants/" in head else _ASKED)
        self._read = b""


async def main() -> None:
    """Says its port, and answers until it is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
