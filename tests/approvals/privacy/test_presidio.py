"""The adapter to Presidio, against a stand-in with the shape of its call."""

from __future__ import annotations

from dataclasses import dataclass

from approvals.privacy.presidio import PresidioDetector
from approvals.privacy.scanner import Hit, Scanner


@dataclass
class Result:
    entity_type: str
    start: int
    end: int
    score: float


class Engine:
    def __init__(self, *results: Result) -> None:
        self.results = results
        self.asked: list[tuple[str, str]] = []

    def analyze(self, *, text: str, language: str) -> list[Result]:
        self.asked.append((text, language))
        return list(self.results)


def test_what_has_a_kind_here_and_is_sure_enough_is_taken() -> None:
    engine = Engine(
        Result("PHONE_NUMBER", 0, 4, 0.75),
        Result("IP_ADDRESS", 5, 9, 0.2),
        Result("PERSON", 5, 9, 0.85),
    )
    assert list(PresidioDetector(engine).detect("some text")) == [Hit("phone", 0, 4)]


def test_each_language_is_asked() -> None:
    engine = Engine()
    assert list(PresidioDetector(engine, languages=["en", "de"]).detect("text")) == []
    assert engine.asked == [("text", "en"), ("text", "de")]


def test_it_only_adds_to_what_the_scanner_found() -> None:
    engine = Engine(Result("IP_ADDRESS", 0, 8, 1.0), Result("US_SSN", 17, 21, 1.0))
    hits = Scanner([PresidioDetector(engine)]).scan("anna@example.org 1234")
    assert [hit.kind for hit in hits] == ["email", "national_id"]
