"""Every Redis key name, and nothing else. One hash tag, so that a commit's keys share a slot.

Permanent (no TTL): request, system, keys, keys_used, callback, refs, idem, vault, the lists,
pending_of, the queues, log, clock:seen, policy:<version>, policy:active, policies. Under a TTL:
processes, budget.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from approvals.model import EventId, RequestId, ServiceId

Queue = Literal["deadlines", "callbacks", "cards"]
QUEUES: tuple[Queue, ...] = ("deadlines", "callbacks", "cards")

NAMESPACE = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@dataclass(frozen=True, slots=True)
class QueueKeys:
    """The three sorted sets of one due queue."""

    due: str
    leased: str
    again: str


class Keys:
    """Key names of one deployment. Values that may be personal arrive as keyed hashes only."""

    def __init__(self, namespace: str) -> None:
        if not NAMESPACE.fullmatch(namespace):
            raise ValueError("a namespace holds 1 to 40 of a-z, 0-9 and -")
        self._tag = "{placet:" + namespace + "}:"
        self.pattern = self._tag + "*"
        self.log = self._tag + "log"
        self.clock = self._tag + "clock:seen"
        self.fingerprints = self._tag + "keys"
        self.keys_used = self._tag + "keys_used"
        self.system = self._tag + "system"
        self.pending = self._tag + "pending"
        self.probe = self._tag + "probe"
        self.dead_callbacks = self._tag + "dead_callbacks"
        self.wake_channel = self._tag + "wake"
        self.settled_channel = self._tag + "settled"
        self.console_channel = self._tag + "console"
        self.policies = self._tag + "policies"
        self.active_policy = self._tag + "policy:active"
        self.processes = self._tag + "processes"
        self.configuration_channel = self._tag + "configuration"

    def request(self, request: RequestId) -> str:
        """The record of a request (hash)."""
        return f"{self._tag}request:{request}"

    def by_service(self, service: ServiceId) -> str:
        """A service's requests (zset, in order of id)."""
        return f"{self._tag}by_service:{service}"

    def by_requester(self, mark: str) -> str:
        """A requester's requests (zset); `mark` is a keyed hash."""
        return f"{self._tag}by_requester:{mark}"

    def by_subject(self, mark: str) -> str:
        """A data subject's requests (zset); `mark` is a keyed hash."""
        return f"{self._tag}by_subject:{mark}"

    def vault(self, mark: str) -> str:
        """A data subject's wrapped key (string); `mark` is a keyed hash of whose it is."""
        return f"{self._tag}vault:{mark}"

    def unreceipted(self, mark: str) -> str:
        """A requester's grants whose receipt is overdue (zset); `mark` is a keyed hash of who."""
        return f"{self._tag}unreceipted:{mark}"

    def overuse(self, mark: str) -> str:
        """A requester's receipts larger than asked (zset, score = when); `mark` as above."""
        return f"{self._tag}overuse:{mark}"

    def by_approver(self, mark: str) -> str:
        """The requests a person has voted on (zset); `mark` is a keyed hash."""
        return f"{self._tag}by_approver:{mark}"

    def pending_of(self, service: ServiceId, mark: str) -> str:
        """A requester's pending requests (zset, by what they ask); `mark` is a keyed hash."""
        return f"{self._tag}pending_of:{service}:{mark}"

    def idempotency(self, service: ServiceId, mark: str) -> str:
        """Request id and body hash of an idempotency key; `mark` is the key's keyed hash."""
        return f"{self._tag}idem:{service}:{mark}"

    def budget_of_service(self, service: ServiceId) -> str:
        """What a service may still ask (string)."""
        return f"{self._tag}budget:{service}"

    def budget_of_requester(self, service: ServiceId, mark: str) -> str:
        """What a service may still ask for one requester (string); `mark` is a keyed hash."""
        return f"{self._tag}budget:{service}:{mark}"

    def callback(self, event: EventId) -> str:
        """A callback's frozen bytes and attempts (hash)."""
        return f"{self._tag}callback:{event}"

    def refs(self, request: RequestId) -> str:
        """Where a request's cards stand (hash, a field for each place and platform)."""
        return f"{self._tag}refs:{request}"

    def policy(self, version: str) -> str:
        """The text of a policy that was in force (JSON); `version` is twelve hex digits."""
        return f"{self._tag}policy:{version}"

    def queue(self, name: Queue) -> QueueKeys:
        """The sorted sets of a due queue."""
        base = self._tag + name
        return QueueKeys(due=f"{base}:due", leased=f"{base}:leased", again=f"{base}:again")
