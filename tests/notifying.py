"""What tests of cards share: a policy that notifies, plain cards, and the worker's rounds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

from approvals.model import ApprovalRequest
from approvals.policy.loader import Configuration, load_configuration
from approvals.privacy.masking import Shown
from approvals.store.times import from_millis
from bot.chat.card import Button, Card, Quote
from bot.notifier import CALL_S, Faces, Notifier, Target
from tests.configurations import POLICY, write_configuration
from tests.conftest import Placet
from tests.servers.recording_port import RecordingPort
from tests.stories.telling import set_store_time

DESK, DUTY = "C-desk", "C-duty"
SOON = timedelta(hours=12)  # far longer than any wait after a failure, shorter than a day
_CHANNELS = """\
channels:
  desk: {slack: C-desk}
  duty: {slack: C-duty}
"""


def notifying(directory: Path) -> Configuration:
    """The usual company, whose reviews are told to two channels."""
    policy = POLICY.replace("version: 1\n", "version: 1\n" + _CHANNELS)
    policy = policy.replace("groups: [privacy]}", "groups: [privacy], notify: [desk]}")
    policy = policy.replace("grant_ttl: 10m}", "grant_ttl: 10m, notify: [desk, duty]}")
    write_configuration(directory, policy=policy)
    return load_configuration(directory)


def draw(request: ApprovalRequest, justification: Shown | None = None) -> Card:
    """A card with all that may change on it; a button while there is something to decide."""
    text = f"{request.status}, {len(request.approvals)} of {request.policy.threshold}"
    review = Button(
        action="review",
        label="Review",
        said="Review this request",
        request=request.id,
        revision=request.revision,
    )
    return Card(
        state=request.status,
        title=request.asked.title,
        text=text,
        request=request.id,
        quotes=(Quote(label="Why", text=justification),) if justification else (),
        buttons=() if request.is_final else (review,),
    )


def blank(request: ApprovalRequest) -> Card:
    """What a card is in the end."""
    return Card(state="info", title="Closed", text="Closed", request=request.id)


def superseded(request: ApprovalRequest) -> Card:
    """What takes the place of a card posted twice."""
    return Card(state="info", title="Posted twice", text="See the other card", request=request.id)


FACES = Faces(draw, blank, superseded)


@dataclass
class Cards:
    """A worker's card half over `placet`, one round at a time."""

    placet: Placet
    port: RecordingPort
    places: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {"desk": [DESK], "duty": [DUTY]}
    )

    call_s: float = CALL_S
    faces: Faces = FACES

    def targets(self, place: str) -> list[Target]:
        return [Target("slack", self.port, channel) for channel in self.places.get(place, ())]

    @property
    def notifier(self) -> Notifier:
        placet = self.placet
        return Notifier(
            placet.service,
            placet.store,
            self.targets,
            faces=self.faces,
            call_s=self.call_s,
        )

    async def goes_round(self) -> int:
        """Draws every card that is due, until none is; answers how many members there were."""
        rounds = 0
        while True:
            claimed = await self.placet.store.cards.claim()
            if not claimed.members:
                return rounds
            rounds += len(claimed.members)
            await asyncio.gather(
                *(
                    self.notifier.draw_member(member, claimed.lease_end, claimed.now)
                    for member in claimed.members
                )
            )

    async def due(self) -> dict[str, datetime]:
        """What waits to be drawn, and until when; not what is to be blanked one day."""
        soon = await self.placet.store.records.now() + SOON
        return {member: at for member, at in (await self.waiting()).items() if at < soon}

    async def waiting(self) -> dict[str, datetime]:
        """All that waits in the queue, and until when."""
        key = self.placet.store.keys.queue("cards").due
        reply = await self.placet.store.pipeline.run("ZRANGE", key, 0, -1, "WITHSCORES")
        flat = iter(cast("list[bytes]", reply))
        return {member.decode(): from_millis(at) for member, at in zip(flat, flat, strict=True)}

    async def waits_for_the_next_try(self) -> None:
        """Lets the store's time pass until the next card is due."""
        await set_store_time(self.placet, min((await self.due()).values()))

    async def leases_run_out(self) -> None:
        """As when the worker that holds them has stood still for as long as a lease lasts."""
        pipeline, key = self.placet.store.pipeline, self.placet.store.keys.queue("cards").leased
        for member in cast("list[bytes]", await pipeline.run("ZRANGE", key, 0, -1)):
            await pipeline.run("ZADD", key, "XX", 1, member)
