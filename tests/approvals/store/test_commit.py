"""commit.lua on both engines: all of a Change or nothing, and an answer for everything."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from approvals.model import RequestId, ServiceId
from approvals.store.keys import QUEUES, Keys
from approvals.store.scripts import Commit, Script, Scripts
from approvals.store.store import Store
from approvals.store.times import millis
from tests.approvals.store.support import (
    REQUEST,
    STANDS_AT,
    Dump,
    commit_of,
    dump,
    log_of,
    stop_the_clock,
)
from tests.conftest import Engine

MILLISECOND = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
async def standing_clock(client: Redis, keys: Keys) -> None:
    await stop_the_clock(client, keys)


async def opened(scripts: Scripts, keys: Keys) -> Commit:
    """Opens the request with an idempotency key, votes once, and gives a next commit in order."""
    idem = (keys.idempotency(_SERVICE, "k"), f"{REQUEST} bodymark")
    assert (await scripts.commit(commit_of(keys, idempotency=idem))).code == "OK"
    known = commit_of(keys, op="known", expect=1, entry=2, result="first")
    assert (await scripts.commit(known)).code == "OK"
    return commit_of(keys, op="new", expect=2, entry=3, result="second")


_SERVICE = ServiceId("crm")


async def test_an_opening_writes_record_entries_and_lists_at_once(
    scripts: Scripts, keys: Keys, client: Redis
) -> None:
    writes = (
        ("zadd", keys.pending, str(millis(STANDS_AT)), REQUEST),
        ("schedule", "deadlines", REQUEST, str(millis(STANDS_AT))),
    )
    answer = await scripts.commit(commit_of(keys, writes=writes))
    assert (answer.code, answer.value, answer.at) == ("OK", "1", STANDS_AT)
    stored = await dump(client, keys)
    assert stored[f"request:{REQUEST}"] == {b"body": b"body", b"entries": b"1", b"version": b"1"}
    assert stored["pending"] == [(REQUEST.encode(), millis(STANDS_AT))]
    assert stored["deadlines:due"] == [(REQUEST.encode(), millis(STANDS_AT))]
    assert await log_of(client, keys) == [b"entry"]


async def test_a_repeated_opening_is_answered_as_the_first_however_much_has_followed(
    scripts: Scripts, keys: Keys
) -> None:
    following = await opened(scripts, keys)
    await scripts.commit(following)
    answer = await scripts.commit(commit_of(keys))
    assert (answer.code, answer.value) == ("DUP", "pending")


async def test_a_repeated_operation_is_given_its_first_result(scripts: Scripts, keys: Keys) -> None:
    following = await opened(scripts, keys)
    await scripts.commit(following)
    answer = await scripts.commit(replace(following, op="known", result="something else"))
    assert (answer.code, answer.value) == ("DUP", "first")


async def test_an_operation_is_not_taken_for_one_whose_name_it_begins_or_ends(
    scripts: Scripts, keys: Keys
) -> None:
    following = await opened(scripts, keys)
    for op in ("know", "nown", "known=first", "first"):
        answer = await scripts.commit(replace(following, op=op, expect=99))
        assert answer.code == "RACE"


async def test_a_used_idempotency_key_names_its_request_and_body(
    scripts: Scripts, keys: Keys
) -> None:
    await opened(scripts, keys)
    other = commit_of(
        keys,
        op="req_2",
        record=keys.request(RequestId("req_2")),
        idempotency=(keys.idempotency(_SERVICE, "k"), "req_2 otherbody"),
    )
    answer = await scripts.commit(other)
    assert (answer.code, answer.value) == ("EXISTS", f"{REQUEST} bodymark")


@pytest.mark.parametrize("expect", [0, 1, 3])
async def test_a_moved_version_is_told(scripts: Scripts, keys: Keys, expect: int) -> None:
    following = await opened(scripts, keys)
    answer = await scripts.commit(replace(following, expect=expect))
    assert (answer.code, answer.value) == ("RACE", "2")


async def test_a_change_of_no_record_is_a_race(scripts: Scripts, keys: Keys) -> None:
    answer = await scripts.commit(commit_of(keys, op="new", expect=1))
    assert (answer.code, answer.value) == ("RACE", "0")


@pytest.mark.parametrize("entry", [0, 2, 4])
async def test_an_entry_number_already_taken_or_skipped_is_a_race(
    scripts: Scripts, keys: Keys, entry: int
) -> None:
    following = await opened(scripts, keys)
    answer = await scripts.commit(replace(following, entry=entry))
    assert (answer.code, answer.value) == ("RACE", "2")


async def test_a_time_in_the_future_or_too_long_ago_is_stale(scripts: Scripts, keys: Keys) -> None:
    following = await opened(scripts, keys)
    for now in (STANDS_AT + MILLISECOND, STANDS_AT - 2 * SECOND - MILLISECOND):
        assert (await scripts.commit(replace(following, now=now))).code == "STALE"
    answer = await scripts.commit(replace(following, now=STANDS_AT - 2 * SECOND))
    assert answer.code == "OK"


async def test_a_guarded_commit_waits_for_a_clock_that_is_behind(
    scripts: Scripts, keys: Keys
) -> None:
    following = await opened(scripts, keys)
    assert (await scripts.commit(replace(following, guarded=True))).code == "BEHIND"
    assert (await scripts.commit(following)).code == "OK"


async def test_a_clock_a_little_behind_stops_nothing(
    scripts: Scripts, keys: Keys, client: Redis
) -> None:
    following = await opened(scripts, keys)
    await client.delete(keys.clock)
    ahead = (await scripts.load(keys.system)).now + 4 * SECOND
    await stop_the_clock(client, keys, ahead)
    answer = await scripts.commit(replace(following, guarded=True, now=ahead))
    assert (answer.code, answer.at) == ("OK", ahead)


async def test_a_decision_at_the_deadline_is_late_and_one_before_it_is_not(
    scripts: Scripts, keys: Keys
) -> None:
    following = await opened(scripts, keys)
    for deadline in (STANDS_AT, STANDS_AT - SECOND):
        assert (await scripts.commit(replace(following, valid_before=deadline))).code == "LATE"
    in_time = replace(following, valid_before=STANDS_AT + MILLISECOND)
    assert (await scripts.commit(in_time)).code == "OK"


async def test_the_deadline_is_judged_by_the_store_and_not_by_the_writer(
    scripts: Scripts, keys: Keys
) -> None:
    following = await opened(scripts, keys)
    slow = replace(following, now=STANDS_AT - SECOND, valid_before=STANDS_AT)
    assert (await scripts.commit(slow)).code == "LATE"


MALFORMED: list[tuple[str | None, ...]] = [
    ("drop", "{k}"),
    ("hset", "{k}", "field"),
    ("hset", "{k}", "field", "value", "value"),
    ("hset", "{k}", None, "value"),
    ("zadd", "{k}", "soon", "member"),
    ("zadd", "{k}", "nan", "member"),
    ("zadd", "{k}", "0x10", "member"),
    ("zadd", "{k}", " 1", "member"),
    ("zadd", "{k}", "", "member"),
    ("zadd", "{k}", None, "member"),
    ("zadd", "{k}", "1", None),
    ("zrem", "{k}", None),
    ("zrem", "{k}"),
    ("schedule", "deadlines", "member", "soon"),
    ("schedule", "deadlines", "member", None),
    ("unschedule", "deadlines"),
    ("finish", "deadlines", "member", "end", None),
    ("finish", "deadlines", "member", None, None),
    ("finish", "deadlines", "member", "1", "soon"),
    ("finish", "deadlines", "member", "1"),
    ("publish", "channel"),
    ("publish", "channel", None),
]


@pytest.mark.parametrize("write", MALFORMED, ids=str)
async def test_a_malformed_write_is_told_before_any_is_made(
    scripts: Scripts, keys: Keys, client: Redis, write: tuple[str | None, ...]
) -> None:
    following = await opened(scripts, keys)
    before = await dump(client, keys)
    named = tuple(keys.pending if part == "{k}" else part for part in write)
    good = ("zadd", keys.pending, "1", REQUEST)
    answer = await scripts.commit(replace(following, writes=(good, named)))
    assert (answer.code, answer.value) == ("INVALID", "write 2")
    assert await dump(client, keys) == before


@pytest.mark.parametrize(
    "write",
    [
        ["hset", 9, "field", "value"],
        ["hset", "1", "field", "value"],
        ["hset", None, "field", "value"],
        ["hset", 1, "field", 5],
        ["hset", 1, "field", ["value"]],
        ["hset", 1, "field", True],
        ["zadd", 4, 5, "member"],
        ["schedule", 3, "member", "1"],
        ["finish", 3, "member", "1", None],
        [],
        ["hset"],
    ],
    ids=str,
)
async def test_a_write_by_a_wrong_place_or_type_is_told_too(
    store: Store, keys: Keys, client: Redis, write: list[object]
) -> None:
    head = {
        "op": REQUEST, "expect": None, "now": millis(STANDS_AT), "valid_before": None,
        "guarded": False, "entry": 1, "idem": None, "result": "pending", "writes": [write],
    }  # fmt: skip
    before = await dump(client, keys)
    names = (keys.request(REQUEST), keys.log, keys.clock, keys.pending)
    answer = await Script(store.pipeline, "commit").run(
        names, (json.dumps(head), "body", "", "entry")
    )
    assert answer[:2] == [b"INVALID", b"write 1"]
    assert await dump(client, keys) == before


REFUSALS: dict[str, tuple[str, dict[str, object]]] = {
    "an operation known": ("DUP", {"op": "known"}),
    "an opening known": ("DUP", {"op": REQUEST, "expect": None}),
    "an idempotency key used": ("EXISTS", {"idempotency": ("{idem}", "req_2 other")}),
    "another version": ("RACE", {"expect": 1}),
    "another entry": ("RACE", {"entry": 2}),
    "a future time": ("STALE", {"now": STANDS_AT + SECOND}),
    "an old time": ("STALE", {"now": STANDS_AT - 3 * SECOND}),
    "a clock behind": ("BEHIND", {"guarded": True}),
    "a deadline passed": ("LATE", {"valid_before": STANDS_AT}),
    "a malformed write": ("INVALID", {"writes": (("hset", "{idem}"),)}),
}


def _faulty(good: Commit, keys: Keys, faults: dict[str, object]) -> Commit:
    idem = keys.idempotency(_SERVICE, "k")
    if "idempotency" in faults:
        faults = faults | {"idempotency": (idem, "req_2 other")}
    return replace(good, **faults)  # type: ignore[arg-type]  # from the table above


@pytest.mark.parametrize("why", REFUSALS)
async def test_a_refused_commit_changes_no_key(
    scripts: Scripts, keys: Keys, client: Redis, why: str
) -> None:
    code, faults = REFUSALS[why]
    good = await opened(scripts, keys)
    good = replace(
        good, writes=(("zadd", keys.pending, "1", REQUEST), ("hset", keys.system, "f", None))
    )
    before = await dump(client, keys)
    assert (await scripts.commit(_faulty(good, keys, faults))).code == code
    assert await dump(client, keys) == before


@pytest.mark.parametrize(
    ("why", "is_stored"), [(why, code in ("DUP", "EXISTS")) for why, (code, _) in REFUSALS.items()]
)
async def test_only_an_answer_to_a_repeat_stores_the_time_so_that_replicas_can_confirm_it(
    scripts: Scripts, keys: Keys, client: Redis, why: str, is_stored: bool
) -> None:
    good = await opened(scripts, keys)
    before = await dump(client, keys)
    # Without a time seen the server's own holds, so every `now` here lies in its future.
    await client.delete(keys.clock)
    await scripts.commit(_faulty(good, keys, REFUSALS[why][1]))
    after = await dump(client, keys)
    assert ("clock:seen" in after) == is_stored
    assert _without_clock(after) == _without_clock(before)


def _without_clock(stored: Dump) -> Dump:
    return {name: value for name, value in stored.items() if name != "clock:seen"}


async def test_the_checks_stand_in_their_order(scripts: Scripts, keys: Keys) -> None:
    good = await opened(scripts, keys)
    order = ["an operation known", "an idempotency key used", "another version", "another entry",
             "an old time", "a clock behind", "a deadline passed", "a malformed write"]  # fmt: skip
    codes = []
    for place in range(len(order) + 1):
        faults: dict[str, object] = {}
        for why in order[place:]:
            faults |= REFUSALS[why][1]
        codes.append((await scripts.commit(_faulty(good, keys, faults))).code)
    expected = ["DUP", "EXISTS", "RACE", "RACE", "STALE", "BEHIND", "LATE", "INVALID", "OK"]
    assert codes == expected


async def test_the_checks_of_an_opening_stand_in_their_order(scripts: Scripts, keys: Keys) -> None:
    await opened(scripts, keys)
    new = commit_of(keys, op="req_2", record=keys.request(RequestId("req_2")))
    order = ["an idempotency key used", "another entry", "a future time", "a clock behind",
             "a deadline passed", "a malformed write"]  # fmt: skip
    known = {"op": REQUEST, "record": keys.request(REQUEST)}
    codes = []
    for place in range(-1, len(order) + 1):
        faults: dict[str, object] = dict(known) if place < 0 else {}
        for why in order[max(place, 0) :]:
            faults |= REFUSALS[why][1]
        codes.append((await scripts.commit(_faulty(new, keys, faults))).code)
    assert codes == ["DUP", "EXISTS", "RACE", "STALE", "BEHIND", "LATE", "INVALID", "OK"]


async def test_thirty_two_operations_are_kept_and_the_oldest_is_forgotten(
    scripts: Scripts, keys: Keys, client: Redis
) -> None:
    await scripts.commit(commit_of(keys))
    for n in range(1, 34):
        change = commit_of(keys, op=f"op-{n}", expect=n, entry=n + 1, result=f"r{n}")
        assert (await scripts.commit(change)).code == "OK"
    record = (await dump(client, keys))[f"request:{REQUEST}"]
    assert isinstance(record, dict)
    assert record[b"ops"].count(b"\n") == 32
    oldest = await scripts.commit(commit_of(keys, op="op-2", expect=99))
    assert (oldest.code, oldest.value) == ("DUP", "r2")
    assert (await scripts.commit(commit_of(keys, op="op-1", expect=99))).code == "RACE"


async def test_entries_are_numbered_over_all_commits_of_a_record(
    scripts: Scripts, keys: Keys, client: Redis
) -> None:
    await scripts.commit(commit_of(keys, entries=(b"1",)))
    changes = [(2, (b"2", b"3", b"4")), (5, ()), (5, (b"5",)), (6, (b"6", b"7"))]
    for version, (entry, entries) in enumerate(changes, 1):
        change = commit_of(keys, op=f"op-{version}", expect=version, entry=entry, entries=entries)
        assert (await scripts.commit(change)).code == "OK"
    loaded = await scripts.load(keys.request(REQUEST))
    assert (loaded.version, loaded.entries) == (5, 7)
    assert await log_of(client, keys) == [b"1", b"2", b"3", b"4", b"5", b"6", b"7"]


async def test_a_commit_without_entries_ignores_the_entry_number(
    scripts: Scripts, keys: Keys
) -> None:
    assert (await scripts.commit(commit_of(keys, entry=0, entries=()))).code == "OK"


async def test_callback_bytes_body_and_entries_are_stored_as_they_are(
    scripts: Scripts, keys: Keys, client: Redis
) -> None:
    raw = bytes(range(256)) + '{"größe": "\u2028"}\n'.encode()
    writes = (("hset", keys.system, "frozen", None), ("hset", keys.system, "plain", "ä\n\0"))
    change = commit_of(keys, body=raw, frozen=raw, entries=(raw,), writes=writes)
    assert (await scripts.commit(change)).code == "OK"
    stored = await dump(client, keys)
    assert stored["system"] == {b"frozen": raw, b"plain": "ä\n\0".encode()}
    assert (await scripts.load(keys.request(REQUEST))).body == raw
    assert await log_of(client, keys) == [raw]


async def test_an_empty_body_leaves_the_record_s_own(scripts: Scripts, keys: Keys) -> None:
    following = await opened(scripts, keys)
    await scripts.commit(replace(following, body=b""))
    loaded = await scripts.load(keys.request(REQUEST))
    assert (loaded.version, loaded.body) == (3, b"body")


async def test_a_lease_is_given_back_in_the_commit_itself(
    scripts: Scripts, keys: Keys, client: Redis
) -> None:
    due = ("schedule", "deadlines", REQUEST, str(millis(STANDS_AT)))
    await scripts.commit(commit_of(keys, writes=(due,)))
    claimed = await scripts.claim_due("deadlines", 10, timedelta(seconds=60))
    assert claimed.members == (REQUEST,)
    next_try = str(millis(STANDS_AT + 10 * SECOND))
    finish = ("finish", "deadlines", REQUEST, claimed.lease_end, next_try)
    await scripts.commit(commit_of(keys, op="op", expect=1, entry=2, writes=(finish,)))
    stored = await dump(client, keys)
    assert "deadlines:leased" not in stored
    assert stored["deadlines:due"] == [(REQUEST.encode(), float(next_try))]


async def test_one_commit_may_move_several_members_of_several_queues(
    scripts: Scripts, keys: Keys, client: Redis
) -> None:
    at = str(millis(STANDS_AT))
    writes = tuple(("schedule", queue, member, at) for queue in QUEUES for member in ("a", "b"))
    assert (await scripts.commit(commit_of(keys, writes=writes))).code == "OK"
    stored = await dump(client, keys)
    for queue in QUEUES:
        assert stored[f"{queue}:due"] == [(b"a", float(at)), (b"b", float(at))]


async def test_a_commit_wakes_who_listens(scripts: Scripts, keys: Keys, client: Redis) -> None:
    async with client.pubsub() as listener:
        await listener.subscribe(keys.wake_channel)
        assert await listener.get_message(timeout=5)
        writes = (("publish", keys.wake_channel, "deadlines"),)
        await scripts.commit(commit_of(keys, writes=writes))
        heard = await listener.get_message(ignore_subscribe_messages=True, timeout=5)
        assert heard is not None
        assert heard["data"] == b"deadlines"


async def test_the_time_of_a_commit_is_stored_and_never_goes_back(
    scripts: Scripts, keys: Keys, client: Redis
) -> None:
    await client.delete(keys.clock)
    now = (await scripts.load(keys.system)).now
    answer = await scripts.commit(commit_of(keys, now=now))
    assert answer.at >= now
    assert await client.get(keys.clock) == str(millis(answer.at)).encode()
    await stop_the_clock(client, keys)
    assert (await scripts.load(keys.system)).now == STANDS_AT
    assert (await scripts.load(keys.system)).behind > timedelta(days=1)


async def test_eight_racing_commits_on_one_version_give_exactly_one(
    engine: Engine, scripts: Scripts, keys: Keys, client: Redis
) -> None:
    following = await opened(scripts, keys)
    others = [engine.store() for _ in range(8)]
    racing = [
        Scripts(other.pipeline, keys).commit(replace(following, op=f"racer-{n}"))
        for n, other in enumerate(others)
    ]
    answers = await asyncio.gather(*racing)
    assert sorted(answer.code for answer in answers) == ["OK"] + ["RACE"] * 7
    assert {answer.value for answer in answers} == {"3"}
    assert len(await log_of(client, keys)) == 3
    for other in others:
        await other.close()


async def test_the_same_operation_sent_eight_times_at_once_counts_once(
    engine: Engine, scripts: Scripts, keys: Keys, client: Redis
) -> None:
    following = await opened(scripts, keys)
    others = [engine.store() for _ in range(8)]
    answers = await asyncio.gather(
        *(Scripts(other.pipeline, keys).commit(following) for other in others)
    )
    assert sorted(answer.code for answer in answers) == ["DUP"] * 7 + ["OK"]
    assert len(await log_of(client, keys)) == 3
    for other in others:
        await other.close()


async def test_five_hundred_openings_with_one_idempotency_key_give_one_request(
    engine: Engine, keys: Keys, client: Redis
) -> None:
    others = [engine.store() for _ in range(4)]
    idem = keys.idempotency(_SERVICE, "k")

    def opening(n: int) -> Commit:
        record = keys.request(RequestId(f"req_{n}"))
        return commit_of(keys, op=f"req_{n}", record=record, idempotency=(idem, f"req_{n} mark"))

    openings = [Scripts(others[n % 4].pipeline, keys).commit(opening(n)) for n in range(500)]
    answers = await asyncio.gather(*openings)
    assert sorted(answer.code for answer in answers) == ["EXISTS"] * 499 + ["OK"]
    (records,) = [name for name in await dump(client, keys) if name.startswith("request:")]
    (named,) = {answer.value for answer in answers if answer.code == "EXISTS"}
    assert named == f"{records.removeprefix('request:')} mark"
    assert len(await log_of(client, keys)) == 1
    for other in others:
        await other.close()
