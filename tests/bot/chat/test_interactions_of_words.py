"""What people write beside a click: screened on its way in, and they learn what was masked."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from approvals.model import PiiInText
from bot.chat.card import plain
from tests.bot.chat.test_interactions import Desk, desk_over
from tests.conftest import ANNA, JONAS, Placet
from tests.stories.telling import asks, looks_and_votes

MAILED = "Ask dana@example.com about it"
SECRET = "The key is AKIA" + "A" * 16
TAKEN = "The scan took an e-mail address out of your reason before it was kept."
WRITTEN = "Customer dana@example.com asked for a copy of their data"
NOTHING = "Nothing of it was recorded, and nothing was changed."
Wanted = Literal["approve", "deny", "cancel", "revoke"]


@pytest.fixture
def desk(placet: Placet) -> Desk:
    return desk_over(placet)


def reads_texts(placet: Placet, mode: PiiInText) -> None:
    """Policy is reloaded with another `pii_in_text`."""
    known = placet.service.configuration
    defaults = known.policy.defaults.model_copy(update={"pii_in_text": mode})
    policy = known.policy.model_copy(update={"defaults": defaults})
    placet.service.configuration = replace(known, policy=policy)


@pytest.mark.parametrize("action", ["approve", "deny", "cancel", "revoke"])
async def test_whoever_wrote_personal_data_is_told_what_was_taken_out(
    desk: Desk, action: Wanted
) -> None:
    request = await asks(desk.placet)
    if action == "approve":
        await desk.shown(ANNA, "review", request.id)
    if action == "revoke":
        await looks_and_votes(desk.placet, ANNA, request.id)
    person = JONAS if action in ("cancel", "revoke") else ANNA
    reply = await desk.told(person, action, request.id, reason=MAILED)
    assert (reply.state, plain(reply.notes[-1])) == ("info", TAKEN)
    assert "dana" not in reply.model_dump_json()
    words = await desk.words(request)
    said = [words.reviewed(ANNA), words.cancelled(), words.revoked()]
    assert [one for one in said if one] == ["Ask [email] about it"]


async def test_who_wrote_none_is_told_nothing_of_it(desk: Desk) -> None:
    reply = await desk.told(ANNA, "deny", (await asks(desk.placet)).id, reason="Wrong ticket")
    assert len(reply.notes) == 1


async def test_where_policy_warns_approvers_and_requesters_are_warned(desk: Desk) -> None:
    reads_texts(desk.placet, "warn")
    request = await asks(desk.placet, justification=WRITTEN)
    warning = (
        "Warning: this request held personal data. "
        "The scan took out an e-mail address in the justification."
    )
    form = await desk.shown(ANNA, "review", request.id)
    assert plain(form.card.notes[0]) == warning
    reply = await desk.told(JONAS, "cancel", request.id, reason=MAILED)
    assert [plain(note) for note in reply.notes[1:]] == [
        f"Warning: do not write personal data. {TAKEN}",
        warning,
    ]


async def test_where_policy_masks_the_form_says_quietly_what_was_taken_out(desk: Desk) -> None:
    request = await asks(desk.placet, justification=WRITTEN, ticket="of jo@example.com")
    form = await desk.shown(ANNA, "review", request.id)
    assert plain(form.card.notes[0]) == (
        "Taken out by the scan: an e-mail address in the justification and an e-mail address in "
        "the ticket."
    )
    assert len((await desk.told(ANNA, "approve", request.id)).notes) == 1


@pytest.mark.parametrize("action", ["deny", "cancel"])
async def test_where_policy_refuses_it_says_what_kind_and_what_next(
    desk: Desk, action: Wanted
) -> None:
    reads_texts(desk.placet, "refuse")
    request = await asks(desk.placet)
    reply = await desk.told(ANNA if action == "deny" else JONAS, action, request.id, reason=MAILED)
    assert (reply.state, reply.text) == (
        "refused",
        "Your reason holds an e-mail address. Leave it out and send the reason again. " + NOTHING,
    )
    assert await desk.state(request) == request


async def test_a_secret_is_refused_always_and_is_to_be_replaced(desk: Desk) -> None:
    request = await asks(desk.placet)
    reply = await desk.told(ANNA, "deny", request.id, reason=SECRET)
    assert reply.text == (
        "Your reason holds a cloud key. Leave it out, and replace it wherever it is used. "
        + NOTHING
    )
    assert await desk.state(request) == request
    (noted,) = await desk.audited()
    assert (noted["code"], noted["found"]) == ("secret_found", ["cloud_key"])
