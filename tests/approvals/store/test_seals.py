"""The seal of a record: its bytes, its id and its version together, and nothing in their place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.signing import entry_mac
from approvals.store.seals import LENGTH, UnsealedRecord, with_seal, without_seal

KEY = b"k" * 32
BODY = b'{"id":"req_1","status":"pending","uses":1}'


def test_what_was_sealed_is_read() -> None:
    stored = with_seal(KEY, "req_1", 3, BODY)
    assert len(stored) == LENGTH + len(BODY)
    assert stored.isascii()
    assert without_seal(KEY, "req_1", 3, stored) == BODY


@pytest.mark.parametrize(
    ("key", "record", "version"),
    [(b"x" * 32, "req_1", 3), (KEY, "req_2", 3), (KEY, "req_1", 2), (KEY, "req_1", 4)],
)
def test_another_key_record_or_version_does_not_fit(key: bytes, record: str, version: int) -> None:
    with pytest.raises(UnsealedRecord):
        without_seal(key, record, version, with_seal(KEY, "req_1", 3, BODY))


@given(st.integers(0, LENGTH + len(BODY) - 1), st.integers(1, 255))
def test_no_byte_may_change(place: int, by: int) -> None:
    stored = bytearray(with_seal(KEY, "req_1", 3, BODY))
    stored[place] ^= by
    with pytest.raises(UnsealedRecord):
        without_seal(KEY, "req_1", 3, bytes(stored))


@pytest.mark.parametrize("stored", [b"", b"{}", BODY, b"A" * LENGTH, b"A" * LENGTH + BODY])
def test_what_carries_no_seal_is_not_read(stored: bytes) -> None:
    with pytest.raises(UnsealedRecord) as refusal:
        without_seal(KEY, "req_1", 3, stored)
    assert "req_1" not in refusal.value.detail


def test_an_id_cannot_run_into_the_version_or_the_body() -> None:
    stored = with_seal(KEY, "req_1", 12, BODY)
    with pytest.raises(UnsealedRecord):
        without_seal(KEY, "req_11", 2, stored)


def test_the_mac_of_an_entry_is_no_seal() -> None:
    forged = entry_mac(KEY, BODY)[:LENGTH].encode() + BODY
    with pytest.raises(UnsealedRecord):
        without_seal(KEY, "req_1", 1, forged)
