"""What the scanner finds and what it leaves alone, kind by kind."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.privacy.scanner import KINDS, SECRETS, Hit, Scanner, replaced

SCANNER = Scanner()

FOUND = [
    ("email", "anna@example.org"),
    ("email", "Anna.Meier+x@mail.example.co.uk"),
    ("email", "jörg@müller.example"),
    ("email", "anna [at] example [dot] org"),
    ("email", "anna(at)example.org"),
    ("email", "anna at example dot org"),
    ("email", "a n n a @ e x a m p l e . o r g"),
    ("card", "4111111111111111"),
    ("card", "4111-1111-1111-1111"),
    ("card", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
    ("card", "3782 822463 10005"),
    ("card", "3530111333300000"),  # JCB
    ("card", "6304000000000000"),  # Maestro
    ("card", "2200000000000004"),  # Mir
    ("iban", "DE89370400440532013000"),
    ("iban", "GB82 WEST 1234 5698 7654 32"),
    ("iban", "fr1420041010050500013m02606"),
    ("national_id", "54362315-K"),
    ("national_id", "RCCMNL83S18D969H"),
    ("national_id", "390.533.447-05"),
    ("national_id", "131052-308T"),
    ("national_id", "536-90-4399"),
    ("national_id", "AB 12 34 56 C"),
    ("national_id", "ACUPA7085R"),
    ("national_id", "756.9217.0769.85"),
    ("ip", "203.0.113.7"),
    ("ip", "2001:db8::7"),
    ("ip", "2001:0db8:0000:0000:0000:0000:0000:0001"),
    ("phone", "+49 30 23125 012"),
    ("phone", "0049 30 23125 012"),
    ("phone", "+44 (0)20 7946 0123"),
    ("phone", "(555) 555-0100"),
    ("phone", "06 39 98 12 34"),
    ("private_key", "-----BEGIN RSA PRIVATE KEY-----"),
    ("cloud_key", "AKIAIOSFODNN7EXAMPLE"),
    ("token", "ghp_" + "a1B2" * 9),
    ("token", "plc_k1_" + "a1B2" * 8),
    ("token", "whsec_" + "a1B2" * 8),
    ("token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"),
]
WITH_ITS_WORD = [
    ("national_id", "BSN ", "111222333"),
    ("national_id", "PESEL: ", "44051401359"),
    ("national_id", "Steuer-ID ", "36 574 261 809"),
    ("national_id", "Aadhaar ", "2341 2341 2346"),
    ("national_id", "SSN ", "536904399"),
    ("national_id", "NHS number ", "943 476 5870"),
    ("birth_date", "born ", "12.03.1980"),
    ("birth_date", "née le ", "12 mars 1980"),
    ("phone", "Telefon ", "030 23125 012"),
    ("phone", "mobile: ", "2025550123"),
    ("password", "password=", "x1!secret"),
    ("password", "Passwort: ", "geheim12"),
    ("token", "api_key = ", "abcdef123456"),
    ("token", "Authorization: Bearer ", "abcdef0123456789"),
    ("password", "postgres://app:", "hunter2"),
]
CLEAN = [
    "Customer asked for a copy of their data, ticket ZD-48213",
    "password: customer forgot it",
    "token: renewal requested",
    "password: self-service reset on 2026-11-30",
    '{"password": "[password]", "token": "renewal_requested"}',
    "We meet at 10 [at] night",
    "Release version 1.2.3.4, v1.2.3.4 and section 4.1.2.3",
    "1 240 000 records, 1.234.567,00 EUR",
    "2026-11-30T12:34:56Z to 2026-12-01 at 12:34:56",
    "0190f3a8-7b1c-7def-8123-456789abcdef and req_01K2ABCDEFGHJKMNPQRSTVWXYZ",
    "commit 4f2d9c1b7a80e35561234123412341234abcde01",
    "std::vector and a::b",
    "please ask @anna.smith",
    "4111111111111112 is no card",
    "DE88370400440532013000 is no IBAN",
    "54362315-A and 390.533.447-06 are none",
    "256.1.1.1 is none",
    "111222333 alone says nothing, nor does 44051401359",
    "Call about order 7012345678, row 1764480000000",
    "12.03.1980 alone is a date",
    "Appel du 27/07/2026 à 14h30",
]


def kinds_of(hits: Iterable[Hit]) -> list[str]:
    return [hit.kind for hit in hits]


@pytest.mark.parametrize(("kind", "value"), FOUND)
def test_a_value_is_found_in_prose_at_both_ends_and_between_lines(kind: str, value: str) -> None:
    for text in (value, f"see {value}", f"{value} it was", f"so ({value}).", f"one\n{value}\ntwo"):
        hits = SCANNER.scan(text)
        assert kinds_of(hits) == [kind]
        assert text[hits[0].start : hits[0].end].startswith(value[:3])
        assert SCANNER.scan(replaced(text, hits)) == ()


@pytest.mark.parametrize(("kind", "before", "value"), WITH_ITS_WORD)
def test_a_value_is_found_beside_the_word_that_announces_it(
    kind: str, before: str, value: str
) -> None:
    text = f"{before}{value}" + ("@db.example/x" if "://" in before else "")
    (hit,) = SCANNER.scan(text)
    assert (hit.kind, text[hit.start : hit.end]) == (kind, value)


@pytest.mark.parametrize("text", CLEAN)
def test_business_as_usual_is_left_alone(text: str) -> None:
    assert SCANNER.scan(text) == ()


WIDE = str.maketrans({chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)})


@pytest.mark.parametrize(
    "disguised",
    [
        "anna@example.org".translate(WIDE),
        "an\u200bna@exam\u00adple.org",
        "anna\uff20example.org",
        "4111\u00a01111\u00a01111\u00a01111",
        "4111 1111\n1111 1111",
        "\u200b".join("4111111111111111"),
        "4111111111111111".translate(WIDE),
        "٤١١١١١١١١١١١١١١١",
        "-".join("4111111111111111"),
        "\\u0061nna@example.org",
    ],
)
def test_a_disguise_does_not_help_and_places_are_those_of_the_given_text(disguised: str) -> None:
    text = f"x\u200b {disguised} y"
    hits = SCANNER.scan(text)
    assert replaced(text, hits) in {"x\u200b [email] y", "x\u200b [card] y"}


def test_every_kind_but_secrets_has_its_label() -> None:
    text = "mail anna@example.org from 203.0.113.7, DNI 54362315K"
    assert replaced(text, SCANNER.scan(text)) == "mail [email] from [ip], DNI [national id]"
    assert set(KINDS) > SECRETS


def test_the_kind_that_comes_first_wins() -> None:
    assert kinds_of(SCANNER.scan("password=anna1@example.org")) == ["password"]


class Finds:
    def __init__(self, *hits: Hit) -> None:
        self.hits = hits

    def detect(self, text: str) -> tuple[Hit, ...]:
        del text
        return self.hits


def test_a_further_detector_only_adds() -> None:
    mail = "anna@example.org and more"
    further = Finds(Hit("phone", 0, 20), Hit("ip", 21, 25), Hit("ip", 3, 999))
    assert kinds_of(Scanner([further]).scan(mail)) == ["email", "ip"]


ALPHABET = st.sampled_from("0123456789 \n.-/@:+=()[]aAbDeEx\u200b\uff11é")
PIECES = st.sampled_from(
    [value for _, value in FOUND]
    + [b + v for _, b, v in WITH_ITS_WORD]
    + CLEAN
    + ["[email]", "tel "]
)
TEXTS = st.text(max_size=80) | st.lists(PIECES | st.text(ALPHABET, max_size=12), max_size=6).map(
    "".join
)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_hits_stand_in_order_within_the_text_and_apart(text: str) -> None:
    place = 0
    for hit in SCANNER.scan(text):
        assert place <= hit.start < hit.end <= len(text)
        place = hit.end


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_what_is_masked_is_not_hit_again(text: str) -> None:
    masked = replaced(text, SCANNER.scan(text))
    assert SCANNER.scan(masked) == ()
