"""Personal text under a key per data subject, so that forgetting them is deleting one key.

AES-256-GCM with a fresh nonce for every text. Bytes in, bytes out: knows no store and no request.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import zlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from approvals.model import Encrypted

_KEY_BYTES = 32
_ID_BYTES = 4  # tells the key of a text from one made after an erasure
_NONCE_BYTES = 12  # NIST SP 800-38D, 8.2.2: a random one of 96 bits
_WINDOW = -12  # raw deflate, 4 KiB back: the texts are short


class Undecipherable(Exception):
    """The key fits and the bytes do not: they were changed, moved, or never ours. Holds no text."""


class SubjectKey:
    """The key of one data subject. Never shown, and kept nowhere but wrapped."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._cipher = AESGCM(secret)
        self._id = hashlib.sha256(secret).digest()[:_ID_BYTES]

    @classmethod
    def new(cls) -> SubjectKey:
        """A fresh key."""
        return cls(os.urandom(_KEY_BYTES))

    def encrypt(self, text: str, place: str) -> Encrypted:
        """`text` for `place`: read back as standing elsewhere it is undecipherable.

        Base64url of the key's id, the nonce, and the ciphertext with its tag.
        """
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, _deflated(text.encode()), place.encode())
        return Encrypted(base64.urlsafe_b64encode(self._id + nonce + sealed).decode())

    def decrypt(self, text: Encrypted, place: str) -> str | None:
        """The text again; None where another key has made it. Raises `Undecipherable`."""
        try:
            held = base64.urlsafe_b64decode(text)
        except ValueError:
            raise Undecipherable from None
        made_by, rest = held[:_ID_BYTES], held[_ID_BYTES:]
        if not hmac.compare_digest(made_by, self._id):
            return None
        try:
            opened = self._cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError):
            raise Undecipherable from None
        return zlib.decompress(opened, _WINDOW).decode()

    def has_made(self, text: Encrypted) -> bool:
        """Whether it is this key that opens `text`."""
        try:
            return base64.urlsafe_b64decode(text)[:_ID_BYTES] == self._id
        except ValueError:
            return False

    def wrapped_by(self, cipher: AESGCM, name: str) -> bytes:
        """The key as it is kept under `name`."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + cipher.encrypt(nonce, self._secret, name.encode())


class WrappingKey:
    """The deployment's vault key: wraps the keys of subjects, which the store sees only so."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(hmac.new(key, b"placet wrapping", hashlib.sha256).digest())
        self.own = SubjectKey(hmac.new(key, b"placet own words", hashlib.sha256).digest())

    def wrap(self, key: SubjectKey, name: str) -> bytes:
        """`key` as it is kept under `name`."""
        return key.wrapped_by(self._cipher, name)

    def unwrap(self, wrapped: bytes, name: str) -> SubjectKey:
        """The key kept under `name`. Raises `Undecipherable`."""
        nonce, rest = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        try:
            return SubjectKey(self._cipher.decrypt(nonce, rest, name.encode()))
        except (InvalidTag, ValueError):
            raise Undecipherable from None


def _deflated(text: bytes) -> bytes:
    packing = zlib.compressobj(9, zlib.DEFLATED, _WINDOW, 5)
    return packing.compress(text) + packing.flush()
