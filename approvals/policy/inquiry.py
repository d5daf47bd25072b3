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

Origin = Literal["service", "action", "default", "placet"]


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
        """Who says so: the service, the action, Placet, or nobody, so the strict default holds.

        The action's data classes may have grown by what the service added.
        """
        if name in self.asserted:
            return "service"
        if name == "request.data_classes":
            return "action"
        return "default" if name in CLAIMABLE or name == "request.purpose" else "placet"


def inquiry_of(asked: Asked, service: ServiceId, at: datetime) -> Inquiry:
    """What rules see of a request of `service` that was opened at `at`."""
    values: dict[str, Value] = {name: one.default for name, one in CLAIMABLE.items()}
    values["request.purpose"] = ""
    said: dict[str, Value] = {
        name: claim for name, claim in asked.context.items() if name in CLAIMABLE
    }
    if asked.purpose is not None:
        said["request.purpose"] = asked.purpose
    if asked.record_count is not None:
        said["request.record_count"] = asked.record_count
    known: dict[str, Value] = {
        "service": service,
        "requester.id": asked.requester.id,
        "requester.unreceipted": asked.unreceipted,
        "requester.overuse": asked.overuse,
        "request.data_classes": list(asked.data_classes),
        "client.ip": asked.address,
    }
    return Inquiry(asked.action, at, {**values, **said, **known}, frozenset(said))
