"""Placet as a service sees it, in memory: strict about what is sent, and faulty on demand.

For faults that the real one does not make: a lost reply, garbage, another shape, a redirect. What
it answers when all is well is held to the real one by `tests/e2e`.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

API_KEY = "plc_crm-1_" + "a" * 32
URL = "http://127.0.0.1:9"
SECRET_WORDS = ("customer:48213", "dana@example.com", "Because the customer asked", API_KEY)
FINAL = ("approved", "denied", "expired", "cancelled")
CREATED, EXPIRES = "2026-11-23T14:17:00.123Z", "2026-11-23T14:32:00.123Z"

Json = dict[str, Any]
Fault = Callable[[httpx.Request, "FakePlacet"], httpx.Response]


def problem(status: int, slug: str, facts: Json | None = None) -> httpx.Response:
    """An answer as Placet refuses."""
    kind = f"urn:placet:problem:{slug}"
    told = {"type": kind, "title": "No", "status": status, "detail": "Said by Placet."}
    headers = {"Content-Type": "application/problem+json"}
    return httpx.Response(status, headers=headers, content=json.dumps((facts or {}) | told))


def answers(response: httpx.Response) -> Fault:
    """Answers so, and does nothing."""

    def fault(_request: httpx.Request, _placet: FakePlacet) -> httpx.Response:
        return httpx.Response(
            response.status_code, headers=response.headers, content=response.content
        )

    return fault


def fails(kind: type[httpx.TransportError]) -> Fault:
    """Nothing arrives."""

    def fault(request: httpx.Request, _placet: FakePlacet) -> httpx.Response:
        raise kind(f"quotes {request.content!r} and {request.headers}", request=request)

    return fault


def loses_the_reply(request: httpx.Request, placet: FakePlacet) -> httpx.Response:
    """Does what is asked; its answer does not arrive."""
    placet.carry_out(request)
    raise httpx.ReadTimeout("quotes everything", request=request)


@dataclass
class FakePlacet:
    """One service's requests and grants. `after_polls` decides them; `uses` each grant has."""

    status: str = "approved"
    delivery: str = "presented"
    reason: str | None = None
    by: tuple[str, ...] = ("anna",)
    after_polls: int = 1
    uses: int = 1
    requests: dict[str, Json] = field(default_factory=dict)
    calls: list[httpx.Request] = field(default_factory=list)
    faults: dict[str, deque[Fault]] = field(default_factory=dict)
    on_call: Callable[[str], None] = lambda _: None
    _keys: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    _polls: int = 0

    def will(self, name: str, *faults: Fault) -> None:
        """The next calls of `name` (open, show, cancel, redeem, receipt, end) go wrong so."""
        self.faults.setdefault(name, deque()).extend(faults)

    def named(self, name: str) -> list[httpx.Request]:
        """The calls of one name that came."""
        return [call for call in self.calls if _name(call) == name]

    def names(self) -> list[str]:
        """All calls that came, by name."""
        return [_name(call) for call in self.calls]

    def handle(self, request: httpx.Request) -> httpx.Response:
        """For `httpx.MockTransport`: sync and async alike."""
        self.calls.append(request)
        name = _name(request)
        self.on_call(name)
        assert request.headers["Authorization"] == f"Bearer {API_KEY}"
        if waiting := self.faults.get(name):
            return waiting.popleft()(request, self)
        return self.carry_out(request)

    def carry_out(self, request: httpx.Request) -> httpx.Response:
        """As the contract says."""
        doing = {
            "open": self._open,
            "show": self._show,
            "cancel": self._cancel,
            "redeem": self._redeem,
            "receipt": self._receipt,
            "end": self._end,
        }
        return doing[_name(request)](request)

    def decide(self, request_id: str, status: str) -> None:
        """Ends a pending request."""
        told = self.requests[request_id]
        by = [{"person": person, "via": "console"} for person in self.by]
        told["status"] = status
        told["decision"] = {"outcome": status, "by": by, "reason": self.reason, "rule": "one"}
        if status == "approved":
            told["grant"] = {
                "id": "grt_" + request_id.removeprefix("req_"),
                "request_id": request_id,
                "status": "active",
                "expires_at": EXPIRES,
                "uses_left": self.uses,
                "token": "ey.secret",
            }

    def _open(self, request: httpx.Request) -> httpx.Response:
        key, body = request.headers["Idempotency-Key"], request.content
        if key in self._keys:
            kept, request_id = self._keys[key]
            return (
                _json(200, self.requests[request_id])
                if kept == body
                else problem(409, "idempotency-conflict")
            )
        sent = json.loads(body)
        assert set(sent) <= {
            *("action", "requester", "justification", "ticket", "purpose", "subject"),
            *("record_count", "data_classes", "params", "context", "expires_in", "grant_ttl"),
            *("callback_url", "reuse_pending"),
        }
        assert set(sent["requester"]) <= {"id", "name"}
        request_id = f"req_{len(self.requests) + 1:026d}"
        self._keys[key] = (body, request_id)
        self.requests[request_id] = {
            "id": request_id,
            "status": "pending",
            "delivery": self.delivery,
            "action": sent["action"],
            "digest": "sha256:" + "0" * 64,
            "salt": "c2FsdA==",
            "created_at": CREATED,
            "expires_at": EXPIRES,
            "decision": None,
            "grant": None,
            "asked": {name: sent.get(name) for name in ("action", "subject", "params")},
        }
        if self.after_polls == 0:
            self.decide(request_id, self.status)
        return _json(201, self.requests[request_id])

    def _show(self, request: httpx.Request) -> httpx.Response:
        told = self.requests.get(request.url.path.split("/")[3])
        if told is None:
            return problem(404, "not-found")
        self._polls += 1
        if told["status"] == "pending" and self._polls >= self.after_polls and self.status in FINAL:
            self.decide(told["id"], self.status)
        return _json(200, told)

    def _cancel(self, request: httpx.Request) -> httpx.Response:
        told = self.requests[request.url.path.split("/")[3]]
        if told["status"] != "pending":
            return problem(409, "already-final", {"decision": told["decision"]})
        self.reason = "by_service"
        self.decide(told["id"], "cancelled")
        return _json(200, told)

    def _redeem(self, request: httpx.Request) -> httpx.Response:
        told, grant = self._granted(request)
        sent = json.loads(request.content)
        assert re.fullmatch(r"[!-~]{1,64}", sent["nonce"])
        if {name: sent.get(name) for name in ("action", "subject", "params")} != told["asked"]:
            return problem(422, "digest-mismatch")
        if sent["nonce"] in (nonces := told.setdefault("nonces", {})):
            return _json(200, nonces[sent["nonce"]])
        if grant["status"] != "active":
            return problem(409, f"grant-{grant['status']}", {"grant": grant})
        grant["uses_left"] -= 1
        grant["status"] = "active" if grant["uses_left"] else "used"
        nonces[sent["nonce"]] = dict(grant)
        return _json(200, grant)

    def _receipt(self, request: httpx.Request) -> httpx.Response:
        told, grant = self._granted(request)
        sent = json.loads(request.content)
        assert set(sent) <= {"records", "outcome", "note"}
        if not told.get("nonces"):
            return problem(409, "not-redeemed")
        if grant.get("receipt"):
            return problem(409, "receipt-exists", {"grant": grant})
        grant["receipt"] = sent
        grant["status"] = "ended" if grant["status"] == "active" else grant["status"]
        return _json(200, grant)

    def _end(self, request: httpx.Request) -> httpx.Response:
        _, grant = self._granted(request)
        if grant["status"] != "active":
            return problem(409, f"grant-{grant['status']}", {"grant": grant})
        grant["status"] = "ended"
        return _json(200, grant)

    def _granted(self, request: httpx.Request) -> tuple[Json, Json]:
        told = self.requests["req_" + request.url.path.split("/")[3].removeprefix("grt_")]
        return told, told["grant"]


def _name(request: httpx.Request) -> str:
    kind, last = request.url.path.split("/")[2], request.url.path.split("/")[-1]
    if kind == "requests":
        return {"POST": "open", "GET": "show", "DELETE": "cancel"}[request.method]
    return last if request.method == "POST" else "end"


def _json(status: int, told: Json) -> httpx.Response:
    return httpx.Response(status, json=told)
