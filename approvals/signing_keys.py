"""The keys that sign grant tokens: read from PEM, published as JWKS, rotated. Knows no file.

The first key signs, all are published. A key that has stopped signing carries a line above its
block that says since when, so that a rotation tells it from the next one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import JsonValue

ALGORITHM = "ES256"
MOST_KEYS = 4  # the one that signs, the next, and some that are on their way out
MAKE_ONE = (
    "Make one with `openssl ecparam -genkey -name prime256v1 -noout`; "
    "`placet key rotate` prints one too."
)
_KEEP = "Keep only blocks from their BEGIN to their END line, with real line breaks."
_UNTIL = "# signed until "
_BLOCK = re.compile(
    rf"(?:^{_UNTIL}(?P<until>[^\n]*)\n)?"
    r"(?P<pem>^-----BEGIN (?P<label>[A-Z0-9 ]{1,40})-----\n"
    r"(?:(?!-----).)*^-----END (?P=label)-----$)",
    re.MULTILINE | re.DOTALL,
)
_PRIVATE = frozenset({"PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", "DSA PRIVATE KEY"})


class BadSigningKeys(ValueError):
    """A text that holds no usable keys: what is wrong and the remedy, never the text."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}. {remedy}")
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key. `kid` is its RFC 7638 thumbprint; `signed_until` is set once another one signs."""

    kid: str
    private: EllipticCurvePrivateKey = field(repr=False)
    pem: str = field(repr=False)
    signed_until: datetime | None = None

    @classmethod
    def of(cls, private: EllipticCurvePrivateKey, pem: str) -> SigningKey:
        """The key with its thumbprint."""
        # These four members in this order, without white space, are what RFC 7638 hashes.
        text = json.dumps(_numbers(private), separators=(",", ":"), sort_keys=True)
        return cls(_base64url(hashlib.sha256(text.encode()).digest()), private, pem)

    @classmethod
    def new(cls) -> SigningKey:
        """A random key."""
        private = generate_private_key(SECP256R1())
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return cls.of(private, pem.decode().strip())

    def jwk(self) -> dict[str, JsonValue]:
        """Its public part, as RFC 7517 has it."""
        return {**_numbers(self.private), "kid": self.kid, "alg": ALGORITHM, "use": "sig"}

    def text(self) -> str:
        """Its block, with the line above it."""
        until = f"{_UNTIL}{self.signed_until.isoformat()}\n" if self.signed_until else ""
        return f"{until}{self.pem}\n"


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """One to four keys, each once."""

    keys: tuple[SigningKey, ...]

    @classmethod
    def parse(cls, text: str) -> SigningKeys:
        """The keys of PEM blocks; lines that begin with # may stand between. `BadSigningKeys`."""
        text = text.replace("\r\n", "\n")
        blocks = list(_BLOCK.finditer(text))
        others = [line.strip() for line in _BLOCK.sub("", text).splitlines()]
        if any(line and not line.startswith("#") for line in others):
            raise BadSigningKeys("holds something else than whole PEM blocks", _KEEP)
        if not blocks:
            raise BadSigningKeys("holds no key", MAKE_ONE)
        if len(blocks) > MOST_KEYS:
            remedy = "Remove those that have stopped signing for an hour, from the last one on."
            raise BadSigningKeys(f"holds more than {MOST_KEYS} keys", remedy)
        keys = tuple(_key(f"block {at}", block) for at, block in enumerate(blocks, 1))
        _check_distinct(keys)
        return cls(keys)

    @property
    def signer(self) -> SigningKey:
        """The key that signs."""
        return self.keys[0]

    @property
    def next(self) -> SigningKey | None:
        """The key that is published, and has not signed yet."""
        return next((key for key in self.keys[1:] if key.signed_until is None), None)

    def jwks(self) -> dict[str, JsonValue]:
        """The key set for verifiers (RFC 7517), public parts only."""
        return {"keys": [key.jwk() for key in self.keys]}

    def text(self) -> str:
        """The text that `parse` reads."""
        return "".join(key.text() for key in self.keys)


def _key(place: str, block: re.Match[str]) -> SigningKey:
    key = SigningKey.of(_private(place, block["label"], block["pem"]), block["pem"])
    if block["until"] is None:
        return key
    return SigningKey(key.kid, key.private, key.pem, _moment(place, block["until"]))


def _private(place: str, label: str, pem: str) -> EllipticCurvePrivateKey:
    if "ENCRYPTED" in pem:  # in the label, or in a header of the older form
        remedy = "Decrypt it with `openssl pkey`; its file is protected by mode 0600."
        raise BadSigningKeys(f"{place} is encrypted", remedy)
    if label not in _PRIVATE:
        raise BadSigningKeys(f"{place} is no private key", "Remove it, or put its private key.")
    try:
        private = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadSigningKeys(f"{place} cannot be read", MAKE_ONE) from None
    if not isinstance(private, EllipticCurvePrivateKey):
        raise BadSigningKeys(f"{place} is no EC key", MAKE_ONE)
    if not isinstance(private.curve, SECP256R1):
        raise BadSigningKeys(f"{place} is on another curve than P-256", MAKE_ONE)
    return private


def _moment(place: str, text: str) -> datetime:
    remedy = f"Write it as {_UNTIL}2026-11-23T14:17:00+00:00, or remove that line."
    unfit = BadSigningKeys(f"the line above {place} does not say until when it signed", remedy)
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise unfit
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise unfit from None


def _check_distinct(keys: tuple[SigningKey, ...]) -> None:
    first: dict[str, int] = {}
    for at, key in enumerate(keys, 1):
        if first.setdefault(key.kid, at) != at:
            message = f"block {at} is the same key as block {first[key.kid]}"
            raise BadSigningKeys(message, "Remove one of the two.")


def _numbers(private: EllipticCurvePrivateKey) -> dict[str, JsonValue]:
    point = private.public_key().public_numbers()
    x, y = (_base64url(number.to_bytes(32, "big")) for number in (point.x, point.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
