"""Foreign text on its way in: what the scan finds is masked or refused, as policy says.

Secrets are refused always. What is found is told by kind and place, never by its value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from approvals.errors import Finding, FoundInText, PersonalDataFound, SecretFound
from approvals.model import PiiInText, TextFinding
from approvals.privacy.scanner import SECRETS, Kind, Scanner, replaced

NAMES: Mapping[str, str] = {
    "email": "an e-mail address",
    "phone": "a phone number",
    "card": "a card number",
    "iban": "an IBAN",
    "national_id": "a national id",
    "ip": "an IP address",
    "birth_date": "a date of birth",
    "cloud_key": "a cloud key",
    "token": "an access token",
    "private_key": "a private key",
    "password": "a password",
}


def name_of(kind: str) -> str:
    """A kind in words; one that this version does not know goes by what they all are."""
    return NAMES.get(kind, "personal data")


class Screening:
    """The texts of one call. Give it each text, then `check`: all faults are told at once."""

    def __init__(self, mode: PiiInText, scanner: Scanner) -> None:
        self._mode = mode
        self._scan = scanner.scan
        self._found: dict[tuple[str, Kind], None] = {}

    def text(self, pointer: str, text: str) -> str:
        """`text` with every find replaced by its kind; `pointer` names it (RFC 6901)."""
        hits = self._scan(text)
        self._found |= dict.fromkeys((pointer, hit.kind) for hit in hits)
        return replaced(text, hits)

    def look(self, pointer: str, text: str) -> None:
        """A text that is not kept as it is, or must stand as it is: it may hold no secret."""
        for hit in self._scan(text):
            if hit.kind in SECRETS:
                self._found[pointer, hit.kind] = None

    def bare(self, pointer: str, text: str) -> None:
        """An id, which cannot be masked: whatever is found in it is refused."""
        if hits := self._scan(text):
            found = [(pointer, hit.kind) for hit in hits]
            raise _refused(PersonalDataFound, found, "name it otherwise")

    def check(self) -> tuple[TextFinding, ...]:
        """What was masked. Raises `SecretFound`, and `PersonalDataFound` where policy refuses."""
        secrets = [found for found in self._found if found[1] in SECRETS]
        if secrets:
            raise _refused(SecretFound, secrets, "take it out, and replace it where it is used")
        if self._found and self._mode == "refuse":
            raise _refused(PersonalDataFound, self._found, "leave it out")
        return tuple(TextFinding(pointer=pointer, kind=kind) for pointer, kind in self._found)


def _refused(
    error: type[FoundInText], found: Iterable[tuple[str, Kind]], remedy: str
) -> FoundInText:
    places = list(dict.fromkeys(found))
    findings = [Finding(pointer, f"holds {NAMES[kind]}; {remedy}") for pointer, kind in places]
    return error(findings, tuple(dict.fromkeys(kind for _, kind in places)))
