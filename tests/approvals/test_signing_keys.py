"""Signing keys: which texts are keys, what is published of them, and what is never shown."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from approvals.signing_keys import MOST_KEYS, BadSigningKeys, SigningKey, SigningKeys

PKCS8, SEC1 = PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL
NO_ENCRYPTION, ENCRYPTION = NoEncryption(), BestAvailableEncryption(b"opensesame")
NOW = datetime(2026, 11, 23, 14, 17, tzinfo=UTC)


def pem(
    key: PrivateKeyTypes,
    form: PrivateFormat = PKCS8,
    encryption: KeySerializationEncryption = NO_ENCRYPTION,
) -> str:
    return key.private_bytes(Encoding.PEM, form, encryption).decode()


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public_pem() -> str:
    public = p256().public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize("form", [PKCS8, SEC1])
def test_both_forms_of_a_key_are_read_as_the_same_key(form: PrivateFormat) -> None:
    key = p256()
    (read,) = SigningKeys.parse(pem(key, form)).keys
    assert read.private.private_numbers() == key.private_numbers()
    assert SigningKeys.parse(pem(key, PKCS8)).signer.kid == read.kid


def test_what_openssl_prints_is_read(tmp_path: object) -> None:
    words = ["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout"]
    told = subprocess.run(words, capture_output=True, check=True, encoding="ascii")
    assert len(SigningKeys.parse(told.stdout).keys) == 1


def test_the_id_of_a_key_is_its_thumbprint() -> None:
    # The key of RFC 7515, appendix A.3; the thumbprint as a tool of others gives it.
    numbers = ec.derive_private_key(
        int.from_bytes(bytes.fromhex(
            "8e9b109e719098bf980487df1f5d77e9cb29606ebed2263b5f57c213df84f4b2"
        )), ec.SECP256R1(),
    )  # fmt: skip
    key = SigningKey.of(numbers, "")
    assert key.jwk() == {
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "kid": "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U",
        "alg": "ES256",
        "use": "sig",
    }


def test_the_first_signs_and_all_are_published_without_what_is_private() -> None:
    keys = SigningKeys.parse(SigningKey.new().text() + "\n# the next\n" + SigningKey.new().text())
    first, second = keys.keys
    assert keys.signer == first
    assert keys.next == second
    assert keys.jwks() == {"keys": [first.jwk(), second.jwk()]}
    assert '"d"' not in json.dumps(keys.jwks())


def test_a_text_is_read_again_as_it_was_written() -> None:
    old = SigningKey.new()
    old = SigningKey(old.kid, old.private, old.pem, NOW)
    keys = SigningKeys((SigningKey.new(), old, SigningKey.new()))
    again = SigningKeys.parse(keys.text().replace("\n", "\r\n"))
    assert [(key.kid, key.signed_until) for key in again.keys] == [
        (key.kid, key.signed_until) for key in keys.keys
    ]
    assert again.next is not None
    assert again.next.kid == keys.keys[2].kid


GOOD = SigningKey.new().text()
UNFIT: dict[str, tuple[Callable[[], str], str]] = {
    "nothing": (lambda: "", "holds no key"),
    "comments alone": (lambda: "# none yet\n", "holds no key"),
    "no PEM": (lambda: "opensesame" * 10, "something else than whole PEM blocks"),
    "line breaks written out": (lambda: GOOD.replace("\n", "\\n"), "something else"),
    "cut off": (lambda: GOOD + SigningKey.new().text()[:90], "something else"),
    "damaged": (lambda: GOOD.replace("MIG", "MIH"), "block 1 cannot be read"),
    "wrong curve": (
        lambda: GOOD + pem(ec.generate_private_key(ec.SECP384R1())),
        "block 2 is on another curve",
    ),
    "RSA": (lambda: pem(rsa.generate_private_key(65537, 2048)), "block 1 is no EC key"),
    "RSA, older form": (
        lambda: pem(rsa.generate_private_key(65537, 2048), SEC1),
        "block 1 is no EC key",
    ),
    "Ed25519": (lambda: pem(ed25519.Ed25519PrivateKey.generate()), "block 1 is no EC key"),
    "public": (lambda: GOOD + public_pem(), "block 2 is no private key"),
    "encrypted": (lambda: pem(p256(), PKCS8, ENCRYPTION), "block 1 is encrypted"),
    "encrypted, older form": (lambda: pem(p256(), SEC1, ENCRYPTION), "block 1 is encrypted"),
    "twice the same": (
        lambda: GOOD + SigningKey.new().text() + GOOD,
        "block 3 is the same key as block 1",
    ),
    "too many": (
        lambda: "".join(SigningKey.new().text() for _ in range(MOST_KEYS + 1)),
        "more than 4 keys",
    ),
    "no time": (lambda: GOOD + "# signed until soon\n" + SigningKey.new().text(), "block 2 does"),
    "no time zone": (lambda: "# signed until 2026-11-23T14:17:00\n" + GOOD, "block 1 does not say"),
    "no time there is": (lambda: "# signed until 0001-01-01T00:00:00+14:00\n" + GOOD, "block 1"),
}


@pytest.mark.parametrize("what", UNFIT)
def test_what_cannot_be_used_is_told_with_place_and_remedy_and_never_shown(what: str) -> None:
    make, message = UNFIT[what]
    text = make()
    with pytest.raises(BadSigningKeys) as caught:
        SigningKeys.parse(text)
    assert message in caught.value.message
    assert caught.value.remedy.endswith(".")
    shown = f"{caught.value!r} {caught.value} {caught.value.__cause__}"
    long = [line for line in text.splitlines() if len(line) > 30 and "-----" not in line]
    assert [line for line in long if not line.startswith("#") and line in shown] == []


def test_a_key_shows_its_id_alone() -> None:
    keys = SigningKeys.parse(GOOD)
    assert keys.signer.kid in repr(keys)
    assert "PRIVATE" not in repr(keys)
    assert GOOD.splitlines()[1] not in repr(keys)
