"""Cards converge: one post, one edit a face, and whatever fails is tried again at its own pace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from approvals.errors import StoreUnavailable
from approvals.model import RequestId
from approvals.policy.loader import Configuration
from approvals.store.cards import CardPlace
from approvals.store.message_refs import StoredRef
from bot.notifier import CALL_S, LATEST, REFUSED_AGAIN, SOONEST, Notifier, Target
from bot.telemetry import Metrics
from bot.worker import Worker
from tests.calling_back import postman, working
from tests.conftest import ANNA, CLEO, CRM, Placet
from tests.notifying import DESK, DUTY, FACES, Cards, draw, notifying
from tests.servers.recording_port import (
    Fault,
    RecordingPort,
    Verb,
    breaks,
    busy,
    loses_the_reply,
    refused,
    stands_still,
)
from tests.stories.telling import (
    asks,
    history,
    looks_and_votes,
    passes,
    set_store_time,
    time_works,
)

SLACK = timedelta(milliseconds=900)  # what a test's own work may take


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return notifying(tmp_path / "config")


@pytest.fixture
def port() -> RecordingPort:
    return RecordingPort()


@pytest.fixture
def cards(placet: Placet, port: RecordingPort) -> Cards:
    return Cards(placet, port)


async def refs(placet: Placet, request: RequestId) -> dict[tuple[str, str], StoredRef]:
    return await placet.store.refs.of(request)


async def test_a_pending_request_is_posted_once_and_counts_as_presented(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet)
    assert request.presented_at is None

    await cards.goes_round()

    (card,) = port.cards(DESK)
    assert (card.state, card.request) == ("pending", request.id)
    shown = await placet.service.card_facts(request.id)
    assert (shown.delivery, shown.presented_at is not None) == ("presented", True)
    *_, told = await history(placet, request.id)
    assert told["type"] == "request.presented"


async def test_each_face_is_drawn_by_an_edit_of_the_same_message(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet, action="users.export", params=None)
    await cards.goes_round()
    await looks_and_votes(placet, ANNA, request.id)
    await cards.goes_round()
    assert [card.text for card in port.cards(DESK)] == ["pending, 1 of 2"]

    await looks_and_votes(placet, CLEO, request.id)
    await cards.goes_round()

    assert [card.state for card in (*port.cards(DESK), *port.cards(DUTY))] == ["approved"] * 2
    assert (port.count("post"), port.count("update")) == (2, 4)


async def test_work_that_comes_twice_or_late_costs_one_edit(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet)
    await cards.goes_round()
    await looks_and_votes(placet, ANNA, request.id)
    approved = await placet.service.card_facts(request.id)
    assert approved.grant is not None
    await set_store_time(placet, approved.grant.expires_at)
    await time_works(placet)

    for _ in range(3):
        await placet.store.cards.schedule(f"{request.id}|desk")
        await cards.goes_round()

    assert [card.state for card in port.cards(DESK)] == ["approved"]
    assert port.calls == [("post", DESK), ("update", DESK)]


async def test_what_is_final_before_its_first_post_is_never_posted(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet)
    await placet.service.cancel_by_service(CRM, request.id)
    await asks(placet, action="report.read", params=None)

    await cards.goes_round()

    assert port.calls == []
    assert await cards.due() == {}


@pytest.mark.parametrize("member", ["req_01JUNKNOWN|desk", "nonsense", "|", "req_1|"])
async def test_a_member_that_means_nothing_is_finished(cards: Cards, member: str) -> None:
    await cards.placet.store.cards.schedule(member)
    assert await cards.goes_round() == 1
    assert await cards.due() == {}


@pytest.mark.parametrize("fault", [busy, breaks, loses_the_reply])
async def test_a_failed_edit_is_made_again_until_it_is_made(
    placet: Placet, cards: Cards, port: RecordingPort, fault: Callable[[], Fault]
) -> None:
    request = await asks(placet)
    await cards.goes_round()
    await looks_and_votes(placet, ANNA, request.id)
    port.faults["update"].extend([fault(), fault()])

    for _ in range(3):
        await cards.goes_round()
        if await cards.due():
            await cards.waits_for_the_next_try()

    assert [card.state for card in port.cards(DESK)] == ["approved"]
    assert (port.count("update"), await cards.due()) == (3, {})


async def test_a_platform_that_names_a_pause_is_given_it(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet)
    port.faults["post"].append(busy(timedelta(seconds=77)))
    await cards.goes_round()

    (due,) = (await cards.due()).values()
    assert timedelta(seconds=77) <= due - request.created_at < timedelta(seconds=77) + 2 * SLACK


@pytest.mark.parametrize(
    ("age", "wait"),
    [(timedelta(), SOONEST), (timedelta(seconds=7), timedelta(seconds=7)),
     (timedelta(minutes=9), LATEST)],
)  # fmt: skip
async def test_without_a_named_pause_the_wait_is_as_long_as_the_wish_is_old(
    placet: Placet, cards: Cards, port: RecordingPort, age: timedelta, wait: timedelta
) -> None:
    request = await asks(placet)
    # Ahead of the server's clock, so that the store's time stands.
    now = request.created_at + age
    await set_store_time(placet, now)
    port.faults["post"].append(busy())
    await cards.goes_round()

    (due,) = (await cards.due()).values()
    assert wait <= due - now < wait + SLACK * 2


async def test_the_wish_is_as_old_as_the_last_vote(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet, action="users.export", params=None)
    await set_store_time(placet, request.created_at + timedelta(seconds=4))
    await looks_and_votes(placet, ANNA, request.id)
    now = request.created_at + timedelta(seconds=9)
    await set_store_time(placet, now)
    port.faults["post"].extend([busy(), busy()])
    await cards.goes_round()
    wish = timedelta(seconds=5)
    assert all(wish <= due - now < wish + SLACK for due in (await cards.due()).values())


async def test_the_wish_is_as_old_as_the_outcome(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet)
    await cards.goes_round()
    now = request.created_at + timedelta(minutes=5)
    await set_store_time(placet, now)
    await looks_and_votes(placet, ANNA, request.id, "deny", "Wrong ticket")
    port.faults["update"].append(busy())
    await cards.goes_round()
    (due,) = (await cards.due()).values()
    assert SOONEST <= due - now < SOONEST + SLACK


async def test_no_fault_of_a_port_reaches_a_log_in_its_own_words(
    placet: Placet, cards: Cards, port: RecordingPort, caplog: pytest.LogCaptureFixture
) -> None:
    request = await asks(placet)
    port.faults["post"].append(breaks())
    with caplog.at_level(logging.INFO):
        await cards.goes_round()

    (line,) = (vars(record) for record in caplog.records if record.name == "bot.notifier")
    told = {name: line[name] for name in ("outcome", "code", "request", "place", "platform")}
    assert told == {
        "outcome": "failed",
        "code": "ValueError",
        "request": request.id,
        "place": "desk",
        "platform": "slack",
    }
    assert "dana" not in caplog.text
    assert all(record.exc_info is None for record in caplog.records)


async def test_one_target_s_failure_repeats_no_other_s_work(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    teams = RecordingPort("teams")
    teams.faults["post"].extend([busy(), breaks()])

    def targets(place: str) -> list[Target]:
        return [Target("slack", port, "C1"), Target("teams", teams, "T1")]

    cards.targets = targets  # type: ignore[method-assign]  # a place on two platforms
    request = await asks(placet)
    for _ in range(3):
        await cards.goes_round()
        if await cards.due():
            await cards.waits_for_the_next_try()

    assert (port.calls, teams.calls) == ([("post", "C1")], [("post", "T1")] * 3)
    assert len(port.live("C1")) == len(teams.live("T1")) == 1
    assert {spot for spot, ref in (await refs(placet, request.id)).items() if ref.stands} == {
        ("desk", "slack"), ("desk", "teams"),
    }  # fmt: skip


async def test_a_named_pause_is_kept_though_another_target_could_come_sooner(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    teams = RecordingPort("teams")
    teams.faults["post"].append(busy(timedelta(seconds=50)))
    port.faults["post"].append(breaks())

    def targets(place: str) -> list[Target]:
        return [Target("slack", port, "C1"), Target("teams", teams, "T1")]

    cards.targets = targets  # type: ignore[method-assign]  # a place on two platforms
    request = await asks(placet)
    await cards.goes_round()
    (due,) = (await cards.due()).values()
    assert due - request.created_at >= timedelta(seconds=50)


async def test_a_message_that_is_gone_counts_as_drawn(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet)
    await cards.goes_round()
    port.channels[DESK].clear()
    await looks_and_votes(placet, ANNA, request.id)
    for _ in range(2):
        await placet.store.cards.schedule(f"{request.id}|desk")
        await cards.goes_round()

    assert (port.count("post"), port.count("update")) == (1, 1)
    assert await cards.due() == {}


async def test_a_card_that_may_not_be_edited_today_is_corrected_once_it_may(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet)
    await cards.goes_round()
    await looks_and_votes(placet, ANNA, request.id, "deny", "Wrong ticket")
    port.closed[DESK] = "not_in_channel"  # whose message stands there still
    waited = []
    for _ in range(3):
        claimed = await placet.store.records.now()
        await cards.goes_round()
        (due,) = (await cards.due()).values()
        waited.append(due - claimed)
        await cards.waits_for_the_next_try()
    assert len(port.live(DESK)) == 1
    assert waited[0] >= REFUSED_AGAIN
    assert waited[2] > waited[1] + SLACK  # what nobody mends costs less and less

    del port.closed[DESK]
    await cards.goes_round()
    assert [card.state for card in port.cards(DESK)] == ["denied"]
    assert await cards.due() == {}


async def test_two_workers_at_once_leave_one_live_card(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet)
    another = placet.another()
    other_cards = Cards(another, port)
    go_on = asyncio.Event()
    slow = stands_still(go_on)
    port.faults["post"].append(slow)

    first = asyncio.create_task(cards.goes_round())
    await slow.began.wait()
    await cards.leases_run_out()
    await other_cards.goes_round()
    assert len(port.live(DESK)) == 1
    go_on.set()
    await first
    await other_cards.goes_round()

    assert len(port.cards(DESK)) == 2
    assert [card.state for card in port.live(DESK)] == ["pending"]
    (ref,) = (await refs(placet, request.id)).values()
    assert ref.extra == ()
    await looks_and_votes(placet, ANNA, request.id)
    await cards.goes_round()
    assert [card.state for card in port.cards(DESK)].count("approved") == 1
    assert port.live(DESK) == []
    await another.store.close()


async def test_an_extra_card_is_taken_back_also_when_the_platform_is_busy_then(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet)
    at = CardPlace(request.id, "desk")
    await cards.goes_round()
    (first,) = (await refs(placet, request.id)).values()
    extra = await port.post(DESK, draw(request))
    owned_up = StoredRef(first.channel, first.message, first.drawn, "", ((DESK, extra.id),))
    await placet.store.refs.put(at, "slack", owned_up, instead_of=first)
    port.faults["update"].append(busy())

    await placet.store.cards.schedule(at.member)
    await cards.goes_round()
    assert len(port.live(DESK)) == 2
    await cards.waits_for_the_next_try()
    await cards.goes_round()

    assert len(port.live(DESK)) == 1
    assert (await refs(placet, request.id))["desk", "slack"] == first


async def test_an_extra_card_that_is_gone_is_forgotten(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet)
    at = CardPlace(request.id, "desk")
    await cards.goes_round()
    (first,) = (await refs(placet, request.id)).values()
    owned_up = StoredRef(first.channel, first.message, first.drawn, "", ((DESK, "9.9"),))
    await placet.store.refs.put(at, "slack", owned_up, instead_of=first)

    await placet.store.cards.schedule(at.member)
    await cards.goes_round()

    assert (await refs(placet, request.id))["desk", "slack"] == first
    assert await cards.due() == {}


@pytest.mark.parametrize("lands_first", [True, False])
async def test_a_stalled_worker_s_late_draw_heals(
    placet: Placet, cards: Cards, port: RecordingPort, lands_first: bool
) -> None:
    request = await asks(placet, action="users.export", params=None)
    await cards.goes_round()
    await looks_and_votes(placet, ANNA, request.id)
    go_on = asyncio.Event()
    slow = [stands_still(go_on), stands_still(go_on)]
    port.faults["update"].extend(slow)
    stalled = asyncio.create_task(cards.goes_round())
    for one in slow:
        await one.began.wait()

    await cards.leases_run_out()
    another = placet.another()
    other_cards = Cards(another, port)
    await looks_and_votes(placet, CLEO, request.id)
    if lands_first:  # the old card, and then the new one
        go_on.set()
        await asyncio.gather(stalled, other_cards.goes_round())
    else:
        await other_cards.goes_round()
        assert {card.state for card in port.cards(DESK)} == {"approved"}
        go_on.set()
        await stalled
    await other_cards.goes_round()

    assert {card.state for card in (*port.cards(DESK), *port.cards(DUTY))} == {"approved"}
    assert port.live(DESK) == port.live(DUTY) == []
    assert await cards.due() == {}
    await another.store.close()


async def test_a_refused_post_is_tried_again_after_a_minute_while_it_may_help(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet)
    port.faults["post"].append(refused())
    await cards.goes_round()
    (due,) = (await cards.due()).values()
    assert REFUSED_AGAIN <= due - request.created_at < REFUSED_AGAIN + 2 * SLACK

    await placet.service.cancel_by_service(CRM, request.id)
    await cards.goes_round()
    assert (port.count("post"), await cards.due()) == (1, {})


async def test_refused_to_one_worker_and_posted_by_another_stands(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet)
    another = placet.another()
    go_on = asyncio.Event()
    slow = stands_still(go_on)
    slow.error = refused().error
    port.faults["post"].append(slow)
    first = asyncio.create_task(cards.goes_round())
    await slow.began.wait()
    await cards.leases_run_out()
    await Cards(another, port).goes_round()
    go_on.set()
    await first
    await cards.goes_round()

    (ref,) = (await refs(placet, request.id)).values()
    assert ref.stands
    assert len(port.live(DESK)) == 1
    assert (await placet.service.card_facts(request.id)).delivery == "presented"
    await another.store.close()


async def test_posted_by_one_worker_and_refused_to_another_stands(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet)
    another = placet.another()
    go_on = asyncio.Event()
    slow = stands_still(go_on)
    port.faults["post"].extend([slow, refused()])
    first = asyncio.create_task(cards.goes_round())
    await slow.began.wait()
    await cards.leases_run_out()
    await Cards(another, port).goes_round()
    go_on.set()
    await first

    (ref,) = (await refs(placet, request.id)).values()
    assert ref.stands
    assert len(port.live(DESK)) == 1
    await another.store.close()


async def test_a_card_that_the_store_could_not_note_is_taken_back(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet)
    key = placet.store.keys.refs(request.id)

    class FillsTheKey(RecordingPort):
        """While it posts, the key of the refs becomes one of another kind."""

        async def post(self, channel, card):  # type: ignore[no-untyped-def]
            await placet.store.pipeline.run("SET", key, "of another kind")
            return await super().post(channel, card)

    broken = FillsTheKey()
    cards.port = broken
    with pytest.raises(StoreUnavailable):
        await cards.goes_round()
    assert [card.title for card in broken.cards(DESK)] == ["Posted twice"]

    await placet.store.pipeline.run("DEL", key)
    cards.port = port
    await cards.leases_run_out()
    await cards.goes_round()
    assert len(port.live(DESK)) == 1


async def test_a_place_that_is_nowhere_today_reaches_nobody_until_it_is_somewhere(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet)
    cards.places = {}
    await cards.goes_round()
    assert (await placet.service.card_facts(request.id)).delivery == "undeliverable"

    cards.places = {"desk": [DESK]}
    await cards.waits_for_the_next_try()
    await cards.goes_round()
    assert (await placet.service.card_facts(request.id)).delivery == "presented"

    cards.places = {}
    await passes(placet, request, timedelta(0))
    await time_works(placet)
    await cards.goes_round()
    assert await cards.due() == {}


async def test_a_presentation_that_was_not_told_is_told_by_the_next_round(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    request = await asks(placet)
    at = CardPlace(request.id, "desk")
    posted = await port.post(DESK, draw(request))
    await placet.store.refs.put(at, "slack", StoredRef(posted.channel, posted.id))

    await cards.goes_round()

    assert (await placet.service.card_facts(request.id)).delivery == "presented"
    assert port.count("post") == 1


@pytest.mark.parametrize("verb", ["post", "update"])
async def test_a_call_that_stands_still_is_ended_and_made_again(
    placet: Placet, cards: Cards, port: RecordingPort, verb: Verb
) -> None:
    request = await asks(placet)
    if verb == "update":
        await cards.goes_round()
        await placet.service.cancel_by_service(CRM, request.id)
    cards.call_s = 0.01
    port.faults[verb].append(stands_still(asyncio.Event()))
    await cards.goes_round()
    await cards.waits_for_the_next_try()
    await cards.goes_round()

    assert len(port.cards(DESK)) == 1
    assert await cards.due() == {}


async def test_a_call_that_stands_still_is_ended_long_before_the_lease(placet: Placet) -> None:
    assert placet.store.cards.lease.total_seconds() > 2 * CALL_S + 5


async def test_what_was_worked_is_counted(placet: Placet, port: RecordingPort) -> None:
    metrics = Metrics()
    notifier = Notifier(
        placet.service,
        placet.store,
        lambda _: [Target("slack", port, DESK)],
        faces=FACES,
        metrics=metrics,
    )
    request = await asks(placet)
    claimed = await placet.store.cards.claim()
    await notifier.draw_member(f"{request.id}|desk", claimed.lease_end, claimed.now)
    assert b'placet_cards_total{outcome="posted"} 1.0' in metrics.text()


async def test_a_worker_draws_what_is_due_and_is_woken_for_it(
    placet: Placet, cards: Cards, port: RecordingPort
) -> None:
    async with postman(placet) as post:
        pool = placet.engine.pool()
        worker = Worker(
            placet.store, placet.service, post.sender, pool, Metrics(), notifier=cards.notifier
        )
        posted = stands_still(asyncio.Event())
        port.faults["post"].append(posted)
        async with working(worker.run()):
            await asks(placet)
            async with asyncio.timeout(10):
                await posted.began.wait()


async def test_without_a_platform_cards_wait(placet: Placet, cards: Cards) -> None:
    async with postman(placet) as post:
        pool = placet.engine.pool()
        worker = Worker(placet.store, placet.service, post.sender, pool, Metrics())
        assert [loop.name for loop in worker._loops] == ["deadlines", "callbacks"]
        await pool.aclose()
        request = await asks(placet)
    assert list(await cards.due()) == [f"{request.id}|desk"]
