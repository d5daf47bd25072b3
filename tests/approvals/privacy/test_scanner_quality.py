"""How much is found in a set on which nothing was tuned, and how much is touched wrongly."""

from __future__ import annotations

import pytest

from approvals.privacy.finds import Checks
from approvals.privacy.national_ids import MOST_IDS, national_ids
from approvals.privacy.normal_form import NormalForm
from approvals.privacy.payment_numbers import MOST_CARDS, MOST_IBANS, cards, ibans
from approvals.privacy.phones import MOST_PHONES, phones
from approvals.privacy.scanner import Scanner, replaced
from benchmarks.scanning import HELD_OUT, is_found
from benchmarks.scanning_texts import KINDS, clean, planted

SCANNER = Scanner()
EACH = 80
FLOORS = dict.fromkeys(KINDS, 0.95) | {"phone": 0.9, "national_id": 0.9, "name": 0, "address": 0}
PLANTED = planted(HELD_OUT, EACH)


@pytest.mark.parametrize("kind", KINDS)
def test_enough_of_each_kind_is_found(kind: str) -> None:
    found = [is_found(one, SCANNER.scan(one.text)) for one in PLANTED if one.kind == kind]
    assert len(found) == EACH
    assert sum(found) >= FLOORS[kind] * EACH


def test_names_and_addresses_are_not_found() -> None:
    # The documentation says so; should this change, it must change too.
    unseen = [one for one in PLANTED if one.kind in {"name", "address"}]
    assert not any(is_found(one, SCANNER.scan(one.text)) for one in unseen)


def test_at_most_one_of_a_hundred_clean_texts_is_touched() -> None:
    texts = clean(HELD_OUT, 300)
    assert sum(bool(SCANNER.scan(text)) for text in texts) <= 3


def test_what_was_masked_in_the_set_is_not_hit_again() -> None:
    masked = [replaced(one.text, SCANNER.scan(one.text)) for one in PLANTED]
    assert [text for text in masked if SCANNER.scan(text)] == []


@pytest.mark.parametrize(
    ("find", "most", "piece"),
    [
        (cards, MOST_CARDS, "4111 1111 1111 1112, "),
        (ibans, MOST_IBANS, "DE88 3704 0044 0532 0130 00, "),
        (national_ids, MOST_IDS, "54362315-A, "),
        (phones, MOST_PHONES, "tel. 030 1, +49 30 23125 01, "),
    ],
)
def test_past_a_number_of_judgements_the_shape_alone_decides(find, most, piece) -> None:  # type: ignore[no-untyped-def]
    checks = Checks(most)
    hits = list(find(NormalForm(piece * 2_000), checks))
    assert checks.left <= 0
    assert hits[-1].end > len(piece) * 1_990
