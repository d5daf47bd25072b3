"""What holds whatever broke: checked from the store, the receiver's log and what people were told.

The numbers are those of the durability notes (I1-I5, I6, I7, I9, I11 and I12) and of the promises.
A check lists every violation, so that one broken run shows all that broke.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from redis.asyncio import Redis
from standardwebhooks.webhooks import WebhookVerificationError

from approvals.model import ApprovalRequest, EventId, RequestId, event_id
from approvals.store.log import is_genuine
from approvals.store.outbox import Callback
from approvals.store.store import Store
from tests.calling_back import SECRETS_OF_CRM
from tests.canaries import Canaries
from tests.overhearing import Heard, dump
from tests.servers.callback_receiver import CallbackReceiver, Delivery

ENDS = {"request.approved", "request.denied", "request.expired", "request.cancelled"}


@dataclass
class Told:
    """What outsiders were told and rely on: requests by idempotency key, and final states."""

    requests: dict[str, RequestId] = field(default_factory=dict)
    finals: dict[RequestId, str] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)

    def acknowledged(self, key: str, request: RequestId) -> None:
        before = self.requests.setdefault(key, request)
        if before != request:
            self.contradictions.append(f"I9: key {key} opened {before} and {request}")

    def shown(self, request: RequestId, status: str) -> None:
        if status == "pending":
            return
        before = self.finals.setdefault(request, status)
        if before != status:
            self.contradictions.append(f"I2: {request} was told {before}, then {status}")


@dataclass(frozen=True)
class Kept:
    """A record as the store keeps it."""

    request: ApprovalRequest
    version: int
    entries: int


@dataclass(frozen=True)
class Picture:
    """Everything that is in the store, read once all is quiet."""

    requests: dict[RequestId, Kept]
    callbacks: dict[EventId, Callback]
    log: list[bytes]
    pending: set[str]
    timed: set[str]
    to_send: set[str]


async def assert_invariants(
    store: Store,
    told: Told,
    receiver: CallbackReceiver,
    *,
    audit_key: bytes,
    canaries: Canaries | None = None,
) -> None:
    """Checks all, once the deployment has drained. `canaries` may stand nowhere."""
    picture = await _picture(store)
    entries = [json.loads(text) for text in picture.log]
    found = [
        *told.contradictions,
        *_acknowledged_ends(picture, told),
        *_ends_once(picture, entries),
        *_enough_people(picture),
        *_in_time(picture),
        *_opened_no_more(picture, entries),
        *_told_truly(picture, receiver.deliveries),
        *_log_is_whole(picture, entries, audit_key),
        *_no_orphan(picture),
        *await _nothing_personal(store, receiver, canaries or Canaries()),
    ]
    if found:
        raise AssertionError("\n".join(found))


def _acknowledged_ends(picture: Picture, told: Told) -> Iterator[str]:
    for key, request in told.requests.items():
        kept = picture.requests.get(request)
        if kept is None:
            yield f"I1: {request}, acknowledged for {key}, does not exist"
        elif not kept.request.is_final:
            yield f"I1: {request} has not ended"
    for request, status in told.finals.items():
        kept = picture.requests.get(request)
        if kept is None or kept.request.status != status:
            yield f"I7: {request} was told {status} and is {kept and kept.request.status}"
    if twice := [r for r, n in Counter(told.requests.values()).items() if n > 1]:
        yield f"I9: opened by two keys: {twice}"
    if extra := set(picture.requests) - set(told.requests.values()):
        yield f"I9: more requests than keys: {sorted(extra)}"


def _ends_once(picture: Picture, entries: list[dict[str, Any]]) -> Iterator[str]:
    ends = defaultdict(list)
    for entry in entries:
        if entry["type"] in ENDS:
            ends[entry["record"]].append(entry["type"])
    for request, kept in picture.requests.items():
        expected = [f"request.{kept.request.status}"] if kept.request.is_final else []
        if ends[request] != expected:
            yield f"I2: {request} is {kept.request.status}, its ends are {ends[request]}"


def _enough_people(picture: Picture) -> Iterator[str]:
    for request, kept in picture.requests.items():
        record = kept.request
        if record.status != "approved" or record.policy.decision != "review":
            continue
        people = {who.person for who in record.decision.by} if record.decision else set()
        if len(people) < record.policy.threshold or record.asked.requester.responsible in people:
            yield f"I5: {request} was approved by {sorted(people)}"


def _in_time(picture: Picture) -> Iterator[str]:
    for request, kept in picture.requests.items():
        decision = kept.request.decision
        if decision is None:
            continue
        is_late = decision.at >= kept.request.expires_at
        if is_late != (kept.request.status == "expired"):
            yield f"I6: {request} is {kept.request.status}, decided at {decision.at}"


def _opened_no_more(picture: Picture, entries: list[dict[str, Any]]) -> Iterator[str]:
    opened = Counter(e["record"] for e in entries if e["type"] == "grant.redeemed")
    for request, kept in picture.requests.items():
        grant = kept.request.grant
        uses = grant.redemptions if grant else ()
        if opened[request] != len(uses) or len(uses) > kept.request.uses:
            yield f"P5: {request} was redeemed {opened[request]} times, and has {len(uses)} uses"
        if grant and any(use.at >= grant.expires_at for use in uses):
            yield f"P5: {request} was redeemed after its end"


def _told_truly(picture: Picture, deliveries: list[Delivery]) -> Iterator[str]:
    sent = defaultdict(list)
    for delivery in deliveries:
        sent[delivery.id].append(delivery)
    for request, kept in picture.requests.items():
        event = event_id(request, 1)
        callback = picture.callbacks.get(event)
        if kept.request.is_final and callback is None:
            yield f"I3: {request} has ended and nobody will be told"
        if callback is not None:
            yield from _carried_out(kept.request, callback, is_here=event in sent)
    for event_name, copies in sent.items():
        yield from _same_and_true(picture, event_name, copies)


def _carried_out(request: ApprovalRequest, callback: Callback, *, is_here: bool) -> Iterator[str]:
    if not request.is_final:
        yield f"I4: {callback.id} tells of a request that has not ended"
    elif callback.status == "queued":
        yield f"I3: {callback.id} is still on its way"
    elif callback.status == "delivered" and not is_here:
        yield f"I3: {callback.id} counts as delivered and never came"


def _same_and_true(picture: Picture, event: str, copies: list[Delivery]) -> Iterator[str]:
    callback = picture.callbacks.get(EventId(event))
    if callback is None:
        yield f"I3: {event} came and is not in the store"
        return
    if {copy.body for copy in copies} != {callback.body}:
        yield f"I3: {event} came with different bytes"
    told = copies[0].told()
    kept = picture.requests.get(callback.request)
    status = kept.request.status if kept else "lost"
    is_end = told["type"] in ENDS
    if told["data"]["status"] != status or is_end != (told["seq"] == 1):
        yield f"I4: {event} says {told['type']} of a request that is {status}"
    for copy in copies:
        for secret in SECRETS_OF_CRM:
            try:
                copy.verified(secret)
            except WebhookVerificationError as error:
                yield f"I3: {event} does not verify: {error}"


def _log_is_whole(
    picture: Picture, entries: list[dict[str, Any]], audit_key: bytes
) -> Iterator[str]:
    yield from (f"I11: forged: {text!r}" for text in picture.log if not is_genuine(audit_key, text))
    numbers, versions = defaultdict(list), defaultdict(set)
    for entry in entries:
        numbers[entry["record"]].append(entry["n"])
        versions[entry["record"]].add(entry["version"])
    kept = {str(name): (k.version, k.entries) for name, k in picture.requests.items()}
    kept |= {str(name): (c.version, c.entries) for name, c in picture.callbacks.items()}
    for name, (version, count) in kept.items():
        if numbers[name] != list(range(1, count + 1)):
            yield f"I11: entries of {name} are {numbers[name]} of {count}"
        if versions[name] != set(range(1, version + 1)):
            yield f"I11: versions of {name} are {sorted(versions[name])} of {version}"


def _no_orphan(picture: Picture) -> Iterator[str]:
    pending = {name for name, kept in picture.requests.items() if not kept.request.is_final}
    if pending != picture.pending:
        yield f"I12: pending are {pending}, listed are {picture.pending}"
    waiting = {name for name, kept in picture.requests.items() if _waits_for_time(kept.request)}
    if waiting - picture.timed:
        yield f"I12: no timer for {waiting - picture.timed}"
    queued = {name for name, callback in picture.callbacks.items() if callback.status == "queued"}
    if queued != picture.to_send:
        yield f"I12: queued are {queued}, in the queue are {picture.to_send}"


def _waits_for_time(request: ApprovalRequest) -> bool:
    has_grant = request.grant is not None and request.grant.status == "active"
    return not request.is_final or has_grant


async def _nothing_personal(
    store: Store, receiver: CallbackReceiver, canaries: Canaries
) -> list[str]:
    heard = Heard()
    for delivery in receiver.deliveries:
        heard.note("callback", delivery.path, str(delivery.headers), delivery.body)
    await dump(Redis(connection_pool=store.pipeline._pool), store.keys.pattern, heard)
    seen = heard.sightings(canaries)
    return [f"P9: {place} stands in the clear in a {channel}" for place, channel in sorted(seen)]


async def _picture(store: Store) -> Picture:
    keys = store.keys
    requests = await _names(store, keys.request(RequestId("")))
    events = await _names(store, keys.callback(EventId("")))
    return Picture(
        requests={RequestId(name): await _kept(store, RequestId(name)) for name in requests},
        callbacks={EventId(n): await store.outbox.callback(EventId(n)) for n in events},
        log=[text async for text in store.log.entries()],
        pending=await _members(store, keys.pending),
        timed=await _in_queue(store, "deadlines"),
        to_send=await _in_queue(store, "callbacks"),
    )


async def _kept(store: Store, request: RequestId) -> Kept:
    stored = await store.records.load(request)
    assert stored is not None
    return Kept(stored.request, stored.version, stored.entries)


async def _names(store: Store, prefix: str) -> list[str]:
    reply = await store.pipeline.run("KEYS", prefix + "*")
    return [key.decode().removeprefix(prefix) for key in cast("list[bytes]", reply)]


async def _members(store: Store, key: str) -> set[str]:
    reply = await store.pipeline.run("ZRANGE", key, 0, -1)
    return {member.decode() for member in cast("list[bytes]", reply)}


async def _in_queue(store: Store, name: str) -> set[str]:
    queue = store.keys.queue("deadlines" if name == "deadlines" else "callbacks")
    return await _members(store, queue.due) | await _members(store, queue.leased)
