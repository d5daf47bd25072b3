from __future__ import annotations

from datetime import timedelta

from pydantic_core import PydanticUndefined

from approvals.model import (
    ApprovalRequest,
    Asked,
    Closing,
    Decision,
    Grant,
    Kept,
    MatchedPolicy,
    Receipt,
    Requester,
    Review,
)


def defaults(model: type[Kept]) -> dict[str, object]:
    fields = model.model_fields.items()
    return {
        name: field.get_default(call_default_factory=True)
        for name, field in fields
        if field.get_default(call_default_factory=True) is not PydanticUndefined
    }


def test_the_defaults_of_what_is_stored_never_change() -> None:
    # A value equal to its default is not written: another default would change open requests.
    assert defaults(ApprovalRequest) == {
        "grant_ttl": timedelta(minutes=15),
        "uses": 1,
        "status": "pending",
        "revision": 1,
        "delivery": "presented",
        "first_shown_at": None,
        "views": (),
        "reviews": (),
        "escalated": 0,
        "reminded": 0,
        "decision": None,
        "grant": None,
        "callbacks": 0,
        "erased_at": None,
    }
    assert defaults(MatchedPolicy) == {
        "why": "",
        "say": None,
        "threshold": 0,
        "groups": (),
        "quick_approve": False,
        "notify": (),
        "stages": (),
        "distinct_groups": False,
        "remind": (),
        "escalate": (),
        "must_hold": (),
        "shadow": (),
        "shadow_failed": (),
        "receipt_within": None,
        "personal_retention": None,
        "show_justification": False,
    }
    assert defaults(Asked) == {
        "personal": "",
        "purpose": None,
        "subject_mark": None,
        "record_count": None,
        "data_classes": (),
        "hidden_fields": 0,
        "context": {},
        "context_ignored": (),
        "findings": (),
        "callback_url": None,
        "address": "",
        "unreceipted": 0,
        "overuse": 0,
        "likeness": "",
    }
    assert defaults(Requester) == {"person": None, "owner": None}
    assert defaults(Review) == {"reason": None, "stage": 0, "groups": ()}
    unset = dict.fromkeys(("reason", "rule", "note", "policy", "receipt"))
    assert defaults(Decision) == {"by": (), **unset}
    assert defaults(Grant) == {
        "redemptions": (),
        "receipt": None,
        "receipt_missed": False,
        "closing": None,
    }
    assert defaults(Receipt) == {"note": None}
    assert defaults(Closing) == {"person": None, "note": None}
