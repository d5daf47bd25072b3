"""What operators and load balancers ask: is it alive, is it ready, what are the figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from approvals.policy.loader import Configuration
from approvals.store.health import Durability
from bot.telemetry import Metrics
from bot.web.problems import problem


@dataclass(frozen=True, slots=True)
class Condition:
    """What is wrong now. A fault keeps from new decisions, a warning from nothing yet."""

    faults: Sequence[str] = ()
    warnings: Sequence[str] = ()


Readiness = Callable[[], Condition]
_NO_STORE = {"Cache-Control": "no-store"}


class OpsRoutes:
    """The handlers that need no API key; none tells anything of a request or a person."""

    def __init__(
        self,
        configuration: Callable[[], Configuration],
        readiness: Readiness,
        metrics: Metrics,
        durability: Durability,
    ) -> None:
        self._configuration = configuration
        self._readiness = readiness
        self._metrics = metrics
        self._durability = durability

    async def healthz(self, _: Request) -> Response:
        """`GET /healthz`: the process is alive, whatever the store does."""
        return Response(b'{"status":"alive"}', 200, _NO_STORE, "application/json")

    async def readyz(self, _: Request) -> Response:
        """`GET /readyz`: 200, or 503 naming each fault with its remedy; warnings in both."""
        facts: dict[str, object] = {
            "policy": {"version": self._configuration().version},
            "durability": self._durability,
        }
        condition = self._readiness()
        if condition.warnings:
            facts["warnings"] = condition.warnings
        if condition.faults:
            facts["faults"] = condition.faults
            detail = "Placet takes no new decisions until the faults are mended."
            return problem(503, "not_ready", "Not ready", detail, facts=facts)
        return Response(to_json({"status": "ready", **facts}), 200, _NO_STORE, "application/json")

    async def metrics(self, _: Request) -> Response:
        """`GET /metrics` in Prometheus' text format."""
        media_type = "text/plain; version=0.0.4; charset=utf-8"
        return Response(self._metrics.text(), 200, _NO_STORE, media_type)
