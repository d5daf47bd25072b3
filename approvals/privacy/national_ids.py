"""National ids of persons: candidates by shape, then check digits and dates, word beside or not.

Hungary, Luxembourg, Malta and Cyprus are missing: no library here judges their ids of persons.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from stdnum.at import vnr
from stdnum.be import nn
from stdnum.bg import egn
from stdnum.br import cnpj, cpf
from stdnum.ch import ssn as swiss
from stdnum.cz import rc
from stdnum.de import idnr
from stdnum.dk import cpr
from stdnum.ee import ik
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nif as french_tax
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.gr import amka
from stdnum.hr import oib
from stdnum.ie import pps
from stdnum.in_ import aadhaar, pan
from stdnum.it import codicefiscale
from stdnum.lt import asmens
from stdnum.lv import pvn
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.pl import pesel
from stdnum.pt import cc
from stdnum.pt import nif as portuguese
from stdnum.ro import cnp
from stdnum.se import personnummer
from stdnum.si import emso
from stdnum.us import itin, ssn

from approvals.privacy.finds import Checks, Hit
from approvals.privacy.national_id_forms import ROWS, Row
from approvals.privacy.normal_form import NormalForm
from approvals.privacy.word_tree import tree

MOST_IDS = 200  # judged in one text

_MAY_HOLD_ONE = re.compile(r"[0-9](?:[^0-9]{0,3}[0-9]){5}|[A-Za-z]{5}[0-9]{4}[A-Za-z]")
_NINO = re.compile(
    r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][0-9]{6}[A-D]", re.IGNORECASE
)
_SEPARATORS = re.compile(r"[-\s./]")
_PENSION = re.compile(
    r"[0-9]{2}(?:[0-2][0-9]|3[01]|[4-9][0-9])(?:0[1-9]|1[0-2])[0-9]{2}[A-Z][0-9]{3}", re.IGNORECASE
)
_WEIGHTS = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)


def _is_danish_with_check(number: str) -> bool:
    """Since 2007 the check digit need not be right; without a word beside it, it must."""
    return cpr.is_valid(number) and cpr.checksum(cpr.compact(number)) == 0


def _is_american(number: str) -> bool:
    digits = _SEPARATORS.sub("", number)
    return ssn.is_valid(digits) or itin.is_valid(digits)


def _is_french(number: str) -> bool:
    """With or without its check digits."""
    digits = _SEPARATORS.sub("", number)
    return nir.is_valid(digits) if len(digits) == 15 else digits[0] in "12"


def _is_british_insurance(number: str) -> bool:
    return bool(_NINO.fullmatch(_SEPARATORS.sub("", number)))


def _is_swedish(number: str) -> bool:
    digits = _SEPARATORS.sub("", number)
    return personnummer.is_valid(f"{digits[:-4]}-{digits[-4:]}")


def _is_german_pension(number: str) -> bool:
    compact = _SEPARATORS.sub("", number).upper()
    if not _PENSION.fullmatch(compact):
        return False
    letter = f"{ord(compact[8]) - 64:02}"
    digits = compact[:8] + letter + compact[9:11]
    products = (int(d) * weight for d, weight in zip(digits, _WEIGHTS, strict=True))
    return sum(p // 10 + p % 10 for p in products) % 10 == int(compact[11])


def _is_indian_tax(number: str) -> bool:
    return number[:5].isupper() and number[9].isupper() and pan.is_valid(number)


def _is_spanish(number: str) -> bool:
    """Behind a space a small letter is the next word, as in "79931132 z dnia"."""
    return dni.is_valid(number.replace(".", "")) and (" " not in number or number[-1].isupper())


_JUDGES: dict[str, Callable[[str], bool]] = {
    "american": _is_american,
    "at.vnr": vnr.is_valid,
    "be.nn": nn.is_valid,
    "bg.egn": egn.is_valid,
    "br.cnpj": cnpj.is_valid,
    "br.cpf": cpf.is_valid,
    "british_insurance": _is_british_insurance,
    "ch.ssn": swiss.is_valid,
    "cz.rc": rc.is_valid,
    "danish_with_check": _is_danish_with_check,
    "de.idnr": idnr.is_valid,
    "dk.cpr": cpr.is_valid,
    "ee.ik": ik.is_valid,
    "es.dni": _is_spanish,
    "es.nie": nie.is_valid,
    "fi.hetu": hetu.is_valid,
    "fr.nif": french_tax.is_valid,
    "fr.nir": nir.is_valid,
    "french": _is_french,
    "gb.nhs": nhs.is_valid,
    "german_pension": _is_german_pension,
    "gr.amka": amka.is_valid,
    "hr.oib": oib.is_valid,
    "ie.pps": pps.is_valid,
    "in_.aadhaar": aadhaar.is_valid,
    "indian_tax": _is_indian_tax,
    "it.codicefiscale": codicefiscale.is_valid,
    "lt.asmens": asmens.is_valid,
    "lv.pvn": pvn.is_valid,
    "nl.bsn": lambda number: bsn.is_valid(number.replace(" ", "")),
    "no.fodselsnummer": fodselsnummer.is_valid,
    "pl.pesel": pesel.is_valid,
    "pt.cc": lambda number: cc.is_valid(number.replace("-", "")),
    "pt.nif": lambda number: portuguese.is_valid(number.replace(".", "")),
    "ro.cnp": cnp.is_valid,
    "se.personnummer": personnummer.is_valid,
    "si.emso": emso.is_valid,
    "sk.rc": rc.is_valid,
    "swedish": _is_swedish,
}


def _by_form(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        for form in row.forms:
            found.setdefault(form, []).append(row)
    return found


def _begins_with(form: str, other: str) -> bool:
    return form.startswith(other) and form[len(other) :][:1] not in {"0", "A"}


_FORMS = _by_form(ROWS)
_ANY_FORM = re.compile(rf"(?<![0A_])(?:{tree(_FORMS)})(?![0A_])")
# Beginnings of a form that are forms themselves: the rest may be another number.
_SHORTER = {
    form: sorted(
        (
            other
            for other in _FORMS
            if form.startswith(other) and form[len(other) :][:1] not in {"0", "A"}
        ),
        key=len,
        reverse=True,
    )
    for form in _FORMS
}


def national_ids(form: NormalForm, checks: Checks | None = None) -> Iterator[Hit]:
    """Ids of persons of the EU, Britain, the USA, Brazil, India, Switzerland and Norway."""
    if not _MAY_HOLD_ONE.search(form.text):
        return
    judges, checks = _Judges(form), checks or Checks(MOST_IDS)
    skeleton, place = form.skeleton, 0
    while found := _ANY_FORM.search(skeleton, place):
        start, end = found.span()
        place = start + 1
        for written in _SHORTER[skeleton[start:end]]:
            known = judges.of(written)
            if not known:
                continue
            number = form.text[start : start + len(written)]
            if any(checks.passes(judge, number) for judge in known):
                place = start + len(written)
                yield Hit("national_id", start, place)
                break


class _Judges:
    """Who judges a form in a text: those whose row needs no word, or has one there."""

    def __init__(self, form: NormalForm) -> None:
        self._form = form
        self._judges: dict[str, list[Callable[[str], bool]]] = {}
        self._known: dict[str, bool] = {}

    def of(self, written: str) -> list[Callable[[str], bool]]:
        judges = self._judges.get(written)
        if judges is None:
            rows = (row for row in _FORMS[written] if not row.words or self._announced(row))
            judges = self._judges[written] = [_JUDGES[row.judge] for row in rows]
        return judges

    def _announced(self, row: Row) -> bool:
        return any(map(self._holds, row.words))

    def _holds(self, word: str) -> bool:
        known = self._known.get(word)
        if known is None:
            known = self._known[word] = _holds_word(self._form.lower, word)
        return known


def _holds_word(text: str, word: str) -> bool:
    place = -1
    for _ in range(20):  # past so many parts of other words it is taken for said
        place = text.find(word, place + 1)
        if place < 0:
            return False
        after = place + len(word)
        if not (text[max(0, place - 1) : place].isalpha() or text[after : after + 1].isalpha()):
            return True
    return True
