"""Audit entries: an event becomes canonical bytes with a MAC whose key is not in Redis."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from pydantic import JsonValue

from approvals.answer import moment
from approvals.events import Event
from approvals.signing import entry_mac
from approvals.store.keys import Keys
from approvals.store.pipeline import Pipeline

FORMAT = 1


@dataclass(frozen=True, slots=True)
class EntryPlace:
    """Where an entry stands: its record, the commit's version and operation, and its number."""

    record: str
    version: int
    op: str
    number: int
    at: datetime


@dataclass(frozen=True, slots=True)
class SealedEntry:
    """An entry's bytes as stored, and its MAC."""

    text: bytes
    mac: str


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def canonical_entry(entry: dict[str, JsonValue]) -> bytes:
    """RFC 8785 bytes of an entry. The standard encoder gives them for what entries hold.

    Entries hold ASCII keys, text, whole numbers below 2**53, booleans and lists: a test holds
    this equal to the library for RFC 8785, which is four times slower.
    """
    return _encode(entry).encode()


def seal_entry(key: bytes, event: Event, place: EntryPlace) -> SealedEntry:
    """The entry of one event: what happened, where it stands, and the MAC over both."""
    facts = event.model_dump(mode="json", exclude_defaults=True, exclude={"type"})
    # `mac` sorts between `data` and `n`: each half is encoded once, for the MAC and the entry.
    head = canonical_entry({"at": moment(place.at), "data": facts})[:-1]
    tail: dict[str, JsonValue] = {
        "n": place.number,
        "record": place.record,
        "type": event.type,
        "v": FORMAT,
        "version": place.version,
    }
    if place.op != place.record:  # an opening's operation is its record's id
        tail["op"] = place.op
    rest = canonical_entry(tail)[1:]
    mac = entry_mac(key, head + b"," + rest)
    return SealedEntry(head + b',"mac":"' + mac.encode() + b'",' + rest, mac)


def is_genuine(key: bytes, text: bytes) -> bool:
    """Whether a stored entry carries the MAC of its own content."""
    entry = cast("dict[str, JsonValue]", json.loads(text))
    # A member sent twice would read as one thing here and as another elsewhere.
    is_canonical = canonical_entry(entry) == text
    mac = entry.pop("mac", None)
    return is_canonical and mac == entry_mac(key, canonical_entry(entry))


class Log:
    """Reads the audit log in order."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._pipeline = pipeline
        self._keys = keys

    async def entries(self, batch: int = 500) -> AsyncIterator[bytes]:
        """Every entry's bytes, oldest first."""
        start = b"-"
        while True:
            reply = await self._pipeline.run("XRANGE", self._keys.log, start, "+", "COUNT", batch)
            rows = cast("list[tuple[bytes, list[bytes]]]", reply)
            for _, fields in rows:
                yield fields[1]
            if len(rows) < batch:
                return
            start = b"(" + rows[-1][0]
