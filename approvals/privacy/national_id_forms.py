"""The table of national ids: how they are written, what judges them, which words announce them.

A form is its skeleton: 0 a digit, A a letter. Rows with words count only where a word is in the
text, because their digits alone say too little.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One way of writing an id. `judge` names a judge of `national_ids`."""

    country: str
    forms: tuple[str, ...]
    judge: str
    words: tuple[str, ...] = ()


def _row(country: str, forms: str, judge: str, words: str = "") -> Row:
    return Row(country, tuple(forms.split("|")), judge, tuple(words.split("|")) if words else ())


_PL = "pesel"
_DE = (
    "steuer-id|steuerid|steuer id|steueridentifikationsnummer|steuerliche identifikationsnummer|"
    "steuer-identifikationsnummer|idnr|identifikationsnummer|steuer-idnr|tax id|tin|tax number"
)
_NL = "bsn|burgerservicenummer|sofinummer|sofi-nummer|citizen service number"
_BE = (
    "rijksregisternummer|rijksregister|registre national|numéro national|niss|nrn|insz|"
    "nationaal nummer|national register|nationalregisternummer|rrn"
)
_AT = (
    "svnr|svnummer|sv-nummer|sv-nr|sozialversicherungsnummer|versicherungsnummer|vsnr|"
    "sozialversicherung"
)
_BG = "егн|egn|единен граждански номер"
_HR = "oib|osobni identifikacijski broj"
_CZ = "rodné číslo|rodne cislo|rodného čísla|r.č|rč|birth number|rodné č"
_DK = "cpr|cpr-nummer|cpr-nr|personnummer|cprnr"
_EE = "isikukood|isikukoodi|personal code|personal identification code|id code"
_LT = "asmens kodas|asmens koda|asmens kodą|personal code"
_LV = "personas kods|personas kodu|personal code"
_GR = "αμκα|amka"
_PT = "nif|contribuinte|número de identificação fiscal|identificação fiscal|nº de contribuinte"
_RO = "cnp|cod numeric personal|codul numeric personal"
_SI = "emšo|emso"
_SE = "personnummer|personnr|pnr|personal identity number|samordningsnummer"
_NO = "fødselsnummer|fodselsnummer|personnummer|fnr|d-nummer|national identity number"
_FI = "henkilötunnus|hetu"
_FR = "sécurité sociale|securite sociale|nir|insee|numéro de sécu|social security|num. sécu|sécu"
_FR_TAX = "numéro fiscal|numero fiscal|spi|référence fiscale|identifiant fiscal"
_GB_NHS = "nhs|national health"
_US = "ssn|social security|soc sec|tin|taxpayer|itin"
_BR = "cpf|cadastro de pessoas físicas"
_BR_FIRM = "cnpj"
_IN = "aadhaar|aadhar|adhaar|uidai|आधार"

ROWS: tuple[Row, ...] = (
    _row("AT", "0000 000000|0000000000|0000-000000|0000/000000", "at.vnr", _AT),
    _row("BE", "00.00.00-000.00|00.00.00-000-00", "be.nn"),
    _row(
        "BE", "00000000000|00 00 00 000 00|000000-000-00|000000 000 00|000000-000.00", "be.nn", _BE
    ),
    _row("BG", "0000000000", "bg.egn", _BG),
    _row("CH", "000.0000.0000.00", "ch.ssn"),
    _row(
        "CH",
        "0000000000000|000 0000 0000 00",
        "ch.ssn",
        "ahv|avs|ahv-nr|ahv-nummer|numéro avs|navs|oasi",
    ),
    _row("CZ", "000000/0000", "cz.rc"),
    _row("CZ", "000000/000|0000000000|000000 0000", "cz.rc", _CZ),
    _row("DE", "00000000000|00 000 000 000|000 000 000 00|00 00 00 00 000", "de.idnr", _DE),
    _row(
        "DE",
        "00000000A000|00 000000 A 000|00 000000A000",
        "german_pension",
        "rentenversicherungsnummer|sozialversicherungsnummer|sv-nummer|rvnr|versicherungsnummer|svnr",
    ),
    _row("DK", "000000-0000", "danish_with_check"),
    _row("DK", "000000-0000|0000000000|000000 0000", "dk.cpr", _DK),
    _row("EE", "00000000000", "ee.ik", _EE),
    _row("ES", "00000000A|00000000-A|00000000 A|00.000.000-A|00.000.000A", "es.dni"),
    _row("ES", "A0000000A|A-0000000-A|A0000000-A|A-0000000A", "es.nie"),
    _row(
        "FI", "000000-0000|000000-000A|000000+000A|000000+0000|000000A000A|000000A0000", "fi.hetu"
    ),
    _row(
        "FR",
        "0 00 00 00 000 000 00|0 00 00 00 000 000|0 00 00 0A 000 000 00|0 00 00 00 000 000-00",
        "french",
    ),
    _row("FR", "000000000000000|00000A000000000|0000000000000 00|0000000000000-00", "fr.nir"),
    _row("FR", "0000000000000|00 00 000 000 000", "fr.nif", _FR_TAX),
    _row(
        "GB",
        "AA000000A|AA 00 00 00 A|AA 000000 A|AA-00-00-00-A|AA000000 A|AA 000 000 A",
        "british_insurance",
    ),
    _row("GB", "0000000000|000 000 0000|000-000-0000", "gb.nhs", _GB_NHS),
    _row("GR", "00000000000", "gr.amka", _GR),
    _row("HR", "00000000000", "hr.oib", _HR),
    _row(
        "IE",
        "0000000A|0000000AA|0000000 A|0000000 AA",
        "ie.pps",
        "pps|ppsn|pps no|pps number|personal public service",
    ),
    _row("IT", "AAAAAA00A00A000A|AAA AAA 00A00 A000A|AAAAAA 00A00 A000A", "it.codicefiscale"),
    _row("LT", "00000000000", "lt.asmens", _LT),
    _row("LV", "000000-00000", "lv.pvn"),
    _row("LV", "00000000000|000000 00000", "lv.pvn", _LV),
    _row(
        "NL",
        "000000000|00000000|0000.00.000|000.000.000|0000 00 000|000 000 000|00000 0000",
        "nl.bsn",
        _NL,
    ),
    _row("NO", "000000 00000", "no.fodselsnummer"),
    _row("NO", "00000000000|000000-00000", "no.fodselsnummer", _NO),
    _row("PL", "00000000000", "pl.pesel", _PL),
    _row("PT", "000000000|000 000 000|000.000.000", "pt.nif", _PT),
    _row("PT", "00000000 0 AA0|000000000AA0|00000000 0AA0|00000000-0-AA0|00000000-0AA0", "pt.cc"),
    _row("RO", "0000000000000", "ro.cnp", _RO),
    _row("SE", "000000-0000|00000000-0000|000000+0000", "se.personnummer"),
    _row("SE", "0000000000|000000000000|000000 0000|00000000 0000", "swedish", _SE),
    _row("SI", "0000000000000", "si.emso", _SI),
    _row("SK", "000000/0000", "sk.rc"),
    _row("US", "000-00-0000", "american"),
    _row("US", "000000000|000 00 0000|000.00.0000", "american", _US),
    _row("BR", "000.000.000-00|000000000-00", "br.cpf"),
    _row("BR", "00000000000|000.000.000.00|000 000 000 00|000 000 000-00", "br.cpf", _BR),
    _row("BR", "00.000.000/0000-00|00000000/0000-00", "br.cnpj"),
    _row("BR", "00000000000000", "br.cnpj", _BR_FIRM),
    _row("IN", "000000000000|0000 0000 0000|0000-0000-0000", "in_.aadhaar", _IN),
    _row("IN", "AAAAA0000A", "indian_tax"),
)
