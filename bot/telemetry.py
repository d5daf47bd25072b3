"""What operators see: JSON log lines and Prometheus metrics. Knows no request and no store.

Bodies are never logged. Secrets are struck out by key name, by shape and by known value; labels
come from fixed sets, so that nobody outside can make them grow.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, TextIO

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from approvals.errors import PlacetError
from approvals.model import ServiceId
from approvals.quota import Limit

OpenOutcome = Literal["pending", "approved", "denied", "repeated", "refused", "failed"]
CallbackOutcome = Literal["delivered", "failed", "refused", "dead"]
GrantCall = Literal["redeem", "receipt", "end"]
CardOutcome = Literal["posted", "edited", "busy", "refused", "failed"]

STRUCK = "[redacted]"
_SHAPES = re.compile(r"plc_[a-z0-9-]{1,40}_\w+|whsec_[\w+/=-]+|(?<=://)[^/@\s]+(?=@)", re.ASCII)
_PRIVATE = re.compile(
    "(?:^|_)(?:authorization|body|context|cookie|email|justification|name|params|password|reason"
    "|requester|salt|secret|signature|subject|token|url)(?:_|$)|(?:^|_)key$",
    re.IGNORECASE,
)
_FOREIGN_STATE = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "color_message",
}
_MOST_FRAMES = 20


class JsonLines(logging.Formatter):
    """One JSON object a line: a newline in a value cannot forge a second line."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        super().__init__()
        # The longest first, so that a secret within another leaves no rest.
        known = sorted((secret for secret in secrets if secret), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def format(self, record: logging.LogRecord) -> str:
        """The record and its extra fields as one line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._strike(_message(record)),
        }
        fields = {name: value for name, value in vars(record).items() if name not in _FOREIGN_STATE}
        line |= {name: self._field(name, value) for name, value in fields.items()}
        if record.exc_info and record.exc_info[1]:
            line["exception"] = self._exception(record.exc_info[1])
        return json.dumps(line, default=lambda value: type(value).__name__)

    def _field(self, name: str, value: object) -> object:
        if _PRIVATE.search(name):
            return STRUCK
        if isinstance(value, str):
            return self._strike(value)
        if isinstance(value, Mapping):
            return {str(key): self._field(str(key), inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._field("", inner) for inner in value]
        return value

    def _strike(self, text: str) -> str:
        shaped = _SHAPES.sub(STRUCK, text)
        return self._known.sub(STRUCK, shaped) if self._known else shaped

    def _exception(self, error: BaseException) -> dict[str, object]:
        """Type, code and places. A foreign message may echo input, so it stays out."""
        told: dict[str, object] = {"type": type(error).__name__}
        if isinstance(error, PlacetError):
            told |= {"code": error.code, "detail": self._strike(error.detail)}
        frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
        told["frames"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is not None:
            told["cause"] = type(cause).__name__
        return told


def _message(record: logging.LogRecord) -> str:
    if record.name == "asyncio":
        # Its lines hold the repr of a task, and with it the message of a foreign exception.
        return str(record.msg).partition("\n")[0].partition(" <")[0]
    if isinstance(record.args, tuple) and any(isinstance(a, BaseException) for a in record.args):
        return str(record.msg)  # a foreign exception's message may echo input
    return record.getMessage().rstrip("\n")


def configure_logging(level: str, secrets: Collection[str], stream: TextIO | None = None) -> None:
    """Sends every log line to standard error as JSON; standard output belongs to the commands."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # It tells of each job it starts and ends, every few seconds for ever.
    scheduler = logging.getLogger("apscheduler")
    scheduler.setLevel(logging.NOTSET if level == "debug" else logging.WARNING)


class Metrics:
    """The figures of one process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._http: dict[tuple[str, str, int], Counter] = {}
        self._http_requests = self._counter(
            "http_requests", "HTTP requests answered", "route", "method", "status"
        )
        self._http_seconds = Histogram(
            "placet_http_seconds", "Time to answer", ["route"], registry=self.registry
        )
        self._opened = self._counter("requests", "Requests asked", "service", "outcome")
        self._throttled = self._counter(
            "throttled", "Requests refused because too much was asked", "limit"
        )
        self._callbacks = self._counter("callback_attempts", "Callbacks sent", "outcome")
        self._shadow = self._counter(
            "shadow_rules", "Requests a rule in shadow mode would have decided", "rule", "outcome"
        )
        self._grants = self._counter("grant_calls", "Calls about grants", "call", "outcome")
        self._receipts = self._counter("receipts_wrong", "Receipts missing or too large", "fault")
        self._cards = self._counter("cards", "Cards put to a chat platform", "outcome")
        self._store = self._counter("store_failures", "Calls the store failed", "code")
        self._lateness = Histogram(
            "placet_expiry_lateness_seconds",
            "From the deadline to the visible expiry",
            buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 3, 10, 60),
            registry=self.registry,
        )
        self._reloads = Counter(
            "placet_policy_reload_failures",
            "Changed configurations that were not taken over",
            registry=self.registry,
        )
        self.policy_is_stale = Gauge(
            "placet_policy_is_stale",
            "1 while the files differ from what is in force",
            registry=self.registry,
        )
        self.waiting = Gauge("placet_waiting", "Long-polls that wait", registry=self.registry)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"placet_{name}", help_text, labels, registry=self.registry)

    def http_answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """An HTTP request was answered; `route` is a template and `method` a known one."""
        which = (route, method, status)
        counter = self._http.get(which)
        if counter is None:  # looking a label up takes longer than counting
            counter = self._http[which] = self._http_requests.labels(route, method, str(status))
        counter.inc()
        self._http_seconds.labels(route).observe(seconds)

    def request_asked(self, service: ServiceId, outcome: OpenOutcome) -> None:
        """A service asked; it is one of services.yaml."""
        self._opened.labels(service, outcome).inc()

    def throttled(self, limit: Limit) -> None:
        """A service asked more than this limit of services.yaml lets it."""
        self._throttled.labels(limit).inc()

    def shadow_judged(self, matched: Sequence[str], failed: Sequence[str]) -> None:
        """A request was opened that these rules in shadow mode fitted, or gave an error for."""
        for rule in matched:
            self._shadow.labels(rule, "matched").inc()
        for rule in failed:
            self._shadow.labels(rule, "failed").inc()

    def callback_attempted(self, outcome: CallbackOutcome) -> None:
        """A callback was sent, or given up."""
        self._callbacks.labels(outcome).inc()

    def grant_called(self, call: GrantCall, outcome: str) -> None:
        """A service called about a grant; `outcome` is `done`, `repeated` or an error's code."""
        self._grants.labels(call, outcome).inc()

    def receipt_larger(self) -> None:
        """A receipt told of more than was asked for."""
        self._receipts.labels("larger").inc()

    def receipt_missed(self) -> None:
        """A receipt did not come by its deadline."""
        self._receipts.labels("missed").inc()

    def card_worked(self, outcome: CardOutcome) -> None:
        """A chat platform took a card, or did not."""
        self._cards.labels(outcome).inc()

    def expired(self, lateness_seconds: float) -> None:
        """An expiry became visible so long after its deadline."""
        self._lateness.observe(lateness_seconds)

    def store_failed(self, code: str) -> None:
        """The store failed a call; `code` is that of a `StoreFailure`."""
        self._store.labels(code).inc()

    def policy_reload_failed(self) -> None:
        """The files, as they stand, were not taken over."""
        self._reloads.inc()
        self.policy_is_stale.set(1)

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry)
