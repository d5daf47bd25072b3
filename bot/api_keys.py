"""API keys of services: `plc_<key id>_<secret>`, made here and stored nowhere but as a hash."""

from __future__ import annotations

import hashlib
import os
import zlib
from string import ascii_lowercase, ascii_uppercase, digits

_BASE_62 = digits + ascii_uppercase + ascii_lowercase
_SECRET_BYTES = 32
_SECRET_LENGTH = 43  # what 32 bytes need in base 62
_CHECK_LENGTH = 6  # what a CRC-32 needs: secret scanners tell a key from a look-alike by it


def new_api_key(key_id: str) -> str:
    """A fresh key: 256 random bits and their checksum, both in base 62."""
    secret = _base_62(int.from_bytes(os.urandom(_SECRET_BYTES), "big"), _SECRET_LENGTH)
    check = _base_62(zlib.crc32(secret.encode()), _CHECK_LENGTH)
    return f"plc_{key_id}_{secret}{check}"


def key_hash(key: str) -> str:
    """`sha256:<hex>` of the whole text of a key, as services.yaml holds it."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def _base_62(number: int, length: int) -> str:
    figures = ""
    for _ in range(length):
        number, figure = divmod(number, 62)
        figures = _BASE_62[figure] + figures
    return figures
