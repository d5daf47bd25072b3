"""The keys of data subjects as the store holds them: wrapped, one for each subject.

A key is made with the first words that need it, in their commit, and deleting it forgets them all.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from approvals.encryption import SubjectKey, Undecipherable, WrappingKey
from approvals.model import ApprovalRequest, Encrypted, RequestId
from approvals.signing import Marks
from approvals.store.keys import Keys
from approvals.store.pipeline import Pipeline
from approvals.store.scripts import Keyed, UnreadableRecord

_OWN = "words of the deployment"


@dataclass(frozen=True, slots=True)
class Ready:
    """A key to encrypt with, and what the commit has to find or to make."""

    key: SubjectKey
    keyed: Keyed


class SubjectKeys:
    """Every subject's key. What is wrapped under another vault key is told, never replaced."""

    def __init__(self, pipeline: Pipeline, keys: Keys, marks: Marks, wrapping: WrappingKey) -> None:
        self._pipeline = pipeline
        self._keys = keys
        self._marks = marks
        self._wrapping = wrapping

    def name(self, subject_mark: str | None, request: RequestId) -> str:
        """By what name the key goes for words of `request`: of its subject, or of itself alone."""
        return subject_mark or self._marks.alone(request)

    async def ready(self, name: str) -> Ready:
        """The key of that name, or a new one that is still to be put. Raises `UnreadableRecord`."""
        (held,) = await self._held([name])
        if held is not None:
            place = self._keys.vault(name)
            return Ready(self._unwrapped(name, held), Keyed(place, held.decode(), is_new=False))
        return self.fresh(name)

    def fresh(self, name: str) -> Ready:
        """A new key for where none can be held."""
        key = SubjectKey.new()
        place = self._keys.vault(name)
        wrapped = base64.b64encode(self._wrapping.wrap(key, name)).decode()
        return Ready(key, Keyed(place, wrapped, is_new=True))

    async def of(self, request: ApprovalRequest) -> SubjectKey | None:
        """The key of one request's words; None once it is deleted."""
        return (await self.of_all([request]))[0]

    async def of_all(self, requests: Sequence[ApprovalRequest]) -> list[SubjectKey | None]:
        """The keys of several requests' words, in one round trip and in order."""
        names = [self.name(one.asked.subject_mark, one.id) for one in requests]
        held = await self._held(names)
        return [
            None if wrapped is None else self._unwrapped(name, wrapped)
            for name, wrapped in zip(names, held, strict=True)
        ]

    def own(self, text: str) -> Encrypted:
        """Words that concern no data subject, such as an admin's reason, for the store to keep."""
        return self._wrapping.own.encrypt(text, _OWN)

    def read_own(self, words: Encrypted) -> str:
        """What `own` was given. Raises `UnreadableRecord`."""
        try:
            text = self._wrapping.own.decrypt(words, _OWN)
        except Undecipherable:
            text = None
        if text is None:
            raise UnreadableRecord("Words in the store cannot be opened with PLACET_VAULT_KEY.")
        return text

    async def _held(self, names: Iterable[str]) -> list[bytes | None]:
        keys = [self._keys.vault(name) for name in names]
        if not keys:
            return []
        return cast("list[bytes | None]", await self._pipeline.run("MGET", *keys))

    def _unwrapped(self, name: str, held: bytes) -> SubjectKey:
        try:
            return self._wrapping.unwrap(base64.b64decode(held), name)
        except (Undecipherable, ValueError):
            raise UnreadableRecord(
                "The key of a data subject in the store cannot be opened with PLACET_VAULT_KEY. "
                "Ask an admin to look into the store."
            ) from None
