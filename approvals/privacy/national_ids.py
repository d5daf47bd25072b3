"""Numbers that states give to people: by form and check digit, where weak with a word beside.

A table of countries; check digits by python-stdnum where it has the number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from string import ascii_letters, digits
from typing import cast

from approvals.privacy.scanner import Hit

MOST_CHECKED = 50  # candidates in one text; after that the rest of it counts as found

_TAX = "tax id|tax number|tin "


@dataclass(frozen=True, slots=True)
class _Number:
    """One kind of number. Its `forms` have 9 for a digit and A for a letter, blanks as they stand.

    `check` is a module of stdnum, or a pattern where it has none; of the words in `beside` one must
    stand in the text, if there are any.
    """

    forms: str
    check: str | re.Pattern[str]
    beside: str = ""


# A form holds no comma: commas part them.
_NUMBERS = (
    # Spain, Portugal, Italy, France
    _Number("99999999A,99999999-A,99999999 A,99.999.999-A,99.999.999A,9.999.999-A", "es.dni"),
    _Number("A9999999A,A-9999999-A,A9999999-A,A 9999999 A", "es.nie"),
    _Number("99999999 9 AA9,99999999 9AA9,999999999AA9", "pt.cc"),
    _Number("999999999,999 999 999", "pt.nif", "nif|contribuinte"),
    _Number(
        "AAAAAA99A99A999A,AAA AAA 99A99 A999A,AAAAAA 99A99 A999A,AAA AAA 99A99A999A",
        "it.codicefiscale",
    ),
    _Number(
        "999999999999999,9 99 99 99 999 999 99,9 99 99 9A 999 999 99,"
        "999999A99999999,9 99 99 99 999 999-99,9999999999999 99",
        "fr.nir",
    ),
    _Number("9999999999999,99 99 999 999 999", "fr.nif", "fiscal|impôt|impot|spi"),
    # Germany, Austria, Switzerland
    _Number(
        "99999999999,99 999 999 999", "de.idnr", f"steuer|idnr|id-nr|identifikationsnummer|{_TAX}"
    ),
    _Number(
        "99999999A999,99 999999 A 999,99999999 A 999",
        re.compile(r".*"),
        "versicherung|sv-nummer|social security",
    ),
    _Number("9999 999999", "at.vnr"),
    _Number("9999999999", "at.vnr", "sozialversicherung|sv-n|svnr|social security"),
    _Number("999.9999.9999.99,9999999999999,999 9999 9999 99", "ch.ssn"),
    # Belgium, the Netherlands, Luxembourg
    _Number("99.99.99-999.99,99.99.99 999.99,99.99.99-999-99", "be.nn"),
    _Number(
        "99999999999,999999-999.99,999999 999 99,999999-999-99",
        "be.nn",
        "rijksregister|registre national|national register|national number|niss|insz",
    ),
    _Number(
        "999999999,9999.99.999,9999 99 999,99999999",
        "nl.bsn",
        "bsn|burgerservice|sofi|citizen service",
    ),
    _Number("9999999999999,9999 99 99 99999", re.compile(r"(?:19|20).*"), "matricule|luxemb"),
    # The North
    _Number("999999-9999,99999999-9999,999999+9999", "se.personnummer"),
    _Number("9999999999,999999999999", "se.personnummer", "personnummer|personnr|samordning"),
    _Number("999999-999A,999999A999A,999999+999A,999999-9999,999999A9999", "fi.hetu"),
    _Number("999999-9999,9999999999,999999 9999", "dk.cpr", "cpr|personnummer|personnr"),
    _Number("99999999999,999999 99999", "no.fodselsnummer"),
    _Number("999999-9999,9999999999", "is_.kennitala", "kennitala"),
    # The Baltic states and Poland
    _Number("99999999999", "ee.ik", "isikukood|personal code|personal id"),
    _Number("99999999999", "lt.asmens", "asmens kod|personal code|personal id"),
    _Number("999999-99999", "lv.pvn"),
    _Number("99999999999", "pl.pesel", "pesel"),
    # Czechia, Slovakia, Hungary, Slovenia, Croatia, Romania, Bulgaria, Greece, Cyprus, Malta
    _Number("999999/9999,999999/999", "cz.rc"),
    _Number("9999999999,999999999", "cz.rc", "rodné|rodne|birth number"),
    _Number(
        "9999999999,999999999,999 999 999,999-999-999",
        re.compile(r".*"),
        "adóazonosító|adoazonosito|taj-sz|taj sz|taj:",
    ),
    _Number("99999999999,9 999999 9999,9-999999-9999", re.compile(r"[1-8].*"), "személyi|szemelyi"),
    _Number("9999999999999", "si.emso"),
    _Number("99999999999", "hr.oib", "oib"),
    _Number("9999999999999", "ro.cnp"),
    _Number("9999999999", "bg.egn", "егн|egn|единен"),
    _Number("99999999999", "gr.amka", "amka|αμκα"),
    _Number("999999999", "gr.vat", "afm|αφμ"),
    _Number("99999999A", "cy.vat", f"cypr|{_TAX}"),
    _Number(
        "9999999A,999999A,99999A,9999999(A)",
        re.compile(r"\d+[MGAPLHBZ]", re.IGNORECASE),
        "identity card|id card|karta tal|malt",
    ),
    # Ireland, Great Britain
    _Number("9999999A,9999999AA,9999999 A,9999999 AA", "ie.pps", "pps"),
    _Number(
        "AA999999A,AA 99 99 99 A,AA 999999 A",
        re.compile(
            r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][\d ]+[A-D]",
            re.IGNORECASE,
        ),
    ),
    _Number("999 999 9999,999-999-9999,9999999999", "gb.nhs", "nhs"),
    # The United States, Brazil, India
    _Number("999-99-9999", re.compile(r"(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}")),
    _Number("999999999,999 99 9999", "us.ssn", "ssn|social security"),
    _Number("999-99-9999", "us.itin"),
    _Number("999999999,999 99 9999", "us.itin", "itin|taxpayer"),
    _Number("999.999.999-99", "br.cpf"),
    _Number("99999999999,999999999-99", "br.cpf", "cpf"),
    _Number("99.999.999/9999-99", "br.cnpj"),
    _Number(
        "9999 9999 9999,9999-9999-9999,999999999999", "in_.aadhaar", "aadhaar|aadhar|uidai|आधार"
    ),
    _Number("AAAAA9999A", "in_.pan"),
)

_FORM = str.maketrans(digits + ascii_letters, "9" * len(digits) + "A" * len(ascii_letters))


class NationalIds:
    """Numbers of people from the states of the table."""

    def detect(self, text: str) -> Iterator[Hit]:
        """The numbers in `text`."""
        form = text.translate(_FORM)
        lower = ""
        start = count = 0
        while found := _ANY_FORM.search(form, start):
            count += 1
            if count > MOST_CHECKED:
                yield Hit("national_id", found.start(), len(text))
                return
            lower = lower or text.lower()
            start = found.end()
            if _is_one(text[found.start() : start], found.group(), lower):
                yield Hit("national_id", *found.span())
            else:
                start = found.start() + 1


def _is_one(text: str, form: str, lower: str) -> bool:
    return any(
        _fits(number, text)
        for number in _BY_FORM[form]
        if not number.beside or any(word in lower for word in number.beside.split("|"))
    )


def _fits(number: _Number, text: str) -> bool:
    if isinstance(number.check, re.Pattern):
        return number.check.fullmatch(text) is not None
    return bool(_validator(number.check)(text))


@cache
def _validator(check: str) -> Callable[[str], bool]:
    # Loaded when first needed: all of them take a sixth of a second.
    return cast("Callable[[str], bool]", import_module(f"stdnum.{check}").is_valid)


def _by_form() -> dict[str, list[_Number]]:
    made: dict[str, list[_Number]] = {}
    for number in _NUMBERS:
        for form in number.forms.split(","):
            made.setdefault(form, []).append(number)
    return made


def _tree(forms: Collection[str]) -> str:
    """A pattern for any of `forms`, the longest first, that looks at each character once."""
    branches: dict[str, set[str]] = {}
    for form in forms:
        if form:
            branches.setdefault(form[0], set()).add(form[1:])
    if not branches:
        return ""
    told = "|".join(re.escape(sign) + _tree(rest) for sign, rest in sorted(branches.items()))
    return f"(?:{told}){'?' if '' in forms else ''}"


_BY_FORM = _by_form()
# A digit or letter, or a part of a longer number, on either side makes it another thing.
_ANY_FORM = re.compile(rf"(?<![\w.+-]){_tree(_BY_FORM)}(?!\w)(?![.-]9)")
