"""Grant tokens: what they say, and every way to forge or to stretch one that must fail."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import JsonValue

from approvals.model import (
    ApprovalRequest,
    DecidedBy,
    Decision,
    EntryReceipt,
    Grant,
    GrantStatus,
    PersonId,
    Requester,
    grant_id,
)
from approvals.signing_keys import SigningKey, SigningKeys
from approvals.tokens import MOST_LENGTH, TYPE, BadToken, Claims, GrantTokens, read_token
from tests.approvals.samples import NOW, asked, pending
from tests.signing import ISSUER

OLD, NEW, OTHER = SigningKey.new(), SigningKey.new(), SigningKey.new()
KEYS = SigningKeys((OLD,))
TOKENS = GrantTokens(KEYS, ISSUER)
ENDS = NOW + timedelta(minutes=10, milliseconds=-1)  # 14:27:00.122
SECOND = timedelta(seconds=1)


def approved(status: GrantStatus = "active", **changes: object) -> ApprovalRequest:
    request = pending()
    decision = Decision(
        outcome="approved",
        at=NOW,
        by=(DecidedBy(person=PersonId("anna"), via="console"),),
        receipt=EntryReceipt(entry=4, mac="bWFj"),
    )
    grant = Grant(id=grant_id(request.id), status=status, expires_at=ENDS, uses_left=1)
    return request.model_copy(
        update={"status": "approved", "decision": decision, "grant": grant, **changes}
    )


def made(request: ApprovalRequest | None = None, tokens: GrantTokens = TOKENS) -> str:
    token = tokens.token(request or approved(), NOW)
    assert token is not None
    return token


def read(
    token: str,
    keys: SigningKeys | dict[str, JsonValue] = KEYS,
    *,
    now: datetime = NOW,
    audience: str = "crm",
    issuer: str = ISSUER,
    leeway: timedelta = timedelta(0),
) -> Claims:
    return read_token(token, keys, audience=audience, issuer=issuer, now=now, leeway=leeway)


def part(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(header: dict[str, Any], claims: object, signature: bytes = b"") -> str:
    return f"{part(header)}.{part(claims)}.{part(signature)}"


def signed(claims: dict[str, Any], key: SigningKey = OLD, **header: object) -> str:
    return jwt.encode(claims, key.private, "ES256", {"typ": TYPE, "kid": key.kid, **header})


def claims(**changes: object) -> dict[str, Any]:
    return {**read(made()), **changes}


def test_a_token_of_a_clock_that_ran_ahead_holds_no_longer_than_any_grant_of_its_kind() -> None:
    ahead = timedelta(days=3650)
    request = approved()
    assert request.grant is not None
    grant = request.grant.model_copy(update={"expires_at": ENDS + ahead})
    token = made(request.model_copy(update={"grant": grant}))
    assert read(token)["exp"] == int((NOW + request.grant_ttl).timestamp())
    with pytest.raises(BadToken, match="expired"):
        read(token, now=NOW + request.grant_ttl)


def test_a_token_says_what_was_granted_to_whom_and_names_no_data_subject() -> None:
    request = approved()
    token = made(request)
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "typ": TYPE, "kid": OLD.kid}
    assert read(token) == {
        "iss": ISSUER,
        "aud": "crm",
        "sub": "jonas",
        "jti": "grt_1",
        "iat": 1795443420,
        "nbf": 1795443420,
        "exp": 1795444020,
        "act": "customer.view",
        "rh": request.digest,
        "req": "req_1",
        "pol": "3f9a",
        "rule": "one-approver",
        "apr": ["anna"],
        "use": "single",
        "uses": 1,
        "rcpt": {"entry": 4, "mac": "bWFj"},
    }
    text = base64.urlsafe_b64decode(token.split(".")[1] + "==").decode()
    assert "48213" not in text


def test_a_machine_acts_under_its_own_id() -> None:
    machine = Requester(id="robot:7", owner=PersonId("jonas"))
    assert read(made(approved(asked=asked(requester=machine))))["sub"] == "robot:7"


def test_several_uses_are_told() -> None:
    several = read(made(approved(uses=3)))
    assert (several["use"], several["uses"]) == ("window", 3)


def test_what_a_rule_approved_and_is_not_receipted_yet_has_no_person_and_no_receipt() -> None:
    told = read(made(approved(decision=Decision(outcome="approved", at=NOW))))
    assert told["apr"] == []
    assert "rcpt" not in told


@pytest.mark.parametrize("status", ["ended", "revoked"])
def test_a_grant_that_was_taken_back_gets_no_token(status: GrantStatus) -> None:
    assert TOKENS.token(approved(status), NOW) is None


def test_without_a_grant_or_after_its_last_whole_second_there_is_no_token() -> None:
    assert TOKENS.token(pending(), NOW) is None
    last = ENDS.replace(microsecond=0)
    assert TOKENS.token(approved(), last - SECOND) is not None
    for now in (last, ENDS, ENDS + SECOND):
        assert TOKENS.token(approved(), now) is None


def test_a_token_never_outlives_its_grant() -> None:
    end = read(made())["exp"]
    assert isinstance(end, int)
    assert end <= ENDS.timestamp()


def test_it_holds_from_its_time_to_before_its_end() -> None:
    token, end = made(), ENDS.replace(microsecond=0)
    assert read(token, now=NOW.replace(microsecond=0))
    assert read(token, now=end - timedelta(microseconds=1))
    with pytest.raises(BadToken, match="has expired"):
        read(token, now=end)
    with pytest.raises(BadToken, match="not valid yet"):
        read(token, now=NOW.replace(microsecond=0) - timedelta(microseconds=1))


def test_the_leeway_is_the_callers() -> None:
    token, leeway = made(), timedelta(seconds=30)
    end = ENDS.replace(microsecond=0)
    assert read(token, now=end + 29 * SECOND, leeway=leeway)
    assert read(token, now=NOW.replace(microsecond=0) - 30 * SECOND, leeway=leeway)
    with pytest.raises(BadToken, match="has expired"):
        read(token, now=end + 30 * SECOND, leeway=leeway)


def test_a_verifier_needs_the_published_set_alone() -> None:
    published = json.loads(json.dumps(KEYS.jwks()))
    assert read(made(), published) == read(made())


def test_an_old_key_is_accepted_while_it_is_published_and_not_after() -> None:
    token = made()
    assert read(token, SigningKeys((NEW, OLD)))
    with pytest.raises(BadToken, match="not among the published"):
        read(token, SigningKeys((NEW,)))


@pytest.mark.parametrize("wrong", [{"audience": "shop"}, {"issuer": "https://evil.example"}])
def test_a_token_for_somebody_else_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(BadToken):
        read(made(), **wrong)  # type: ignore[arg-type]  # both are text


def test_an_audience_beside_ours_is_refused() -> None:
    with pytest.raises(BadToken):
        read(signed(claims(aud=["crm", "shop"])))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256", "ES384", "ES256K"])
@pytest.mark.parametrize("signature", [b"", b"0" * 64])
def test_another_algorithm_is_refused(algorithm: str, signature: bytes) -> None:
    header = {"alg": algorithm, "typ": TYPE, "kid": OLD.kid}
    with pytest.raises(BadToken):
        read(forged(header, claims(), signature))


@pytest.mark.parametrize("form", ["pem", "raw", "jwk"])
def test_the_public_key_is_no_shared_secret(form: str) -> None:
    public = OLD.private.public_key()
    secret = {
        "pem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "raw": public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        "jwk": json.dumps(OLD.jwk()).encode(),
    }[form]
    content = f"{part({'alg': 'HS256', 'typ': TYPE, 'kid': OLD.kid})}.{part(claims())}"
    mac = hmac.new(secret, content.encode(), hashlib.sha256).digest()
    with pytest.raises(BadToken):
        read(f"{content}.{part(mac)}")


def test_another_key_is_refused_whatever_id_it_gives_itself() -> None:
    with pytest.raises(BadToken, match="not among the published"):
        read(signed(claims(), OTHER))
    with pytest.raises(BadToken, match="InvalidSignature"):
        read(signed(claims(), OTHER, kid=OLD.kid))
    with pytest.raises(BadToken):
        read(signed(claims(), OTHER, jwk=OTHER.jwk()))


@pytest.mark.parametrize("typ", ["JWT", "at+jwt", "", None])
def test_a_token_of_another_type_is_refused(typ: str | None) -> None:
    with pytest.raises(BadToken):
        read(signed(claims(), typ=typ))


def test_an_extension_that_must_be_understood_is_refused() -> None:
    with pytest.raises(BadToken):
        read(signed(claims(), crit=["http://example.com/strict"]))


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "jti", "iat", "nbf", "exp", "act", "rh"])
def test_a_token_without_one_of_its_claims_is_refused(claim: str) -> None:
    rest = {name: value for name, value in claims().items() if name != claim}
    with pytest.raises(BadToken):
        read(signed(rest))


@pytest.mark.parametrize("value", ["1795444020", 1795444020.5, True, None])
@pytest.mark.parametrize("claim", ["nbf", "exp"])
def test_times_are_whole_seconds(claim: str, value: object) -> None:
    with pytest.raises(BadToken):
        read(signed(claims(**{claim: value})))


@pytest.mark.parametrize("at", range(3))
def test_a_changed_token_is_refused(at: int) -> None:
    parts = made().split(".")
    changed = [*parts]
    changed[at] = changed[at][:-5] + ("A" if changed[at][-5] != "A" else "B") + changed[at][-4:]
    with pytest.raises(BadToken):
        read(".".join(changed))
    with pytest.raises(BadToken):
        read(".".join([parts[0], part(claims(act="users.export")), parts[2]]))


NESTED = b"[" * 5000
GARBAGE = [
    "", ".", "..", "...", "a.b.c", "\x00", "\ud800", "ü.ü.ü", part(b"\xff"), f"{part(NESTED)}.a.b",
    forged({"alg": "ES256", "typ": TYPE}, {}), forged({"alg": "ES256", "typ": TYPE, "kid": 7}, {}),
    forged({"alg": "ES256", "typ": TYPE, "kid": OLD.kid}, NESTED),
    forged({"alg": "ES256", "typ": TYPE, "kid": OLD.kid}, []),
    forged({"alg": "ES256", "typ": TYPE, "kid": OLD.kid, "b64": False}, {}),
]  # fmt: skip


@pytest.mark.parametrize("garbage", GARBAGE)
def test_what_is_no_token_is_refused(garbage: str) -> None:
    with pytest.raises(BadToken):
        read(garbage)


def test_signed_garbage_is_refused_as_well() -> None:
    for payload in (NESTED, b"[]", b"7", b"\xff", b'{"exp": ' + b"9" * 5000 + b"}"):
        token = jwt.PyJWS().encode(
            payload, OLD.private, "ES256", {"typ": TYPE, "kid": OLD.kid}
        )  # fmt: skip
        with pytest.raises(BadToken):
            read(token)


def test_what_is_huge_is_refused_unread() -> None:
    with pytest.raises(BadToken, match="longer than any"):
        read("a" * (MOST_LENGTH + 1))
    crowd = tuple(DecidedBy(person=PersonId("p" * 64), via="slack") for _ in range(100))
    many = approved(decision=Decision(outcome="approved", at=NOW, by=crowd))
    assert len(made(many)) < MOST_LENGTH


@pytest.mark.parametrize(
    "changes",
    [
        {"kty": "oct", "k": "c2VjcmV0"},
        {"crv": "P-384"},
        {"x": 7},
        {"x": "AA"},
        {"y": OTHER.jwk()["y"]},
        {"d": "AA"},
    ],
)
def test_a_published_key_of_another_kind_verifies_nothing(changes: dict[str, JsonValue]) -> None:
    with pytest.raises(BadToken):
        read(made(), {"keys": ["none", {**OLD.jwk(), **changes}]})


@pytest.mark.parametrize("published", [{}, {"keys": None}, {"keys": []}, {"keys": [{}]}])
def test_a_set_without_the_key_verifies_nothing(published: dict[str, JsonValue]) -> None:
    with pytest.raises(BadToken, match="not among the published"):
        read(made(), published)


def test_a_refusal_never_holds_the_token() -> None:
    token = made()
    with pytest.raises(BadToken) as caught:
        read(token, audience="shop")
    assert not any(piece in repr(caught.value) for piece in token.split("."))
