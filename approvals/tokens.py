"""Grant tokens: a grant as a JWT (ES256) that others can verify without asking us.

A token proves that the grant was given, not that it still holds: that is known at redeem alone.
It may end up in a log, so it names no data subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from jwt.algorithms import ECAlgorithm
from pydantic import JsonValue

from approvals.model import ApprovalRequest, Decision, Grant
from approvals.signing_keys import ALGORITHM, SigningKeys

TYPE = "approval-grant+jwt"
MOST_LENGTH = 16 * 1024  # of a token, in characters
_NEEDED = ("iss", "aud", "sub", "jti", "iat", "nbf", "exp", "act", "rh", "use", "uses")

Claims = dict[str, JsonValue]


class BadToken(ValueError):
    """A token that proves nothing, and why. Never holds the token."""


class GrantTokens:
    """Signs tokens in the name of `issuer`, the URL that we are reached under."""

    def __init__(self, keys: SigningKeys, issuer: str) -> None:
        self.keys = keys
        self.issuer = issuer

    def token(self, request: ApprovalRequest, now: datetime) -> str | None:
        """A token of the request's grant, or None where it was taken back or its time is up.

        Made anew each time, and kept nowhere. A grant whose last use was just made has one too:
        what is being done then may have to be proved to others.
        """
        decision, grant = request.decision, request.grant
        if decision is None or grant is None or grant.status not in ("active", "used"):
            return None
        # Never longer than the grant's whole window: where the store's clock ran ahead, and is put
        # right later, the grant is over then, and a token cannot be called back.
        end = min(grant.expires_at, now + request.grant_ttl)
        # Rounded down, so that no token outlives its grant; one that never holds is not made.
        if _seconds(end) <= _seconds(now):
            return None
        claims = self._claims(request, decision, grant, now, end)
        signer = self.keys.signer
        headers = {"typ": TYPE, "kid": signer.kid}
        return jwt.encode(claims, signer.private, ALGORITHM, headers)

    def _claims(
        self,
        request: ApprovalRequest,
        decision: Decision,
        grant: Grant,
        now: datetime,
        end: datetime,
    ) -> Claims:
        requester, receipt = request.asked.requester, decision.receipt
        approvers: list[JsonValue] = [who.person for who in decision.by]
        claims: Claims = {
            "iss": self.issuer,
            "aud": request.service,
            "sub": requester.person or requester.id,
            "jti": grant.id,
            "iat": _seconds(now),
            "nbf": _seconds(now),
            "exp": _seconds(end),
            "act": request.asked.action,
            "rh": request.digest,
            "req": request.id,
            "pol": request.policy.version,
            "rule": request.policy.rule,
            "apr": approvers,
            "use": "single" if request.uses == 1 else "window",
            "uses": request.uses,
        }
        if receipt is not None:
            claims["rcpt"] = {"entry": receipt.entry, "mac": receipt.mac}
        return claims


def read_token(
    token: str,
    keys: SigningKeys | Mapping[str, JsonValue],
    *,
    audience: str,
    issuer: str,
    now: datetime,
    leeway: timedelta = timedelta(0),
) -> Claims:
    """The claims of a token for `audience` that holds at `now`. Raises `BadToken`.

    `keys` are ours, or the key set as published. `leeway` is for a clock that differs from ours.
    """
    if len(token) > MOST_LENGTH:
        raise BadToken("It is longer than any token of ours.")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise _invalid(error) from None
    key = _public_key(keys, header.get("kid"))
    try:
        # The algorithm is ours to choose: the header's word would let a public key be used as a
        # shared secret, or need no signature at all.
        claims: Claims = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=audience,
            issuer=issuer,
            options={
                "require": list(_NEEDED),
                "strict_aud": True,
                # Compared below, with the caller's time and not with this process's clock.
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise _invalid(error) from None
    if header.get("typ") != TYPE:
        raise BadToken("It is a token of another type.")
    _check_time(claims, now.timestamp(), leeway.total_seconds())
    return claims


def _invalid(error: Exception) -> BadToken:
    return BadToken(f"It is no valid token ({type(error).__name__}).")


def _check_time(claims: Claims, now: float, leeway: float) -> None:
    begin, end = claims["nbf"], claims["exp"]
    if type(begin) is not int or type(end) is not int:
        raise BadToken("Its times are no whole seconds.")
    if now + leeway < begin:
        raise BadToken("It is not valid yet.")
    if now - leeway >= end:
        raise BadToken("It has expired.")


def _public_key(keys: SigningKeys | Mapping[str, JsonValue], kid: object) -> EllipticCurvePublicKey:
    """The published key of that id, and no other."""
    published = keys.jwks() if isinstance(keys, SigningKeys) else keys
    found = published.get("keys")
    for each in found if isinstance(found, list) else []:
        if isinstance(each, dict) and kid is not None and each.get("kid") == kid:
            return _read(each)
    raise BadToken("Its key is not among the published ones.")


def _read(jwk: dict[str, JsonValue]) -> EllipticCurvePublicKey:
    if (jwk.get("kty"), jwk.get("crv")) != ("EC", "P-256"):
        raise BadToken("Its key is of another kind than ours.")
    try:
        key = ECAlgorithm.from_jwk(jwk)
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise _invalid(error) from None
    if not isinstance(key, EllipticCurvePublicKey):
        raise BadToken("Its key is not a public one.")
    return key


def _seconds(at: datetime) -> int:
    """Whole seconds of the epoch, rounded down."""
    return int(at.replace(microsecond=0).timestamp())
