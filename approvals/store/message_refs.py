"""Where a request's cards stand on the chat platforms, so that they are edited and not repeated.

Put once by script: of two workers that post at once, one learns that the other was first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import cast

from approvals.model import RequestId
from approvals.store.cards import CardPlace
from approvals.store.keys import Keys
from approvals.store.pipeline import Pipeline
from approvals.store.records import insist
from approvals.store.scripts import Scripts, UnreadableRecord

Spot = tuple[str, str]  # a place, as the policy names it, and a platform
_KEPT = ("channel", "message", "drawn", "refused", "extra")


@dataclass(frozen=True, slots=True)
class StoredRef:
    """A message that stands, or the code by which the place `refused` it.

    `drawn` is the fingerprint of the card last drawn there, '' while that is not known. `extra` are
    messages posted besides it, by channel and id, whose buttons are still to be taken off.
    `as_held` are the bytes it was read from: another version of us may write it differently.
    """

    channel: str = ""
    message: str = ""
    drawn: str = ""
    refused: str = ""
    extra: tuple[tuple[str, str], ...] = ()
    as_held: bytes = field(default=b"", compare=False, repr=False)

    @property
    def stands(self) -> bool:
        """Whether there is a message to edit."""
        return bool(self.message)


class MessageRefs:
    """The refs of every request, one for each place and platform."""

    def __init__(self, pipeline: Pipeline, scripts: Scripts, keys: Keys) -> None:
        self._pipeline = pipeline
        self._scripts = scripts
        self._keys = keys

    async def of(self, request: RequestId) -> dict[Spot, StoredRef]:
        """The refs of a request. Raises `UnreadableRecord`."""
        reply = await self._pipeline.run("HGETALL", self._keys.refs(request))
        flat = iter(cast("list[bytes]", reply))
        return {_spot(name): _read(value) for name, value in zip(flat, flat, strict=True)}

    async def put(
        self, card: CardPlace, platform: str, ref: StoredRef, instead_of: StoredRef | None = None
    ) -> StoredRef:
        """Puts `ref` where `instead_of` (None = nothing) is held; answers what holds then.

        That is `ref`, or what somebody else has put meanwhile.
        """
        key, name = self._keys.refs(card.request), _field(card, platform)
        known = (instead_of.as_held or _written(instead_of)) if instead_of else b""
        held = await insist(lambda: self._scripts.put_ref(key, name, known, _written(ref)))
        return _read(held)

    async def doubt(self, card: CardPlace, platform: str) -> None:
        """Forgets what is drawn there now, whoever drew it, so that the next worker draws it."""
        held = (await self.of(card.request)).get((card.place, platform))
        while held and held.drawn:  # each turn but the last means that somebody else has drawn
            held = await self.put(card, platform, replace(held, drawn=""), instead_of=held)


def _field(card: CardPlace, platform: str) -> str:
    return f"{card.place}|{platform}"


def _spot(name: bytes) -> Spot:
    place, _, platform = name.decode(errors="replace").rpartition("|")
    return place, platform


def _written(ref: StoredRef) -> bytes:
    kept = {name: getattr(ref, name) for name in _KEPT}
    return json.dumps(kept, separators=(",", ":")).encode()


def _read(value: bytes) -> StoredRef:
    try:
        fields = json.loads(value)
        extra = tuple((channel, message) for channel, message in fields.pop("extra"))
        return StoredRef(**fields, extra=extra, as_held=value)
    except (ValueError, TypeError, AttributeError, KeyError):
        raise UnreadableRecord("A message ref of the store cannot be read.") from None
