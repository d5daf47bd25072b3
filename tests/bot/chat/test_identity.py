"""Who acts is a person of people.yaml, by ids of the platform that they come from."""

from __future__ import annotations

import pytest

from approvals.errors import NotAllowed
from bot.chat.identity import Identities
from bot.chat.port import ChatUser, Platform
from tests.conftest import ANNA, Placet


@pytest.mark.parametrize("platform", ["slack", "teams"])
def test_the_id_of_a_person_proves_nothing_on_another_platform(
    placet: Placet, platform: Platform
) -> None:
    identities = Identities(lambda: placet.configuration.people)
    assert identities.person(ChatUser(platform="console", id=ANNA)).id == ANNA
    with pytest.raises(NotAllowed):
        identities.person(ChatUser(platform=platform, id=ANNA))
