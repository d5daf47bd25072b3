"""Signatures and keyed hashes, by known answers and by a verifier that is not ours."""

from __future__ import annotations

import base64
import time

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from approvals.signing import (
    BadSecret,
    Marks,
    callback_secret,
    callback_signature,
    entry_mac,
    keyed_hash,
)

KEY = b"k" * 32
MARKS = Marks(KEY)
# The example of the Standard Webhooks specification.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EXAMPLE = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

EVENT = "evt_req_01K_1"
BODY = '{"type":"request.approved","größe":"\u2028🧑‍⚖️"}'.encode()
NEW, OLD = "whsec_" + "QUJD" * 8, "whsec_" + "eHl6" * 16


def headers(*secrets: str, at: int | None = None) -> dict[str, str]:
    at = at or int(time.time())
    keys = [callback_secret(secret) for secret in secrets]
    return {
        "webhook-id": EVENT,
        "webhook-timestamp": str(at),
        "webhook-signature": callback_signature(keys, EVENT, at, BODY),
    }


def test_the_example_of_the_specification_has_its_signature() -> None:
    assert callback_signature([callback_secret(SECRET)], *EXAMPLE) == SIGNATURE


@pytest.mark.parametrize("secret", [NEW, OLD])
def test_the_public_library_verifies_either_of_two_live_secrets(secret: str) -> None:
    Webhook(secret).verify(BODY.decode(), headers(NEW, OLD))


def test_the_public_library_refuses_what_was_changed() -> None:
    signed = headers(NEW)
    changes = [
        (BODY.decode() + " ", signed),
        (BODY.decode(), signed | {"webhook-id": "evt_req_01K_2"}),
        (BODY.decode(), signed | {"webhook-timestamp": str(int(time.time()) - 1)}),
        (BODY.decode(), headers(OLD)),
        (BODY.decode(), headers(NEW, at=int(time.time()) - 3600)),
    ]
    for body, sent in changes:
        with pytest.raises(WebhookVerificationError):
            Webhook(NEW).verify(body, sent)


def test_there_is_one_part_for_each_live_secret() -> None:
    parts = headers(NEW, OLD)["webhook-signature"].split(" ")
    assert len(parts) == 2
    assert all(part.startswith("v1,") for part in parts)
    assert headers(NEW, at=1)["webhook-signature"] != headers(OLD, at=1)["webhook-signature"]


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_secret_of_24_to_64_bytes_is_taken(size: int) -> None:
    text = "whsec_" + base64.b64encode(b"s" * size).decode()
    assert callback_secret(text) == b"s" * size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        base64.b64encode(b"s" * 32).decode(),
        "whsec_" + base64.b64encode(b"s" * 23).decode(),
        "whsec_" + base64.b64encode(b"s" * 65).decode(),
        "whsec_" + base64.b64encode(b"s" * 32).decode()[:-1],
        "whsec_" + "not base64 at all, this is prose",
        "whsec_" + "ä" * 32,
        "WHSEC_" + base64.b64encode(b"s" * 32).decode(),
    ],
)
def test_a_bad_secret_is_refused_without_being_told(text: str) -> None:
    with pytest.raises(BadSecret) as refused:
        callback_secret(text)
    secret = text.removeprefix("whsec_")
    assert not secret or secret not in str(refused.value)


def test_the_mac_of_an_entry_is_hmac_sha256() -> None:
    # RFC 4231, test case 1, as base64url without padding
    known = "sDRMYdjbOFNcqK_OrwvxK4gdwgDJgz2nJuk3bC4yz_c"
    assert entry_mac(b"\x0b" * 20, b"Hi There") == known


def test_a_keyed_hash_is_half_of_hmac_sha256_over_kind_and_value() -> None:
    # printf 'subject\0customer:48213' | openssl dgst -sha256 -hmac kkkk...
    known = "e5abe6d24063da8d8e7fb360194c9d6e"
    assert keyed_hash(KEY, "subject", "customer:48213") == known
    assert MARKS.subject("customer:48213") == known


def test_a_body_s_mark_and_a_pseudonym_have_their_known_answers() -> None:
    assert MARKS.body(b"{}") == "eb4e89efec5d377c0b14a9ba78532bfa"
    assert MARKS.pseudonym("crm", "email", "dana@example.com") == "p_6737d74483"


def test_the_same_value_has_another_mark_for_each_use_and_key() -> None:
    marks = [
        MARKS.subject("x"),
        MARKS.requester("x"),
        MARKS.idempotency("x"),
        MARKS.body(b"x"),
        Marks(b"o" * 32).subject("x"),
    ]
    assert len(set(marks)) == len(marks)
    assert all(len(mark) == 32 for mark in marks)


def test_a_pseudonym_is_equal_within_its_scope_and_field_only() -> None:
    here = MARKS.pseudonym("crm", "email", "dana@example.com")
    assert here == MARKS.pseudonym("crm", "email", "dana@example.com")
    assert here != MARKS.pseudonym("billing", "email", "dana@example.com")
    assert here != MARKS.pseudonym("crm", "account", "dana@example.com")
    assert here != MARKS.pseudonym("crm", "email", "dora@example.com")
