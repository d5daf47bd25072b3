"""Presidio as a further detector. It only adds: what it finds yields to the scanner's own finds.

Needs the extra `presidio`, and a language model that the administrator has installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from approvals.privacy.finds import Hit, Kind

# What we have a name for. Other entities, names and places among them, would need kinds of theirs.
_KINDS: Mapping[str, Kind] = {
    "EMAIL_ADDRESS": "email",
    "CREDIT_CARD": "card",
    "IBAN_CODE": "iban",
    "IP_ADDRESS": "ip",
    "PHONE_NUMBER": "phone",
    "US_SSN": "national_id",
    "US_ITIN": "national_id",
    "UK_NHS": "national_id",
    "UK_NINO": "national_id",
    "ES_NIF": "national_id",
    "ES_NIE": "national_id",
    "IT_FISCAL_CODE": "national_id",
    "PL_PESEL": "national_id",
    "FI_PERSONAL_IDENTITY_CODE": "national_id",
    "IN_AADHAAR": "national_id",
    "IN_PAN": "national_id",
}


class Finding(Protocol):
    """What we read of one result of Presidio."""

    entity_type: str
    start: int
    end: int
    score: float


class Analyzer(Protocol):
    """What we call of Presidio's `AnalyzerEngine`."""

    def analyze(self, *, text: str, language: str) -> Sequence[Finding]:
        """Its findings in `text`."""
        ...


class PresidioDetector:
    """Hands a text to an analyzer in each of `languages` and takes what is at least so sure."""

    def __init__(
        self, analyzer: Analyzer, *, languages: Sequence[str] = ("en",), least_score: float = 0.5
    ) -> None:
        self._analyzer = analyzer
        self._languages = tuple(languages)
        self._least_score = least_score

    def detect(self, text: str) -> Iterable[Hit]:
        """Finds of the kinds that have a name here; places are those of `text`."""
        for language in self._languages:
            yield from self._of(self._analyzer.analyze(text=text, language=language))

    def _of(self, findings: Sequence[Finding]) -> Iterator[Hit]:
        for finding in findings:
            kind = _KINDS.get(finding.entity_type)
            if kind and finding.score >= self._least_score:
                yield Hit(kind, finding.start, finding.end)


def installed_presidio(languages: Sequence[str] = ("en",)) -> PresidioDetector:
    """A detector on Presidio's own engine. Raises `ImportError` where the extra is missing."""
    # Here, because the extra need not be there, and because it takes seconds.
    from presidio_analyzer import AnalyzerEngine  # noqa: PLC0415

    return PresidioDetector(
        AnalyzerEngine(supported_languages=list(languages)), languages=languages
    )
