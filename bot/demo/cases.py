"""What the sample service asks, and what it does once it may: everyday work of a made-up shop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Deed:
    """An action in words: asked before, done after a yes, undone after anything else."""

    asked: str
    done: str
    undone: str


@dataclass(frozen=True, slots=True)
class Case:
    """One request as sent, and who is behind it."""

    who: str
    request: Mapping[str, Any]


UNKNOWN_DEED = Deed("act", "went ahead", "did nothing")
DEEDS: Mapping[str, Deed] = {
    "customer.view": Deed(
        "open one customer's profile", "opened the profile", "left the profile closed"
    ),
    "users.export": Deed("export customer records to a file", "wrote the file", "exported nothing"),
    "pii.send_to_processor": Deed(
        "send addresses to the print shop", "sent the addresses", "sent nothing"
    ),
}
_JONAS = {"id": "okta:00u1", "name": "Jonas Berg"}
_MIRA = {"id": "okta:00u2", "name": "Mira Novak"}
_WAIT = 300  # seconds; long enough to try the commands, short enough to see one expire

CASES = (
    Case(
        "Jonas Berg",
        {
            "action": "customer.view",
            "requester": _JONAS,
            "justification": "Customer asks why the invoice went to an old address",
            "ticket": "ZD-48213",
            "subject": "customer:48213",
            "record_count": 1,
            "params": {"email": "dana.weiss@example.com", "account": "48213"},
            "context": {"geo.country": "DE", "device.managed": True},
            "expires_in": _WAIT,
        },
    ),
    Case(
        "Mira Novak",
        {
            "action": "users.export",
            "requester": _MIRA,
            "justification": "Yearly audit wants all orders above 10,000 euros, with names",
            "ticket": "FIN-1190",
            "record_count": 1240,
            "params": {
                "format": "csv",
                "columns": ["name", "order_total"],
                "filter": "orders above 10,000 euros, but for test@example.com",
            },
            "context": {"geo.country": "DE", "device.managed": True},
            "expires_in": _WAIT,
        },
    ),
    Case(
        "job:winter-catalogue",
        {
            "action": "pii.send_to_processor",
            "requester": {"id": "job:winter-catalogue"},
            "justification": "The print shop needs the addresses for the winter catalogue",
            "record_count": 8400,
            "params": {"processor": "Brandt Print", "country": "AT"},
            "expires_in": _WAIT,
        },
    ),
)
