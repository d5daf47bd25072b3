"""Every mistake in `mistakes/*.txt`: what is replaced (-), by what (+), and all it makes told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from approvals.errors import ConfigurationInvalid
from approvals.policy.loader import load_configuration
from tests.approvals.policy.example import FILES, FIXTURES, write


@dataclass
class Mistake:
    file: str
    good: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def files(self) -> dict[str, str]:
        files = {**FILES, "fixtures.yaml": FIXTURES}
        text, good = files[self.file], "\n".join(self.good)
        assert text.count(good) == 1, "a mistake is made in exactly one place"
        return {**files, self.file: text.replace(good, "\n".join(self.broken))}


def _mistakes() -> Iterator[Mistake]:
    for path in sorted((Path(__file__).parent / "mistakes").glob("*.txt")):
        for block in path.read_text(encoding="utf-8").strip("\n").split("\n\n"):
            first, *lines = block.split("\n")
            mistake = Mistake(first.removeprefix("file "))
            kinds = {"-": mistake.good, "+": mistake.broken}
            for line in lines:
                kinds.get(line[0], mistake.told).append(line[2:] if line[0] in kinds else line)
            yield mistake


MISTAKES = list(_mistakes())


@pytest.mark.parametrize("mistake", MISTAKES, ids=[one.told[0] for one in MISTAKES])
def test_a_mistake_is_told_with_its_place_and_remedy_and_nothing_else(
    tmp_path: Path, mistake: Mistake
) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        load_configuration(write(tmp_path, mistake.files()))
    assert [str(issue) for issue in caught.value.issues] == mistake.told


def test_every_file_has_its_mistakes() -> None:
    assert {mistake.file for mistake in MISTAKES} == {*FILES, "fixtures.yaml"}
    assert len(MISTAKES) > 100
