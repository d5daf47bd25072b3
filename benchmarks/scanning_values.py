"""Made-up personal data in the forms people write, with right check digits, from a seed.

Written from the standards, not from the scanner. Reserved ranges are used where there are any.
"""

from __future__ import annotations

from datetime import date, timedelta
from ipaddress import IPv6Address
from random import Random

from stdnum import luhn


def digits(random: Random, count: int) -> str:
    """So many."""
    return "".join(random.choice("0123456789") for _ in range(count))


def grouped(text: str, sizes: tuple[int, ...], gap: str) -> str:
    """In groups of `sizes`, what is left as a last one."""
    pieces, place = [], 0
    for size in sizes:
        pieces.append(text[place : place + size])
        place += size
    return gap.join([*pieces, text[place:]] if text[place:] else pieces)


def day(random: Random) -> date:
    """On which somebody may have been born."""
    return date(1940, 1, 1) + timedelta(days=random.randrange(22_000))


def email(random: Random) -> str:
    """An address at a reserved domain."""
    first = random.choice(
        ["anna", "lukas", "zoë", "maria", "jean-pierre", "o'brien", "k.nowak", "b_svensson"]
    )
    local = random.choice(
        [
            first,
            f"{first}.{random.choice(['meier', 'rossi', 'silva'])}",
            f"{first}+{digits(random, 2)}",
        ]
    )
    domain = random.choice(
        ["example.org", "example.com", "mail.example.net", "test.example", "shop.example.co.uk"]
    )
    return random.choice(
        [
            f"{local}@{domain}",
            f"{local}@{domain}".upper(),
            f"<{local}@{domain}>",
            f"mailto:{local}@{domain}",
        ]
    )


def card(random: Random) -> str:
    """Numbers of every large brand, plain, in groups, with dashes."""
    brand, length = random.choice(
        [
            ("4", 16),
            ("4", 13),
            ("51", 16),
            ("55", 16),
            ("2221", 16),
            ("2720", 16),
            ("34", 15),
            ("37", 15),
            ("36", 14),
            ("305", 14),
            ("6011", 16),
            ("65", 16),
            ("3528", 16),
            ("3589", 16),
            ("5018", 16),
            ("5612", 16),
            ("6304", 16),
            ("6759", 19),
            ("62", 16),
            ("62", 19),
            ("2200", 16),
            ("2204", 16),
        ]
    )
    body = brand + digits(random, length - len(brand) - 1)
    number = body + luhn.calc_check_digit(body)
    sizes = (4, 6, 5) if length == 15 else (4, 6, 4) if length == 14 else (4, 4, 4, 4)
    return random.choice([number, grouped(number, sizes, " "), grouped(number, sizes, "-")])


def iban(random: Random) -> str:
    """IBANs of countries whose account numbers are digits, plain and in groups."""
    country, length = random.choice(
        [
            ("DE", 18),
            ("AT", 16),
            ("PL", 24),
            ("DK", 14),
            ("SE", 20),
            ("CH", 17),
            ("PT", 21),
            ("LT", 16),
        ]
    )
    while True:
        body = digits(random, length)
        if country == "PT":
            body = body[:-2] + f"{98 - int(body[:-2] + '00') % 97:02}"
        check = 98 - int(body + "".join(str(int(c, 36)) for c in country) + "00") % 97
        number = f"{country}{check:02}{body}"
        return random.choice(
            [number, grouped(number, (4,) * (len(number) // 4), " "), number.lower()]
        )


def ip(random: Random) -> str:
    """IPv4 and IPv6 addresses of the ranges for documentation, and private ones."""
    net = random.choice(["203.0.113", "198.51.100", "192.0.2", "10.12.7"])
    four = f"{net}.{random.randrange(1, 255)}"
    six = IPv6Address((0x20010DB8 << 96) + random.getrandbits(random.choice([16, 60, 96])))
    return random.choice(
        [four, four, f"{four}:8080", f"{four}/24", str(six), six.exploded, f"[{six}]:443"]
    )


def phone(random: Random) -> str:
    """With country codes, and national ones beside a word."""

    def d(count: int) -> str:
        return digits(random, count)

    def pairs(text: str) -> str:
        return grouped(text, (2,) * (len(text) // 2), " ")

    return random.choice(
        [
            f"+49 30 23125 {d(3)}",
            f"+49 (0)171 {random.choice('2345')}{d(6)}",
            f"0049 89 {random.choice('2345')}{d(6)}",
            f"+33 1 99 00 {pairs(d(4))}",
            f"+33 6 39 98 {pairs(d(4))}",
            f"06 39 98 {pairs(d(4))}",
            f"+44 20 7946 0{d(3)}",
            f"020 7946 0{d(3)}",
            f"07700 900{d(3)}",
            f"+447700900{d(3)}",
            f"+1 202 555 01{d(2)}",
            f"(202) 555-01{d(2)}",
            f"+1-415-555-01{d(2)}",
            f"212-555-01{d(2)}",
            f"+34 612 {d(3)} {d(3)}",
            f"+39 347 {d(3)} {d(4)}",
            f"+31 6 {random.choice('1234')}{d(7)}",
            f"+48 601 {d(3)} {d(3)}",
            f"+55 11 9{random.choice('6789')}{d(3)}-{d(4)}",
            f"(11) 9{random.choice('6789')}{d(3)}-{d(4)}",
            f"+91 98{d(3)} {d(5)}",
            f"+46 70 174 06 {d(2)}",
            f"+351 912 {d(3)} {d(3)}",
            f"+41 79 {random.choice('2345')}{d(2)} {d(2)} {d(2)}",
            f"Tel. 030 23125 {d(3)}",
            f"Telefon: 0171/{random.choice('2345')}{d(6)}",
            f"Handy 0171 {random.choice('2345')}{d(6)}",
            f"tél. 01 99 00 {pairs(d(4))}",
            f"móvil 612 {d(3)} {d(3)}",
            f"cellulare 347 {d(7)}",
            f"telefoon 06-{random.choice('1234')}{d(7)}",
            f"tel. 601 {d(3)} {d(3)}",
            f"mobile 98{d(8)}",
            f"phone 202-555-01{d(2)}",
            f"telefon 070-174 06 {d(2)}",
            f"telemóvel 912 {d(3)} {d(3)}",
            f"phone: 202555{random.choice(['01'])}{d(2)}",
        ]
    )


def birth_date(random: Random) -> str:
    """A date of birth with the word that says so."""
    born = day(random)
    return random.choice(
        [
            f"born {born:%d.%m.%Y}",
            f"DOB: {born:%Y-%m-%d}",
            f"date of birth {born:%d/%m/%Y}",
            f"born on {born:%-d %B %Y}",
            f"born {born:%B %-d, %Y}",
            f"geboren am {born:%d.%m.%Y}",
            f"Geburtsdatum: {born:%d.%m.%Y}",
            f"geb. {born:%d.%m.%y}",
            f"geboren am {born.day}. März {born.year}",
            f"née le {born:%d/%m/%Y}",
            f"date de naissance : {born:%d/%m/%Y}",
            f"né le {born.day} mars {born.year}",
            f"nacido el {born.day} de mayo de {born.year}",
            f"fecha de nacimiento: {born:%d/%m/%Y}",
            f"nata il {born:%d/%m/%Y}",
            f"data di nascita {born:%d-%m-%Y}",
            f"geboortedatum {born:%d-%m-%Y}",
            f"geboren op {born:%d-%m-%Y}",
            f"data de nascimento: {born:%d/%m/%Y}",
            f"nascido em {born:%d/%m/%Y}",
            f"data urodzenia: {born:%d.%m.%Y}",
            f"urodzony {born:%d.%m.%Y}",
            f"född {born:%Y-%m-%d}",
            f'"birth_date":"{born:%Y-%m-%d}"',
        ]
    )


def evasive(random: Random) -> str:
    """An address or a card in a disguise."""
    wide = str.maketrans({chr(c): chr(c + 0xFEE0) for c in range(0x21, 0x7F)})
    address, number = "anna.meier@example.org", card(random)
    return random.choice(
        [
            " ".join(address),
            address.translate(wide),
            address.replace("@", "\uff20"),
            "anna.meier [at] example [dot] org",
            "anna.meier(at)example.org",
            "anna.meier at example dot org",
            "anna\u200b.meier@exa\u00admple.org",
            "anna.meier @ example.org",
            " ".join(number.replace(" ", "").replace("-", "")),
            number.translate(wide),
            "\u200b".join(number),
            number.replace(" ", "\u00a0"),
            number.replace(" ", "\n"),
            "-".join(number.replace("-", "").replace(" ", "")),
        ]
    )
