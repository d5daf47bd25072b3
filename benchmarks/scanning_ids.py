"""Made-up national ids of persons with right check digits, as people write them, from a seed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from stdnum import luhn, verhoeff
from stdnum.br import cnpj, cpf
from stdnum.de import idnr
from stdnum.es import dni
from stdnum.fr import nir
from stdnum.iso7064 import mod_11_10
from stdnum.it import codicefiscale
from stdnum.no import fodselsnummer
from stdnum.pl import pesel
from stdnum.ro import cnp

from benchmarks.scanning_values import day, digits, grouped

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ALPHA = "\u0391"  # Greek, as in AMKA
_AMKA = f"{_ALPHA}\u039c\u039a{_ALPHA}"


def _nhs(random: Random) -> str:
    while True:
        body = "9" + digits(random, 8)
        check = (
            11 - sum(w * int(d) for w, d in zip(range(10, 1, -1), body, strict=True)) % 11
        ) % 11
        if check < 10:
            return grouped(body + str(check), (3, 3, 4), " ")


def dated(random: Random, form: str) -> str:
    """A date of birth in a form of `strftime`."""
    return format(day(random), form)


def national_ids() -> dict[str, Callable[[Random], str]]:
    """One maker for each country, with the word that people write beside it where they do."""
    return {
        "ES": _spanish,
        "IT": _italian,
        "BR": _brazilian,
        "FI": _finnish,
        "SE": _swedish,
        "DK": _danish,
        "NO": _norwegian,
        "NL": _dutch,
        "PL": _polish,
        "DE": _german,
        "BE": _belgian,
        "FR": _french,
        "GB": _british,
        "US": _american,
        "IN": _indian,
        "RO": _romanian,
        "HR": _croatian,
        "BG": _bulgarian,
        "EE": _estonian,
        "LT": _lithuanian,
        "LV": _latvian,
        "PT": _portuguese,
        "CZ": _czech,
        "AT": _austrian,
        "GR": _greek,
        "SI": _slovenian,
        "IE": _irish,
        "CH": _swiss,
    }


def _spanish(random: Random) -> str:
    body = digits(random, 8)
    letter = dni.calc_check_digit(body)
    foreign = random.choice("XYZ") + body[:7]
    control = "TRWAGMYFPDXBNJZSQVHLCKE"[
        int("XYZ".index(foreign[0]) * 10**7 + int(foreign[1:])) % 23
    ]
    return random.choice(
        [
            f"DNI {body}{letter}",
            f"{body}-{letter}",
            f"NIE {foreign}{control}",
            f"{foreign[0]}-{foreign[1:]}-{control}",
        ]
    )


def _italian(random: Random) -> str:
    letters = "".join(random.choice("BCDFGLMNPRST") for _ in range(6))
    month, born = random.choice("ABCDEHLMPRST"), f"{random.randrange(1, 29):02}"
    body = f"{letters}{dated(random, '%y')}{month}{born}H501"
    number = body + codicefiscale.calc_check_digit(body)
    return random.choice([number, f"codice fiscale {number}", number.lower()])


def _brazilian(random: Random) -> str:
    body = digits(random, 9)
    number = body + cpf._calc_check_digits(body)  # noqa: SLF001 - the library offers no other
    firm = digits(random, 8) + "0001"
    firm += cnpj.calc_check_digits(firm)
    return random.choice(
        [
            f"{number[:3]}.{number[3:6]}.{number[6:9]}-{number[9:]}",
            f"CPF {number}",
            f"{firm[:2]}.{firm[2:5]}.{firm[5:8]}/{firm[8:12]}-{firm[12:]}",
        ]
    )


def _finnish(random: Random) -> str:
    day = dated(random, "%d%m%y")
    serial = f"{random.randrange(2, 900):03}"
    return f"{day}-{serial}{'0123456789ABCDEFHJKLMNPRSTUVWXY'[int(day + serial) % 31]}"


def _swedish(random: Random) -> str:
    born = day(random)
    body = f"{born:%y%m%d}{digits(random, 3)}"
    check = luhn.calc_check_digit(body)
    return random.choice(
        [
            f"{body[:6]}-{body[6:]}{check}",
            f"{born:%Y%m%d}-{body[6:]}{check}",
            f"personnummer {born:%Y%m%d}{body[6:]}{check}",
        ]
    )


def _danish(random: Random) -> str:
    return f"CPR {dated(random, '%d%m%y')}-{random.randrange(4):01}{digits(random, 3)}"


def _norwegian(random: Random) -> str:
    while True:
        body = f"{dated(random, '%d%m%y')}{random.randrange(500):03}"
        try:
            first = fodselsnummer.calc_check_digit1(body)
            number = body + first + fodselsnummer.calc_check_digit2(body + first)
        except ValueError:
            continue
        if fodselsnummer.is_valid(number):
            return random.choice([f"{number[:6]} {number[6:]}", f"fødselsnummer {number}"])


def _dutch(random: Random) -> str:
    while True:
        body = "1" + digits(random, 7)
        check = sum(w * int(d) for w, d in zip(range(9, 1, -1), body, strict=True)) % 11
        if check < 10:
            number = f"{body}{check}"
            return random.choice(
                [
                    f"BSN {number}",
                    f"burgerservicenummer: {number[:4]}.{number[4:6]}.{number[6:]}",
                    f"bsn {grouped(number, (3, 3, 3), ' ')}",
                ]
            )


def _polish(random: Random) -> str:
    body = dated(random, "%y%m%d") + digits(random, 4)
    return f"PESEL {body}{pesel.calc_check_digit(body)}"


def _german(random: Random) -> str:
    while True:
        body = random.choice("123456789") + digits(random, 9)
        number = body + mod_11_10.calc_check_digit(body)
        if idnr.is_valid(number):
            return random.choice(
                [
                    f"Steuer-ID {number}",
                    f"IdNr. {number[:2]} {number[2:5]} {number[5:8]} {number[8:]}",
                    f"steuerliche Identifikationsnummer: {number}",
                ]
            )


def _belgian(random: Random) -> str:
    body = dated(random, "%y%m%d") + f"{random.randrange(1, 998):03}"
    check = f"{97 - int(body) % 97:02}"
    return random.choice(
        [
            f"{body[:2]}.{body[2:4]}.{body[4:6]}-{body[6:]}.{check}",
            f"rijksregisternummer {body}{check}",
            f"NISS {body}{check}",
        ]
    )


def _french(random: Random) -> str:
    place = f"{random.randrange(1, 96):02}{random.randrange(1, 600):03}"
    body = f"{random.choice('12')}{dated(random, '%y%m')}{place}{random.randrange(1, 900):03}"
    number = body + nir.calc_check_digits(body)
    return random.choice(
        [
            number,
            grouped(number, (1, 2, 2, 2, 3, 3, 2), " "),
            f"numéro de sécurité sociale {number}",
        ]
    )


def _british(random: Random) -> str:
    letters = random.choice("ABCEHJLMPRSW") + random.choice("ABCEHJLMPRSTWX")
    number = f"{letters}{digits(random, 6)}{random.choice('ABCD')}"
    return random.choice(
        [
            number,
            grouped(number, (2, 2, 2, 2, 1), " "),
            f"NI number {number}",
            f"NHS number {_nhs(random)}",
        ]
    )


def _american(random: Random) -> str:
    area, rest = (
        f"{random.randrange(1, 650):03}",
        f"{random.randrange(1, 100):02}-{random.randrange(1, 10_000):04}",
    )
    return random.choice(
        [
            f"{area}-{rest}",
            f"SSN {area}{rest.replace('-', '')}",
            f"9{area[1:]}-7{rest[1:]}",
            f"social security number {area} {rest.replace('-', ' ')}",
        ]
    )


def _indian(random: Random) -> str:
    body = random.choice("23456789") + digits(random, 10)
    number = body + verhoeff.calc_check_digit(body)
    letters = "".join(random.choice(_LETTERS) for _ in range(5))
    pan = f"{letters[:3]}P{letters[3]}{random.randrange(1, 9999):04}{letters[4]}"
    return random.choice(
        [f"Aadhaar {grouped(number, (4, 4, 4), ' ')}", f"Aadhaar no. {number}", f"PAN {pan}", pan]
    )


def _romanian(random: Random) -> str:
    place = f"{random.randrange(1, 41):02}"
    body = f"{random.choice('12')}{dated(random, '%y%m%d')}{place}{random.randrange(1, 999):03}"
    return f"CNP {body}{cnp.calc_check_digit(body)}"


def _croatian(random: Random) -> str:
    body = digits(random, 10)
    return f"OIB {body}{mod_11_10.calc_check_digit(body)}"


def _bulgarian(random: Random) -> str:
    body = dated(random, "%y%m%d") + digits(random, 3)
    check = (
        sum(w * int(d) for w, d in zip((2, 4, 8, 5, 10, 9, 7, 3, 6), body, strict=True)) % 11 % 10
    )
    return f"ЕГН {body}{check}"


def _baltic(random: Random) -> str:
    body = random.choice("34") + dated(random, "%y%m%d") + digits(random, 3)
    check = sum(w * int(d) for w, d in zip((1, 2, 3, 4, 5, 6, 7, 8, 9, 1), body, strict=True)) % 11
    if check == 10:
        check = (
            sum(w * int(d) for w, d in zip((3, 4, 5, 6, 7, 8, 9, 1, 2, 3), body, strict=True))
            % 11
            % 10
        )
    return f"{body}{check}"


def _estonian(random: Random) -> str:
    return f"isikukood {_baltic(random)}"


def _lithuanian(random: Random) -> str:
    return f"asmens kodas {_baltic(random)}"


def _latvian(random: Random) -> str:
    while True:
        body = dated(random, "%d%m%y") + "1" + digits(random, 3)
        check = (
            1101
            - sum(w * int(d) for w, d in zip((1, 6, 3, 7, 9, 10, 5, 8, 4, 2), body, strict=True))
        ) % 11
        if check < 10:
            return f"{body[:6]}-{body[6:]}{check}"


def _portuguese(random: Random) -> str:
    body = random.choice("12") + digits(random, 7)
    check = 11 - sum(w * int(d) for w, d in zip(range(9, 1, -1), body, strict=True)) % 11
    return f"NIF {body}{check if check < 10 else 0}"


def _czech(random: Random) -> str:
    while True:
        body = dated(random, "%y%m%d") + digits(random, 3)
        if int(body[:2]) >= 54 and int(body) % 11 < 10:
            return f"{body[:6]}/{body[6:]}{int(body) % 11}"


def _austrian(random: Random) -> str:
    while True:
        serial, day = str(random.randrange(100, 1000)), dated(random, "%d%m%y")
        check = (
            sum(w * int(d) for w, d in zip((3, 7, 9, 5, 8, 4, 2, 1, 6), serial + day, strict=True))
            % 11
        )
        if check < 10:
            return f"SVNR {serial}{check} {day}"


def _greek(random: Random) -> str:
    body = dated(random, "%d%m%y") + digits(random, 4)
    return f"{_AMKA} {body}{luhn.calc_check_digit(body)}"


def _slovenian(random: Random) -> str:
    while True:
        born = day(random)
        body = f"{born:%d%m}{born.year % 1000:03}50{digits(random, 3)}"
        check = 11 - sum(w * int(d) for w, d in zip((7, 6, 5, 4, 3, 2) * 2, body, strict=True)) % 11
        if check != 10:
            return f"EMŠO {body}{check % 11}"


def _irish(random: Random) -> str:
    body = digits(random, 7)
    check = "WABCDEFGHIJKLMNOPQRSTUV"[
        sum(w * int(d) for w, d in zip(range(8, 1, -1), body, strict=True)) % 23
    ]
    return f"PPS number {body}{check}"


def _swiss(random: Random) -> str:
    body = "756" + digits(random, 9)
    check = -sum(int(d) * (3 if place % 2 else 1) for place, d in enumerate(body)) % 10
    return f"{body[:3]}.{body[3:7]}.{body[7:11]}.{body[11:]}{check}"


def national_id(random: Random) -> str:
    """Of any of the countries."""
    makers = national_ids()
    return makers[random.choice(sorted(makers))](random)
