"""Signing keys of grant tokens for tests: made anew in each run, so that none stands in a file."""

from __future__ import annotations

from approvals.signing_keys import SigningKey, SigningKeys
from approvals.tokens import GrantTokens

SIGNING_KEY = SigningKey.new().text()
ISSUER = "https://placet.example.com"


def grant_tokens(text: str = SIGNING_KEY) -> GrantTokens:
    return GrantTokens(SigningKeys.parse(text), ISSUER)
