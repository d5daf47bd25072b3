"""Made-up business texts in eleven languages: with personal data in them, and clean ones.

The clean ones are full of what looks like a number of a person and is none. All from a seed.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple
from uuid import UUID

from benchmarks import scanning_ids
from benchmarks import scanning_values as values

_AROUND = (
    "Please export the record of {} before Friday.",
    "{}",
    "Customer wrote: {}",
    "{} asked for deletion, ticket ZD-48213.",
    "Access for {}, approved in the meeting.",
    "Bitte die Daten von {} prüfen.",
    "Kunde nennt {}; Vorgang folgt.",
    "Merci de vérifier {} avant lundi.",
    "Le client a indiqué {}.",
    "Revisar los datos: {}, gracias.",
    "El cliente dio {}.",
    "Verificare {} entro venerdì.",
    "Il cliente ha scritto {}.",
    "Controleer {} a.u.b.",
    "Klant gaf {} door.",
    "Proszę sprawdzić {}.",
    "Verificar {} até sexta-feira.",
    "Kontrollera {} före fredag.",
    "Kontroller {} inden fredag.",
    "Tarkista {} ennen perjantaita.",
    "See note ({}).",
    "line one\n{}\nline three",
    "Reason: {}!",
    '{{"note": "{}"}}',
)
_CLEAN = (
    "Customer asked for a copy of their data, ticket ZD-{d5}.",
    "Order {d8} of {iso} was refunded twice.",
    "Export of {thousands} records for the annual audit, finance-share.",
    "Release version 1.{d1}.{d1}.{d1} needs a rollback.",
    "Job {uuid} failed at 12:3{d1}:0{d1}, retry at {iso}T08:15:00Z.",
    "Request req_{ulid} expired after 15 minutes.",
    "Commit {hash} broke the import, see pull request {d4}.",
    "Invoice {amount} EUR, due on {iso}, cost centre {d4}.",
    "We meet at 10 [at] night, room 4.0{d1}.",
    "Row {d19} and row {d13} have no country.",
    "password: customer forgot it",
    "token: renewal requested by the partner",
    "Please call back about order {d10} tomorrow.",
    "Server port 8443, build v2.{d1}.{d2}.{d1}.",
    "Kunde bittet um Auskunft, Vorgang {d6}/2026.",
    "Rechnung über {amount} EUR vom {de} prüfen.",
    "Telefonat am {de}, Bestellung {d8}.",
    "Bericht Q{q}/2026 mit {thousands} Zeilen, Kapitel 4.1.2.{d1}.",
    "Passwort: vom Kunden vergessen",
    "Export de {thousands} lignes pour l'audit, dossier {d7}.",
    "Facture n° {d9} du {fr}, montant {amount} €.",
    "Appel du {fr} à 14h30, commande {d8}.",
    "mot de passe : à renouveler",
    "Pedido {d8}, importe {amount} EUR, fecha {fr}.",
    "Llamada sobre el pedido {d7}, caso {d6}.",
    "Ordine {d8} del {fr}, fattura {d6}/2026.",
    "Chiamata per l'ordine {d9}.",
    "Bestelling {d8}, factuur {d7} van {fr}.",
    "Gebeld over bestelling {d8}, dossier {d6}.",
    "Zamówienie {d8} z dnia {de}, faktura FV/{d4}/2026.",
    "Encomenda {d8}, fatura {d6}, valor {amount} EUR.",
    "Order {d8} från {iso}, ärende {d6}.",
    "Sag {d7}, faktura {d8}, {de}.",
    "Tilaus {d8}, lasku {d7}, {de}.",
    "Ratio 1:{d2}:{d2}, growth +{d1}{d1} 000 users, margin 12,{d1} %.",
    "Batch {d4}-{d4}-{d2}, shelf {d2}-{d2}-{d2}.",
    "The data model has std::vector and a::b, see section 3.2.1.{d1}.",
    "Maintenance 2026-11-30 22:00 to 2026-12-01 02:00 UTC+0100.",
    "Product code AB-{d4}-X, batch {d2}{de}, SKU {d12}.",
    "Tracking {d12}, pallet {d6}, gate {d2}.",
    "api key: rotate by {iso}",
    "Secret: the project name stays internal",
    "Birthday campaign starts {iso}, 20 % off.",
    "@team please review, cc @finance.lead",
    "Sum {thousands}, {thousands} and {thousands} in three files.",
    "Timestamp {d10} and {d13} differ by 3 ms.",
)
_SECRETS = (
    "AKIA{A16}",
    "aws_secret_access_key = {x40}",
    "AIza{x35}",
    "ghp_{x36}",
    "github_pat_{x22}_{x36}",
    "glpat-{x20}",
    "xoxb-{d12}-{d12}-{x24}",
    "https://hooks.slack.com/services/T{A8}/B{A8}/{x24}",
    "sk_live_{x24}",
    "SG.{x22}.{x43}",
    "npm_{x36}",
    "pypi-AgEIcHlwaS5vcmc{x60}",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIi{x20}.{x43}",
    "-----BEGIN RSA PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----\n{x40}",
    "Authorization: Bearer {x20}{d8}{x12}",
    "postgres://app:{x12}@db.example.org/app",
    "password=Tr0ub4dor{d2}",
    '"password":"x1!{x8}"',
    "pwd: hunter{d2}",
    "api_key: {x16}{d8}",
    "client_secret={x20}{d4}",
    "plc_{x8}_{x32}",
    "whsec_{x32}",
    "AccountKey={x40}{x40}==",
    "Passwort: geheim{d3}!",
    "mot de passe : soleil{d4}",
    "contraseña: Verano{d4}",
    "SK{hash}{hash8}",
    "Authorization: Basic YWxhZGRpbjpvcGVuc2VzYW1l",
)
_NAMES = (
    "Anna Meier",
    "Jean Dupont",
    "María García",
    "Giulia Rossi",
    "Piet Jansen",
    "Jan Kowalski",
    "João Silva",
)
_STREETS = (
    "Hauptstraße 12, 10115 Berlin",
    "12 rue de la Paix, 75002 Paris",
    "10 Downing Street, London SW1A 2AA",
)
_KINDS: dict[str, Callable[[Random], str]] = {
    "email": values.email,
    "card": values.card,
    "iban": values.iban,
    "national_id": scanning_ids.national_id,
    "ip": values.ip,
    "birth_date": values.birth_date,
    "phone": values.phone,
    "secret": lambda random: _filled(random, random.choice(_SECRETS)),
    "evasion": values.evasive,
    "name": lambda random: random.choice(_NAMES),
    "address": lambda random: random.choice(_STREETS),
}
KINDS = tuple(_KINDS)


class Planted(NamedTuple):
    """A text with one value of a kind between `start` and `end`."""

    kind: str
    text: str
    start: int
    end: int


def planted(seed: str, each: int) -> list[Planted]:
    """`each` texts for each kind. Other seeds give other texts: one to tune on, one held out."""
    random = Random(seed)
    return [_planted(random, kind) for kind in KINDS for _ in range(each)]


def clean(seed: str, count: int) -> list[str]:
    """Texts without personal data."""
    random = Random(seed)
    return [_filled(random, _CLEAN[number % len(_CLEAN)]) for number in range(count)]


def _planted(random: Random, kind: str) -> Planted:
    value, around = _KINDS[kind](random), random.choice(_AROUND)
    start = around.replace("{{", "{").index("{}") if around != '{{"note": "{}"}}' else 10
    return Planted(kind, around.format(value), start, start + len(value))


def _filled(random: Random, template: str) -> str:
    parts = template.replace("}", "{").split("{")
    return "".join(_part(random, part) if place % 2 else part for place, part in enumerate(parts))


def _part(random: Random, name: str) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    if name[0] in "dxA" and name[1:].isdecimal():
        signs = {
            "d": "0123456789",
            "x": letters + letters.upper() + "0123456789",
            "A": "ABCDEFGHJKLMNPQRSTUVWXYZ234567",
        }
        first = (
            random.choice("123456789")
            if name[0] == "d" and int(name[1:]) > 1
            else random.choice(signs[name[0]])
        )
        return first + "".join(random.choice(signs[name[0]]) for _ in range(int(name[1:]) - 1))
    day, month = random.randrange(1, 29), random.randrange(1, 13)
    number = random.randrange(1_000, 9_000_000)
    made = {
        "iso": f"2026-{month:02}-{day:02}",
        "de": f"{day:02}.{month:02}.2026",
        "fr": f"{day:02}/{month:02}/2026",
        "q": str(1 + month % 4),
        "thousands": f"{number:,}".replace(",", random.choice(" .,")),
        "amount": f"{number:,}".replace(",", ".") + ",00",
        "uuid": str(UUID(int=random.getrandbits(128), version=4)),
        "ulid": "01K"
        + "".join(random.choice("0123456789ABCDEFGHJKMNPQRSTVWXYZ") for _ in range(23)),
        "hash": f"{random.getrandbits(96):024x}",
        "hash8": f"{random.getrandbits(32):08x}",
    }
    return made[name]
