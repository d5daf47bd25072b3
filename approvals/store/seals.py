"""The seal of a record: a MAC over its bytes, its id and its version, whose key is not in Redis.

So whoever can write to Redis and no more makes no vote, no approval and no use of a grant: what
does not carry its seal is not read. It does not stop them from putting a whole record back as it
once was; that the audit shows, whose entries go on.
"""

from __future__ import annotations

import hmac

from approvals.signing import entry_mac
from approvals.store.scripts import UnreadableRecord

LENGTH = 22  # characters of base64url: 132 bits
_KIND = b"record\0"  # an entry begins with a brace: no seal is a MAC of one


class UnsealedRecord(UnreadableRecord):
    """Somebody wrote to the store, or another key did; nothing is decided on it."""


def with_seal(key: bytes, record: str, version: int, body: bytes) -> bytes:
    """`body` as it is stored: its seal as the record's `version`, then the bytes."""
    return _seal(key, record, version, body) + body


def without_seal(key: bytes, record: str, version: int, stored: bytes) -> bytes:
    """The body that is stored as the record's `version`. Raises `UnsealedRecord`."""
    seal, body = stored[:LENGTH], stored[LENGTH:]
    if not hmac.compare_digest(seal, _seal(key, record, version, body)):
        raise UnsealedRecord(
            "A record of the store does not carry Placet's seal, so nothing is decided on it. "
            "Ask an admin to look into the store."
        )
    return body


def _seal(key: bytes, record: str, version: int, body: bytes) -> bytes:
    mac = entry_mac(key, _KIND + f"{record}\0{version}\0".encode() + body)
    return mac[:LENGTH].encode()
