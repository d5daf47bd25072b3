"""Keys in, bytes out: callback signatures, audit MACs, keyed pseudonyms. Holds no key itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with
_ALIKE = 12  # hex digits: chance makes no two of a requester's pending requests alike
SECRET_BYTES = range(24, 65)  # Standard Webhooks 1.0: 24 to 64 random bytes


class BadSecret(ValueError):
    """A callback secret that is not `whsec_` and base64 of 24 to 64 bytes. Never holds the text."""


def callback_secret(text: str) -> bytes:
    """The key bytes of a `whsec_...` secret. Raises `BadSecret`."""
    if not text.startswith(SECRET_PREFIX):
        raise BadSecret(f"does not begin with {SECRET_PREFIX}")
    try:
        secret = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:  # binascii.Error, or text that is not ASCII
        raise BadSecret("is not base64 after its prefix") from None
    if len(secret) not in SECRET_BYTES:
        raise BadSecret("does not hold 24 to 64 bytes")
    return secret


def callback_signature(secrets: Sequence[bytes], event: str, timestamp: int, body: bytes) -> str:
    """`webhook-signature` of Standard Webhooks 1.0: one `v1` part per live secret.

    `timestamp` is the attempt's time in whole seconds; `body` are the exact bytes sent.
    """
    signed = f"{event}.{timestamp}.".encode() + body
    parts = (hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets)
    return " ".join("v1," + base64.b64encode(part).decode() for part in parts)


def entry_mac(key: bytes, entry: bytes) -> str:
    """HMAC-SHA256, as unpadded base64url, of an entry's canonical bytes without its `mac`."""
    mac = hmac.new(key, entry, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def keyed_hash(key: bytes, kind: str, value: str) -> str:
    """128 bits of HMAC-SHA256 as 32 hex digits: names a value in keys and entries, without it.

    A keyed hash, because a bare one of a phone number falls to a list in minutes. `kind` keeps
    the same value apart between uses.
    """
    message = f"{kind}\0{value}".encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:32]


class Marks:
    """Keyed hashes under the deployment's pseudonym key, one method per kind of value."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def subject(self, subject: str) -> str:
        """Names a data subject in lists and entries."""
        return keyed_hash(self._key, "subject", subject)

    def alone(self, request: str) -> str:
        """Names the key of a request's words that are about no data subject."""
        return keyed_hash(self._key, "alone", request)

    def requester(self, requester: str) -> str:
        """Names a requester in lists."""
        return keyed_hash(self._key, "requester", requester)

    def conduct(self, who: str) -> str:
        """Names whose receipts are counted."""
        return keyed_hash(self._key, "conduct", who)

    def approver(self, person: str) -> str:
        """Names who has voted, in lists."""
        return keyed_hash(self._key, "approver", person)

    def nonce(self, grant: str, nonce: str) -> str:
        """Names one use of a grant; the nonce is the caller's text and may hold anything."""
        return keyed_hash(self._key, f"nonce\0{grant}", nonce)

    def likeness(self, service: str, requester: str, digest: str) -> str:
        """Tells which requests of a requester ask the same; `digest` is of the action, unsalted."""
        return keyed_hash(self._key, "likeness", f"{service}\0{requester}\0{digest}")[:_ALIKE]

    def idempotency(self, key: str) -> str:
        """Names an idempotency key, which is the caller's text and may hold anything."""
        return keyed_hash(self._key, "idempotency", key)

    def body(self, body: bytes) -> str:
        """Tells whether two request bodies are the same bytes."""
        return hmac.new(self._key, b"body\0" + body, hashlib.sha256).hexdigest()[:32]

    def pseudonym(self, scope: str, field: str, value: str, *, is_global: bool = False) -> str:
        """`p_` and 40 bits: what people see in place of a value, equal within `scope`.

        64 bits where the scope is all there ever is: of a million values two would be one.
        """
        digits = 16 if is_global else 10
        return "p_" + keyed_hash(self._key, f"{scope}\0{field}", value)[:digits]
