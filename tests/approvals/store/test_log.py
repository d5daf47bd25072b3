"""Audit entries: canonical bytes, a MAC that shows every change, and nothing personal."""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue
from redis.asyncio import Redis

from approvals.events import CallbackAttempted, Event, GrantEnded, RequestDecided, RequestOpened
from approvals.lifecycle import open_request
from approvals.model import GrantId
from approvals.store.log import EntryPlace, canonical_entry, is_genuine, seal_entry
from approvals.store.scripts import Scripts
from approvals.store.store import Store
from tests.approvals.samples import NOW, asked, opening
from tests.approvals.store.support import STANDS_AT, commit_of, stop_the_clock

KEY = b"k" * 32
PLACE = EntryPlace("req_1", 2, "op-1", 3, datetime(2026, 11, 23, 14, 17, 0, 123456, tzinfo=UTC))
ENDED = GrantEnded(grant=GrantId("grt_1"), reason="time")

NAMES = st.text(st.characters(codec="ascii", categories=("L", "N", "P")), min_size=1, max_size=12)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(entry=st.dictionaries(NAMES, VALUES, max_size=8))
def test_the_quick_encoder_writes_what_rfc_8785_says(entry: dict[str, JsonValue]) -> None:
    assert canonical_entry(entry) == rfc8785.dumps(entry)


def events() -> list[Event]:
    said = asked(context={"geo.country": "DE", "requester.roles": ["ops", "ü"]})
    return [
        *open_request(opening(asked_for=said), NOW).events,
        *open_request(opening(), NOW).events,
        ENDED,
        CallbackAttempted(type="callback.failed", attempt=2, kind="timeout", milliseconds=9),
    ]


@pytest.mark.parametrize("event", events(), ids=lambda event: event.type)
def test_a_stored_entry_is_canonical_and_carries_the_mac_of_the_rest(event: Event) -> None:
    sealed = seal_entry(KEY, event, PLACE)
    entry = json.loads(sealed.text)
    assert sealed.text == rfc8785.dumps(entry)
    mac = entry.pop("mac")
    assert sealed.mac == mac
    again = hmac.new(KEY, rfc8785.dumps(entry), "sha256").digest()
    assert mac == _base64url(again)
    assert is_genuine(KEY, sealed.text)


def _base64url(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def test_an_entry_says_what_happened_where_and_when() -> None:
    entry = json.loads(seal_entry(KEY, ENDED, PLACE).text)
    del entry["mac"]
    assert entry == {
        "v": 1,
        "record": "req_1",
        "n": 3,
        "version": 2,
        "op": "op-1",
        "at": "2026-11-23T14:17:00.123Z",
        "type": "grant.ended",
        "data": {"grant": "grt_1", "reason": "time"},
    }


def kinds(base: type[Event] = Event) -> list[type[Event]]:
    return [base, *(kind for below in base.__subclasses__() for kind in kinds(below))]


TIMES = [
    (kind, name)
    for kind in kinds()
    for name, field in kind.model_fields.items()
    if "datetime" in repr(field.annotation)
]


@pytest.mark.parametrize(("kind", "name"), TIMES)
def test_every_time_of_an_entry_is_written_alike(kind: type[Event], name: str) -> None:
    at = datetime(2026, 11, 23, 14, 32, 2, 21000, tzinfo=UTC)
    facts: dict[str, Any] = {"type": "something.happened", name: at}
    event = kind.model_construct(**facts)
    entry = json.loads(seal_entry(KEY, event, replace(PLACE, at=at)).text)
    assert entry["at"] == entry["data"][name] == "2026-11-23T14:32:02.021Z"


def test_an_entry_may_hold_more_times_than_its_own() -> None:
    assert (RequestOpened, "expires_at") in TIMES
    assert (RequestDecided, "grant_expires_at") in TIMES


def test_an_opening_names_no_subject_and_no_words() -> None:
    (opened,) = open_request(opening(), NOW).events
    assert isinstance(opened, RequestOpened)
    text = seal_entry(KEY, opened, PLACE).text
    assert b"customer:48213" not in text
    assert b"Customer asked" not in text
    assert json.loads(text)["data"]["subject"] == "5" * 32


def test_another_key_does_not_verify() -> None:
    assert not is_genuine(b"x" * 32, seal_entry(KEY, ENDED, PLACE).text)


@settings(deadline=None)
@given(place=st.integers(0, 400), bit=st.integers(0, 7))
def test_every_bit_counts(place: int, bit: int) -> None:
    text = bytearray(seal_entry(KEY, ENDED, PLACE).text)
    text[place % len(text)] ^= 1 << bit
    try:
        genuine = is_genuine(KEY, bytes(text))
    except (ValueError, AttributeError):  # it is no JSON object any more
        genuine = False
    assert not genuine


def test_a_member_sent_twice_does_not_verify() -> None:
    text = seal_entry(KEY, ENDED, PLACE).text
    for forged in (
        text.replace(b'{"at"', b'{"type":"request.denied","at"'),
        text.replace(b'{"at"', b'{ "at"'),
        text + b"\n",
    ):
        assert json.loads(forged) == json.loads(text)
        assert not is_genuine(KEY, forged)


def test_an_entry_without_a_mac_does_not_verify() -> None:
    entry = json.loads(seal_entry(KEY, ENDED, PLACE).text)
    del entry["mac"]
    assert not is_genuine(KEY, canonical_entry(entry))


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 500])
async def test_the_log_is_read_in_order_whatever_the_batch(
    store: Store, client: Redis, batch: int
) -> None:
    await stop_the_clock(client, store.keys)
    entries = tuple(b"entry %d" % n for n in range(7))
    commit = commit_of(store.keys, now=STANDS_AT, entries=entries)
    assert (await Scripts(store.pipeline, store.keys).commit(commit)).code == "OK"
    assert tuple([text async for text in store.log.entries(batch)]) == entries


async def test_an_empty_log_has_no_entries(store: Store) -> None:
    assert [text async for text in store.log.entries()] == []
