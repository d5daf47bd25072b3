"""Texts of 32 KiB that would cost a careless scanner most."""

from __future__ import annotations

import string
from collections.abc import Callable
from random import Random

SIZE = 32 * 1024

_REPEATED = (
    "1",
    "@",
    "a",
    "a@",
    "1 ",
    "+",
    "AA00 ",
    "DE89 ",
    "DE89 3704 0044 0532 0130 01 ",
    "DE89370400440532013000 ",
    "41 ",
    "4111 ",
    "4111 1111 1111 1111 ",
    "4111111111111112 ",
    "12 ",
    "+49 30 12345678 ",
    "+1 202 555 0123 ",
    "tel 030 1234567 ",
    "tel 030 1234567 0171 2345678 ",
    "a.",
    "x@a.",
    "x@a.b ",
    "password:",
    "password: abc ",
    "password=a1!xx ",
    "[at]",
    "[at]a.b",
    "a [at] b [dot] c ",
    " at x dot de",
    "::1 ",
    "1:",
    "born ",
    "born 1980",
    "0",
    "eyJ",
    "eyJaaaaaaaaa.",
    "ghp_",
    "AKIA",
    "://a:",
    "://",
    "bearer ",
    "-",
    "-----BEGIN PRIVATE KEY-----",
    " ",
    "(",
    "\\u0041",
    '{"a":1,',
    "é",
    "\uff11",
    "\u200b",
    "a\u200b",
    "4\u200b1",
    "1.",
    "1.2.3.4 ",
    "255.255.255.255 ",
    "123456789 bsn ",
    "536-90-4399 ",
    "12345678901 ",
    "850730-03328 ",
    "123456-1234 ",
    "AB123456C ",
    "1-",
    "a b c d e f ",
    "54362315K ",
    "43.5",
    "[email]",
    "0 00 00 00 000 000 00 ",
    "\u0663",
    "mobile 5551234567 ",
    "00 1",
    "5 0171 ",
    "01 23 45 67 89 ",
)
_WORDS = (
    "bsn pesel idnr cnp nif oib egn amka isikukood asmens kodas personnummer cpr cpf aadhaar nhs"
    " ssn fnr nrn "
)


def worst_texts() -> dict[str, str]:
    """By what they repeat, or what they are made of."""
    texts = {repr(piece): _filled(piece) for piece in _REPEATED}
    random = Random("worst")
    made: dict[str, Callable[[], str]] = {
        "random ASCII": lambda: random.choice(string.printable),
        "random digits and spaces": lambda: random.choice("0123456789 "),
        "random digits and signs": lambda: random.choice("0123456789 -.+()/@:"),
        "random Unicode": lambda: chr(random.randrange(0x20, 0xD800)),
        "random hex and colons": lambda: random.choice("0123456789abcdef:: "),
        "phone numbers": lambda: f"+49 30 {random.randrange(10**7, 10**8)}, ",
        "national phone numbers": lambda: f"call 030 {random.randrange(10**7, 10**8)}, ",
        "addresses": lambda: f"u{random.randrange(10**4)}@example.org ",
        "card-like numbers": lambda: f"{random.randrange(4 * 10**15, 5 * 10**15)} ",
        "11 digits": lambda: f"{random.randrange(10**10, 10**11)} ",
    }
    for name, piece in made.items():
        texts[name] = "".join(piece() for _ in range(SIZE))[:SIZE]
    texts["11 digits, every word of ids"] = (_WORDS + texts["11 digits"])[:SIZE]
    return texts


def _filled(piece: str) -> str:
    return (piece * (SIZE // len(piece) + 1))[:SIZE]
