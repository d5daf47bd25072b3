"""Canonical JSON (RFC 8785) and the digest that binds a grant to exactly one action."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

import rfc8785
from pydantic import JsonValue

from approvals.errors import Finding, InvalidRequest


def canonical(value: JsonValue) -> bytes:
    """RFC 8785 bytes of `value`. Raises `rfc8785.CanonicalizationError` for what it cannot hold."""
    return rfc8785.dumps(value)


def action_digest(
    *,
    action: str,
    subject: str | None,
    params: Mapping[str, JsonValue] | None,
    salt: str | None,
) -> str:
    """`sha256:<hex>` over the canonical form of the four members, absent ones left out.

    Raises `InvalidRequest` at `/params` for numbers that RFC 8785 cannot hold (integers beyond
    2**53, infinities).
    """
    members = {"action": action, "subject": subject, "params": params, "salt": salt}
    present = {name: value for name, value in members.items() if value is not None}
    try:
        text = canonical(present)  # type: ignore[arg-type]  # a Mapping of JSON is JSON
    except rfc8785.CanonicalizationError:
        message = "holds a number beyond what JSON can carry exactly (RFC 8785); send it as text"
        raise InvalidRequest([Finding("/params", message)]) from None
    return "sha256:" + hashlib.sha256(text).hexdigest()


def digest_of_words(words: str) -> str:
    """SHA-256 as unpadded base64url: binds the log to encrypted words that it does not hold."""
    found = hashlib.sha256(words.encode()).digest() if words else b""
    return base64.urlsafe_b64encode(found).rstrip(b"=").decode()
