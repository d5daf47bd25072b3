"""Due cards become messages: posted once, then edited to what the record says now.

A card is drawn from the record as loaded in the same call, never from what happened, and blanked by
the time of the claim. Refs are read before the record: who draws meanwhile changes a ref, which
shows when ours is put.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from approvals.errors import NotFound, StoreFailure
from approvals.model import ApprovalRequest
from approvals.privacy.masking import ERASED, Shown
from approvals.service import ApprovalService
from approvals.store.cards import CardPlace, card_place
from approvals.store.message_refs import StoredRef
from approvals.store.store import Store
from bot.card_times import blank_at, changed_at
from bot.chat.card import Card
from bot.chat.port import (
    ChatBusy,
    ChatFailed,
    ChatPort,
    ChatRefused,
    MessageGone,
    MessageRef,
    Platform,
)
from bot.telemetry import CardOutcome, Metrics

_log = logging.getLogger(__name__)

CALL_S = 10.0  # a post and the edit that takes it back are shorter than the queue's lease
SOONEST, LATEST = timedelta(seconds=1), timedelta(seconds=30)
REFUSED_AGAIN = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a place is today on one platform."""

    platform: Platform
    port: ChatPort
    channel: str


Targets = Callable[[str], Sequence[Target]]
Draw = Callable[[ApprovalRequest], Card]
DrawInFull = Callable[[ApprovalRequest, Shown | None], Card]


@dataclass(frozen=True, slots=True)
class Faces:
    """The cards of a request: while it is told of, with the justification where policy shows it;
    once it is blanked; and in place of one that was posted twice.
    """

    full: DrawInFull
    blank: Draw
    superseded: Draw


@dataclass(frozen=True, slots=True)
class Drawing:
    """A member being worked off. `age` is that of the wish: so long it waits after a failure.

    `blank`: the fingerprint of the blank card. `next_face`: when the card is to be blanked, where
    that is still to come.
    """

    at: CardPlace
    request: ApprovalRequest
    card: Card
    fingerprint: str
    age: timedelta
    blank: str
    next_face: datetime | None

    @property
    def pace(self) -> timedelta:
        """The wait after what may pass by itself."""
        return min(max(self.age, SOONEST), LATEST)

    @property
    def pace_of_refused(self) -> timedelta:
        """The wait where somebody has to mend it; it grows, since perhaps nobody ever does."""
        return max(self.age, REFUSED_AGAIN)


@dataclass(frozen=True, slots=True)
class Met:
    """What one target met: the ref held there now, and when to come again, if at all.

    `is_touched`: the message may have changed. `rest`: the platform wants none sooner than that.
    """

    target: Target
    ref: StoredRef | None
    is_touched: bool = False
    wait: timedelta | None = None
    rest: timedelta = timedelta()


Worked = tuple[list[Met], timedelta | None, datetime | None]
_NOTHING: Worked = ([], None, None)


class Notifier:
    """Works off members of the cards queue. `targets` answers where a place is today."""

    def __init__(
        self,
        service: ApprovalService,
        store: Store,
        targets: Targets,
        *,
        faces: Faces,
        metrics: Metrics | None = None,
        call_s: float = CALL_S,
    ) -> None:
        self._service = service
        self._queue = store.cards
        self._refs = store.refs
        self._targets = targets
        self._faces = faces
        self._metrics = metrics or Metrics()
        self._call_s = call_s

    async def draw_member(self, member: str, lease_end: str, now: datetime) -> None:
        """Lets one card show the record as it is now, on each platform, and gives the lease back.

        `now` is the claim's time.
        """
        began = time.monotonic()
        at = card_place(member)
        try:
            met, wait, face = await self._worked_off(at, now) if at else _NOTHING
        except NotFound:
            met, wait, face = _NOTHING
        if wait:  # the failure it is counted from may be long after the claim
            wait += timedelta(seconds=time.monotonic() - began)
        tries = [] if wait is None else [now + wait]
        next_try = min([*tries, *([face] if face else [])], default=None)
        if not await self._queue.finish(member, lease_end, next_try) and at:
            await self._doubt(at, met)

    async def _worked_off(self, at: CardPlace, now: datetime) -> Worked:
        """What each target met, how long to wait after a failure, and when to blank the card."""
        refs = await self._refs.of(at.request)
        drawing = await self._drawing(at, await self._service.card_facts(at.request), now)
        met = await asyncio.gather(
            *(
                self._show(target, drawing, refs.get((at.place, target.platform)))
                for target in self._targets(at.place)
            )
        )
        await self._tell(drawing, met)
        stand = [ref for (place, _), ref in refs.items() if place == at.place and ref.stands]
        if not met:  # nowhere today: a repaired configuration may say where
            return met, _wait_for_a_target(drawing, stand), drawing.next_face if stand else None
        return met, _wait(met), _next_face(drawing, met, now)

    async def _doubt(self, at: CardPlace, met: Sequence[Met]) -> None:
        """Somebody else holds the member, and our card may have come after theirs: once more."""
        touched = [one.target.platform for one in met if one.is_touched]
        for platform in touched:
            await self._refs.doubt(at, platform)
        if touched:
            await self._queue.schedule(at.member)

    async def _drawing(self, at: CardPlace, request: ApprovalRequest, now: datetime) -> Drawing:
        blank = self._faces.blank(request)
        due = blank_at(request, self._service.configuration.policy.defaults.chat_retention)
        if due and due <= now:
            known = fingerprint(blank)
            return Drawing(at, request, blank, known, now - due, known, None)
        card = self._faces.full(request, await self._justification(request))
        age = now - changed_at(request)
        return Drawing(at, request, card, fingerprint(card), age, fingerprint(blank), due)

    async def _justification(self, request: ApprovalRequest) -> Shown | None:
        """The requester's words, read only where the card is to show them."""
        if request.is_final or not request.policy.show_justification:
            return None
        words = (await self._service.reading(request)).justification()
        return None if words == ERASED else words

    async def _show(self, target: Target, drawing: Drawing, ref: StoredRef | None) -> Met:
        """One target's card; whatever it meets, the others are none the worse."""
        is_standing = ref is not None and ref.stands
        try:
            if ref and ref.stands:
                return await self._edit(target, drawing, ref)
            if drawing.request.is_final:
                return Met(target, ref)
            return await self._post(target, drawing, ref)
        except ChatBusy as busy:
            self._note("busy", target, drawing, busy)
            wait, rest = busy.retry_after or drawing.pace, busy.retry_after or timedelta()
            return Met(target, ref, is_touched=is_standing, wait=wait, rest=rest)
        except ChatRefused as refusal:  # the message stands, and shows what is no longer true
            self._note("refused", target, drawing, refusal)
            return Met(target, ref, is_touched=is_standing, wait=drawing.pace_of_refused)
        except Exception as error:  # noqa: BLE001 - a port may fail in any way; it is tried again
            self._note("failed", target, drawing, error)
            return Met(target, ref, is_touched=is_standing, wait=drawing.pace)

    async def _edit(self, target: Target, drawing: Drawing, ref: StoredRef) -> Met:
        ref = await self._take_back(target, drawing, ref)
        if ref.drawn in (drawing.fingerprint, drawing.blank):  # what is blank stays so
            return Met(target, ref)
        try:
            await self._update(target, (ref.channel, ref.message), drawing.card)
            self._metrics.card_worked("edited")
        except MessageGone as gone:  # nobody sees it any more, so there is nothing to correct
            self._note("refused", target, drawing, gone)
        return await self._drawn(target, drawing, ref)

    async def _post(self, target: Target, drawing: Drawing, ref: StoredRef | None) -> Met:
        try:
            async with asyncio.timeout(self._call_s):
                posted = await target.port.post(target.channel, drawing.card)
        except ChatRefused as refusal:
            self._note("refused", target, drawing, refusal)
            return await self._refused(target, drawing, ref, refusal.code)
        self._metrics.card_worked("posted")
        try:
            held = await self._put_standing(target, drawing, posted, ref)
        except StoreFailure:
            # Should it be held after all, the next one finds it drawn by nobody, and draws it.
            superseded = self._faces.superseded(drawing.request)
            await self._update(target, (posted.channel, posted.id), superseded)
            raise
        if (held.channel, held.message) == (posted.channel, posted.id):
            return await self._drawn(target, drawing, held)
        held = await self._take_back(target, drawing, held)
        return Met(target, held, wait=timedelta())

    async def _put_standing(
        self, target: Target, drawing: Drawing, posted: MessageRef, ref: StoredRef | None
    ) -> StoredRef:
        """Puts a posted message; where another stands already, ours is noted as one too many."""
        mine = StoredRef(channel=posted.channel, message=posted.id)
        spot = (posted.channel, posted.id)
        held = await self._refs.put(drawing.at, target.platform, mine, instead_of=ref)
        while not held.stands:  # refused to another, meanwhile
            held = await self._refs.put(drawing.at, target.platform, mine, instead_of=held)
        while spot not in ((held.channel, held.message), *held.extra):
            owned_up = replace(held, extra=(*held.extra, spot))
            held = await self._refs.put(drawing.at, target.platform, owned_up, instead_of=held)
        return held

    async def _take_back(self, target: Target, drawing: Drawing, ref: StoredRef) -> StoredRef:
        """Takes the buttons off messages posted besides the one that stands; answers what holds."""
        if not ref.extra:
            return ref
        for spot in ref.extra:
            try:
                await self._update(target, spot, self._faces.superseded(drawing.request))
            except MessageGone as gone:
                self._note("refused", target, drawing, gone)
        alone = replace(ref, extra=())
        return await self._refs.put(drawing.at, target.platform, alone, instead_of=ref)

    async def _refused(
        self, target: Target, drawing: Drawing, ref: StoredRef | None, code: str
    ) -> Met:
        refusal = StoredRef(refused=code or "refused")
        held = await self._refs.put(drawing.at, target.platform, refusal, instead_of=ref)
        return Met(target, held, wait=timedelta() if held.stands else REFUSED_AGAIN)

    async def _drawn(self, target: Target, drawing: Drawing, ref: StoredRef) -> Met:
        drawn = replace(ref, drawn=drawing.fingerprint)
        held = await self._refs.put(drawing.at, target.platform, drawn, instead_of=ref)
        if held == drawn:
            return Met(target, drawn, is_touched=True)
        # Somebody else has drawn meanwhile, and nobody knows whose card came last.
        await self._refs.doubt(drawing.at, target.platform)
        return Met(target, held, is_touched=True, wait=timedelta())

    async def _tell(self, drawing: Drawing, met: Sequence[Met]) -> None:
        """Tells the domain whether anybody can see the request."""
        request = drawing.request
        if request.is_final or request.delivery == "presented":
            return
        if any(one.ref and one.ref.stands for one in met):
            await self._service.on_presented(request.id, drawing.at.place)
        elif request.delivery == "queued" and await self._reaches_nobody(request):
            await self._service.on_undeliverable(request.id)

    async def _reaches_nobody(self, request: ApprovalRequest) -> bool:
        """Whether every target of every place has refused. A place without targets reaches none."""
        refs = await self._refs.of(request.id)
        if any(ref.stands for ref in refs.values()):
            return False
        places = request.places
        spots = [(place, target.platform) for place in places for target in self._targets(place)]
        return all(spot in refs for spot in spots)

    async def _update(self, target: Target, spot: tuple[str, str], card: Card) -> None:
        channel, message = spot
        ref = MessageRef(platform=target.platform, channel=channel, id=message)
        async with asyncio.timeout(self._call_s):
            await target.port.update(ref, card)

    def _note(
        self, outcome: CardOutcome, target: Target, drawing: Drawing, error: Exception
    ) -> None:
        self._metrics.card_worked(outcome)
        code = error.code if isinstance(error, ChatFailed | StoreFailure) else type(error).__name__
        where = {"place": drawing.at.place, "platform": target.platform}
        said = {"request": drawing.request.id, "outcome": outcome, "code": code}
        _log.warning("card not taken", extra={**said, **where})


def fingerprint(card: Card) -> str:
    """Names what a card shows; equal cards have equal ones."""
    return hashlib.sha256(card.model_dump_json().encode()).hexdigest()[:32]


def _awaits_blanking(drawing: Drawing, ref: StoredRef) -> bool:
    return ref.stands and ref.drawn != drawing.blank


def _next_face(drawing: Drawing, met: Sequence[Met], now: datetime) -> datetime | None:
    """When what stands is to be blanked, but not within a pause that a platform has named."""
    is_due = any(one.ref and _awaits_blanking(drawing, one.ref) for one in met)
    if drawing.next_face is None or not is_due:
        return None
    return max(drawing.next_face, *(now + one.rest for one in met))


def _wait(met: Sequence[Met]) -> timedelta | None:
    """How long until what failed is tried again; None when all is as it should be."""
    waits = [one.wait for one in met if one.wait is not None]
    return max(min(waits), *(one.rest for one in met)) if waits else None


def _wait_for_a_target(drawing: Drawing, stand: Sequence[StoredRef]) -> timedelta | None:
    """How long until the configuration is asked again where a place is."""
    if not drawing.request.is_final:
        return REFUSED_AGAIN
    is_late = drawing.next_face is None
    waits = is_late and any(_awaits_blanking(drawing, ref) for ref in stand)
    return drawing.pace_of_refused if waits else None
