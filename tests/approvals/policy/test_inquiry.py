"""What rules see of a request: nothing that it claims stands in for what Placet knows itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from approvals.model import ActionId, Asked, Requester, ServiceId
from approvals.policy.attributes import CLAIMABLE
from approvals.policy.inquiry import Inquiry, inquiry_of

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
OWN: dict[str, Any] = {
    "service": "crm",
    "requester.id": "okta:00u1",
    "requester.unreceipted": 1,
    "requester.overuse": 2,
    "client.ip": "192.0.2.1",
    "request.purpose": "support",
    "request.record_count": 5,
    "request.data_classes": ["contact"],
}


def _inquiry(**changes: object) -> Inquiry:
    asked = Asked(
        action=ActionId("customer.read"),
        title="Open one customer record",
        requester=Requester(id="okta:00u1"),
        purpose="support",
        record_count=5,
        data_classes=("contact",),
        address="192.0.2.1",
        unreceipted=1,
        overuse=2,
    )
    return inquiry_of(asked.model_copy(update=changes), ServiceId("crm"), AT)


def test_what_placet_knows_is_what_rules_see_and_the_rest_has_its_strict_default() -> None:
    assert _inquiry().values == {**{name: one.default for name, one in CLAIMABLE.items()}, **OWN}


def test_a_claim_is_seen_and_its_origin_is_the_service() -> None:
    inquiry = _inquiry(context={"geo.country": "DE"})
    assert inquiry.values["geo.country"] == "DE"
    assert inquiry.origin("geo.country") == "service"
    assert inquiry.origin("device.managed") == "default"
    assert inquiry.origin("client.ip") == "placet"


# Intake takes no such claim; a record that holds one all the same must not be believed.
@pytest.mark.parametrize("name", OWN)
def test_a_claim_named_like_what_placet_knows_does_not_stand_in_for_it(name: str) -> None:
    others: dict[str, object] = {"request.record_count": 1, "request.data_classes": ["none"]}
    others |= {"requester.unreceipted": 0, "requester.overuse": 0}
    value = others.get(name, "claimed")
    assert _inquiry(context={name: value}).values[name] == OWN[name]


def test_a_claim_does_not_stand_in_for_a_purpose_that_was_not_given() -> None:
    claimed = {"request.purpose": "support"}
    assert _inquiry(purpose=None, context=claimed).values["request.purpose"] == ""
