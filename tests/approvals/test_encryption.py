"""Words under a subject's key: read at their own place under their own key, and nowhere else."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.encryption import SubjectKey, Undecipherable, WrappingKey
from approvals.model import ERASED_WORDS, NO_WORDS, Encrypted

KEY, OTHER = SubjectKey(b"k" * 32), SubjectKey(b"o" * 32)
WRAPPING = WrappingKey(b"v" * 32)
WORDS = "The customer asked for a copy of their data"
PLACES = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=600)
KEY_ID, NONCE = range(4), range(4, 16)


def changed(text: Encrypted, at: int) -> Encrypted:
    """The same with one bit of its byte `at` turned."""
    held = bytearray(base64.urlsafe_b64decode(text))
    held[at] ^= 1
    return Encrypted(base64.urlsafe_b64encode(held).decode())


@given(TEXTS, PLACES)
def test_what_was_encrypted_is_read_again_at_its_place(text: str, place: str) -> None:
    made = KEY.encrypt(text, place)
    assert KEY.has_made(made)
    assert KEY.decrypt(made, place) == text


def test_a_text_of_any_length_shows_nothing_of_itself() -> None:
    held = base64.urlsafe_b64decode(KEY.encrypt(WORDS, "here"))
    assert not any(word.encode() in held for word in WORDS.split() if len(word) > 3)


def test_equal_texts_are_equal_nowhere() -> None:
    made = {KEY.encrypt(WORDS, "here") for _ in range(50)}
    assert len(made) == 50
    nonces = {base64.urlsafe_b64decode(one)[NONCE.start : NONCE.stop] for one in made}
    assert len(nonces) == 50


@given(TEXTS)
def test_another_key_reads_nothing_and_says_so(text: str) -> None:
    made = KEY.encrypt(text, "here")
    assert OTHER.decrypt(made, "here") is None
    assert not OTHER.has_made(made)


def test_two_new_keys_are_two() -> None:
    made = SubjectKey.new().encrypt(WORDS, "here")
    assert SubjectKey.new().decrypt(made, "here") is None


@pytest.mark.parametrize("there", ["", "her", "here ", "Here", "req_2\0here", "hère"])
def test_words_that_were_moved_are_undecipherable(there: str) -> None:
    with pytest.raises(Undecipherable):
        KEY.decrypt(KEY.encrypt(WORDS, "here"), there)


@pytest.mark.parametrize("at", [NONCE.start, NONCE.stop - 1, NONCE.stop, -17, -16, -1])
def test_words_that_were_changed_are_undecipherable(at: int) -> None:
    with pytest.raises(Undecipherable):
        KEY.decrypt(changed(KEY.encrypt(WORDS, "here"), at), "here")


@pytest.mark.parametrize("at", KEY_ID)
def test_words_whose_key_id_was_changed_are_another_key_s(at: int) -> None:
    assert KEY.decrypt(changed(KEY.encrypt(WORDS, "here"), at), "here") is None


@given(st.integers(len(KEY_ID), 15 + len(WORDS)))
def test_words_that_were_cut_are_undecipherable(kept: int) -> None:
    held = base64.urlsafe_b64decode(KEY.encrypt(WORDS, "here"))
    with pytest.raises(Undecipherable):
        KEY.decrypt(Encrypted(base64.urlsafe_b64encode(held[:kept]).decode()), "here")


@pytest.mark.parametrize("text", ["a", "abcde", "Grüße", "erased"])
def test_what_is_no_base64_is_undecipherable_and_nobody_s(text: str) -> None:
    with pytest.raises(Undecipherable):
        KEY.decrypt(Encrypted(text), "here")
    assert not KEY.has_made(Encrypted(text))


@pytest.mark.parametrize("text", [ERASED_WORDS, NO_WORDS])
def test_what_stands_in_place_of_words_is_no_key_s(text: Encrypted) -> None:
    assert not KEY.has_made(text)


def test_a_failure_holds_neither_text_nor_key() -> None:
    with pytest.raises(Undecipherable) as failed:
        KEY.decrypt(KEY.encrypt(WORDS, "here"), "there")
    assert str(failed.value) == ""
    assert failed.value.__cause__ is None
    assert "k" * 8 not in repr(vars(failed.value))


def test_a_key_is_kept_wrapped_and_opens_under_its_name() -> None:
    wrapped = WRAPPING.wrap(KEY, "mark")
    assert b"k" * 8 not in wrapped
    made = KEY.encrypt(WORDS, "here")
    assert WRAPPING.unwrap(wrapped, "mark").decrypt(made, "here") == WORDS


def test_a_key_wrapped_twice_is_alike_nowhere() -> None:
    assert WRAPPING.wrap(KEY, "mark") != WRAPPING.wrap(KEY, "mark")


@pytest.mark.parametrize(
    ("wrapping", "name"), [(WRAPPING, "other"), (WrappingKey(b"w" * 32), "mark")]
)
def test_a_key_under_another_name_or_vault_key_is_refused(wrapping: WrappingKey, name: str) -> None:
    with pytest.raises(Undecipherable):
        wrapping.unwrap(WRAPPING.wrap(KEY, "mark"), name)


@given(st.binary(max_size=80))
def test_what_is_no_wrapped_key_is_refused(wrapped: bytes) -> None:
    with pytest.raises(Undecipherable):
        WRAPPING.unwrap(wrapped, "mark")


@given(st.integers(0, 59))
def test_a_wrapped_key_that_was_changed_or_cut_is_refused(at: int) -> None:
    wrapped = bytearray(WRAPPING.wrap(KEY, "mark"))
    assert len(wrapped) == 60
    with pytest.raises(Undecipherable):
        WRAPPING.unwrap(bytes(wrapped[:at]), "mark")
    wrapped[at] ^= 1
    with pytest.raises(Undecipherable):
        WRAPPING.unwrap(bytes(wrapped), "mark")


def test_the_deployment_s_own_words_are_read_with_the_vault_key_alone() -> None:
    made = WRAPPING.own.encrypt(WORDS, "here")
    assert WrappingKey(b"v" * 32).own.decrypt(made, "here") == WORDS
    assert WrappingKey(b"w" * 32).own.decrypt(made, "here") is None
