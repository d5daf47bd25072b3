"""What rules are asked about: one action, at one time, with the value of every attribute.

Built from the record alone, so that a request can be judged again years later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from approvals.model import ActionId, Asked, ServiceId
from approvals.policy.attributes import CLAIMABLE
from approvals.policy.expressions import Value

Origin = Literal["service", "default", "placet"]


@dataclass(frozen=True, slots=True)
class Inquiry:
    """An action and what is known of the request. `at` is the request's own time.

    An attribute missing in `values` is not known, and a condition that needs it gives an error.
    """

    action: ActionId
    at: datetime
    values: Mapping[str, Value]
    asserted: frozenset[str] = frozenset()

    def origin(self, name: str) -> Origin:
        """Who says so: the service, Placet itself, or nobody, so that the strict default holds."""
        if name in self.asserted:
            return "service"
        return "default" if name in CLAIMABLE else "placet"


def inquiry_of(asked: Asked, service: ServiceId, at: datetime) -> Inquiry:
    """What rules see of a request of `service` that was opened at `at`."""
    values: dict[str, Value] = {name: one.default for name, one in CLAIMABLE.items()}
    said: dict[str, Value] = {
        "request.data_classes": list(asked.data_classes),
        "request.purpose": asked.purpose or "",
    }
    if asked.record_count is not None:
        said["request.record_count"] = asked.record_count
    known: dict[str, Value] = {
        "service": service,
        "requester.id": asked.requester.id,
        "client.ip": asked.address,
    }
    # Placet's own come last: no claim may stand in for them.
    values |= {**asked.context, **said, **known}
    return Inquiry(asked.action, at, values, frozenset((*asked.context, *said)))
