"""Who asks, by the id that may be shown of them."""

from __future__ import annotations

from approvals.model import Requester
from approvals.privacy.masking import said


def shown_id(requester: Requester) -> str:
    """A machine's id is its service's own text; a person's stands in people.yaml."""
    return said(requester.id) if requester.owner else requester.id
