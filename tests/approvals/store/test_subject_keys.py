"""One wrapped key for each data subject, made and deleted in the commit that needs it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from approvals.encryption import WrappingKey
from approvals.errors import TooManyPending
from approvals.model import ApprovalRequest
from approvals.service import ApprovalService
from approvals.store.keys import Keys
from approvals.store.scripts import Commit, Keyed, Room, Scripts, UnreadableRecord
from approvals.store.store import Store
from approvals.store.subject_keys import Ready, SubjectKeys
from tests.approvals.store.support import STANDS_AT, commit_of, dump, stop_the_clock
from tests.conftest import ANNA, BEN, CLI, SECRETS, Placet
from tests.limiting import limited
from tests.stories.telling import asks

SUBJECT = "customer:48213"
NAME = "5" * 32
SECOND = timedelta(seconds=1)


def keyed(keys: Keys, wrapped: str = "wrapped", *, is_new: bool = True) -> Keyed:
    return Keyed(keys.vault(NAME), wrapped, is_new)


async def vaults(client: Redis, keys: Keys) -> list[str]:
    """The names of all wrapped keys there are."""
    return [name for name in await dump(client, keys) if name.startswith("vault:")]


@pytest.fixture
async def commit(scripts: Scripts, keys: Keys, client: Redis) -> Commit:
    """An opening with a new key, at a time that stands."""
    await stop_the_clock(client, keys)
    return commit_of(keys, keyed=keyed(keys))


async def test_a_new_key_is_put_with_the_words_it_has_made(
    scripts: Scripts, client: Redis, keys: Keys, commit: Commit
) -> None:
    assert (await scripts.commit(commit)).code == "OK"
    assert await client.get(keys.vault(NAME)) == b"wrapped"
    assert await client.ttl(keys.vault(NAME)) == -1


# What the subject has, whether the words are under a new key, and what becomes of the opening.
KEYED: list[tuple[str | None, bool, str]] = [
    (None, True, "OK"),
    (None, False, "REKEYED"),
    ("wrapped", False, "OK"),
    ("wrapped", True, "OK"),
    ("another", False, "REKEYED"),
    ("another", True, "REKEYED"),
]


@pytest.mark.parametrize("case", KEYED)
async def test_words_are_taken_only_under_the_key_that_their_subject_has(
    client: Redis, keys: Keys, scripts: Scripts, commit: Commit, case: tuple[str | None, bool, str]
) -> None:
    held, is_new, code = case
    if held:
        await client.set(keys.vault(NAME), held)
    before = await dump(client, keys)
    tried = replace(commit, keyed=keyed(keys, is_new=is_new))
    assert (await scripts.commit(tried)).code == code
    if code == "REKEYED":
        assert await dump(client, keys) == before
    else:
        assert await client.get(keys.vault(NAME)) == b"wrapped"


def crowded(keys: Keys, commit: Commit) -> Commit:
    return replace(commit, room=Room(keys.by_requester(NAME), keys.pending, 0, None))


REFUSED: dict[str, Callable[[Keys, Commit], Commit]] = {
    "STALE": lambda _, commit: replace(commit, now=STANDS_AT + SECOND),
    "LATE": lambda _, commit: replace(commit, valid_before=STANDS_AT - SECOND),
    "BEHIND": lambda _, commit: replace(commit, guarded=True),
    "CROWDED": crowded,
    "RACE": lambda _, commit: replace(commit, entry=7),
    "INVALID": lambda keys, commit: replace(commit, writes=(("zadd", keys.pending, "soon", "m"),)),
}


@pytest.mark.parametrize("code", REFUSED)
async def test_a_commit_that_is_refused_leaves_no_key(
    scripts: Scripts, client: Redis, keys: Keys, commit: Commit, code: str
) -> None:
    assert (await scripts.commit(REFUSED[code](keys, commit))).code == code
    assert await vaults(client, keys) == []


async def test_an_idempotency_key_used_before_leaves_no_key(
    scripts: Scripts, client: Redis, keys: Keys, commit: Commit
) -> None:
    await client.set(keys.by_requester("idem"), "req_0 body")
    used = replace(commit, idempotency=(keys.by_requester("idem"), "req_1 body"))
    assert (await scripts.commit(used)).code == "EXISTS"
    assert await vaults(client, keys) == []


async def test_a_repeated_opening_makes_no_second_key(
    scripts: Scripts, client: Redis, keys: Keys, commit: Commit
) -> None:
    assert (await scripts.commit(commit)).code == "OK"
    again = replace(commit, keyed=keyed(keys, "another"))
    assert (await scripts.commit(again)).code == "DUP"
    assert await client.get(keys.vault(NAME)) == b"wrapped"


async def test_a_key_of_another_kind_is_no_key(
    scripts: Scripts, client: Redis, keys: Keys, commit: Commit
) -> None:
    await client.rpush(keys.vault(NAME), "list")
    before = await dump(client, keys)
    assert (await scripts.commit(commit)).code == "INVALID"
    forgetting = replace(commit, keyed=None, writes=(("forget", keys.vault(NAME)),))
    assert (await scripts.commit(forgetting)).code == "INVALID"
    assert await dump(client, keys) == before


@pytest.mark.parametrize("more", [("x",), (None,), ("1", "2")])
async def test_to_forget_takes_a_key_and_nothing_else(
    scripts: Scripts, client: Redis, keys: Keys, commit: Commit, more: tuple[str | None, ...]
) -> None:
    await client.set(keys.vault(NAME), "wrapped")
    forgetting = replace(commit, keyed=None, writes=(("forget", keys.vault(NAME), *more),))
    assert (await scripts.commit(forgetting)).code == "INVALID"
    assert await client.get(keys.vault(NAME)) == b"wrapped"


@pytest.mark.parametrize("held", ["wrapped", None])
async def test_to_forget_deletes_the_key_whether_it_was_there_or_not(
    scripts: Scripts, client: Redis, keys: Keys, commit: Commit, held: str | None
) -> None:
    if held:
        await client.set(keys.vault(NAME), held)
    forgetting = replace(commit, keyed=None, writes=(("forget", keys.vault(NAME)),))
    assert (await scripts.commit(forgetting)).code == "OK"
    assert await vaults(client, keys) == []


async def test_a_refused_commit_forgets_nothing(
    scripts: Scripts, client: Redis, keys: Keys, commit: Commit
) -> None:
    await client.set(keys.vault(NAME), "wrapped")
    forgetting = replace(commit, keyed=None, writes=(("forget", keys.vault(NAME)),))
    assert (await scripts.commit(replace(forgetting, now=STANDS_AT + SECOND))).code == "STALE"
    assert await client.get(keys.vault(NAME)) == b"wrapped"


async def justified(placet: Placet, request: ApprovalRequest) -> str:
    return (await placet.service.reading(request)).justification()


async def test_racing_openings_for_a_new_subject_share_one_key(
    placet: Placet, client: Redis, keys: Keys
) -> None:
    placets = [placet, placet.another(), placet.another()]
    told = [f"They asked for a copy, case number {n}" for n in range(9)]
    opened = await asyncio.gather(
        *(asks(placets[n % 3], justification=text) for n, text in enumerate(told))
    )
    for other in placets[1:]:
        await other.store.close()
    assert await vaults(client, keys) == ["vault:" + placet.store.marks.subject(SUBJECT)]
    assert [await justified(placet, request) for request in opened] == told


class Meanwhile(SubjectKeys):
    """Somebody else is faster, between the look at a key and the commit; the first time only."""

    act: Callable[[], Awaitable[object]] | None = None

    async def ready(self, name: str) -> Ready:
        ready = await super().ready(name)
        if act := self.act:
            self.act = None
            await act()
        return ready


def slow(placet: Placet, act: Callable[[], Awaitable[object]]) -> ApprovalService:
    """A service that `act` overtakes in its next opening."""
    store = placet.store
    subject_keys = Meanwhile(store.pipeline, store.keys, store.marks, WrappingKey(SECRETS.vault))
    subject_keys.act = act
    return ApprovalService(replace(store, subject_keys=subject_keys), placet.configuration)


async def test_who_is_overtaken_in_making_the_key_takes_the_one_that_was_made(
    placet: Placet, client: Redis, keys: Keys
) -> None:
    first: list[ApprovalRequest] = []

    async def overtake() -> None:
        first.append(await asks(placet, justification="They asked for it, and were faster"))

    overtaken = replace(placet, service=slow(placet, overtake))
    second = await asks(overtaken, justification="They asked for it, and were slower")
    assert len(await vaults(client, keys)) == 1
    assert await justified(placet, first[0]) == "They asked for it, and were faster"
    assert await justified(placet, second) == "They asked for it, and were slower"


async def test_words_under_a_key_erased_meanwhile_are_encrypted_anew(placet: Placet) -> None:
    before = await asks(placet)

    async def erase() -> None:
        await placet.service.erasure.erase_subject(SUBJECT, BEN, CLI, reason="They asked for it")

    overtaken = replace(placet, service=slow(placet, erase))
    request = await asks(overtaken, justification="They asked for another copy")
    assert await justified(placet, request) == "They asked for another copy"
    erased = await placet.service.card_facts(before.id)
    assert await justified(placet, erased) == "[erased]"


DAMAGED = [b"", b"nonsense", b"\xff\xfe", b"QUJD", b"A" * 80]


@pytest.mark.parametrize("damage", DAMAGED)
async def test_a_key_that_is_damaged_shows_nothing_and_is_not_replaced(
    placet: Placet, client: Redis, keys: Keys, damage: bytes
) -> None:
    request = await asks(placet)
    vault = keys.vault(placet.store.marks.subject(SUBJECT))
    await client.set(vault, damage)
    attempts: list[Callable[[], Awaitable[object]]] = [
        lambda: placet.service.view(request.id, ANNA, CLI),
        lambda: placet.service.reading(request),
        lambda: asks(placet),
        lambda: placet.service.review(request.id, ANNA, CLI, "deny", reason="No such case"),
    ]
    for attempt in attempts:
        with pytest.raises(UnreadableRecord) as refused:
            await attempt()
        assert "PLACET_VAULT_KEY" in refused.value.detail
    assert await client.get(vault) == damage
    assert (await placet.service.card_facts(request.id)).views == ()


async def test_a_key_under_another_subject_s_name_is_refused(
    placet: Placet, client: Redis, keys: Keys
) -> None:
    request = await asks(placet)
    await asks(placet, subject="customer:2")
    mine, theirs = (placet.store.marks.subject(one) for one in (SUBJECT, "customer:2"))
    await client.rename(keys.vault(theirs), keys.vault(mine))
    with pytest.raises(UnreadableRecord):
        await placet.service.reading(request)


async def test_names_of_keys_hold_keyed_hashes_and_values_wrapped_keys(
    placet: Placet, client: Redis, keys: Keys
) -> None:
    about = await asks(placet)
    alone = await asks(placet, subject=None)
    marks = placet.store.marks
    names = {marks.subject(SUBJECT), marks.alone(alone.id)}
    assert set(await vaults(client, keys)) == {f"vault:{name}" for name in names}
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in names)
    assert about.asked.subject_mark == marks.subject(SUBJECT)
    assert alone.asked.subject_mark is None


async def test_an_opening_for_which_there_is_no_room_leaves_no_key(
    placet: Placet, client: Redis, keys: Keys
) -> None:
    placet.service.configuration = limited("{pending_per_requester: 1}")
    await asks(placet)
    before = await vaults(client, keys)
    with pytest.raises(TooManyPending):
        await asks(placet, subject="customer:2")
    assert await vaults(client, keys) == before


async def test_a_key_that_is_held_is_the_one_to_encrypt_with(
    store: Store, client: Redis, keys: Keys
) -> None:
    made = store.subject_keys.fresh(NAME)
    words = made.key.encrypt("same", "here")
    await client.set(keys.vault(NAME), made.keyed.wrapped)
    ready = await store.subject_keys.ready(NAME)
    assert (ready.keyed.is_new, ready.key.decrypt(words, "here")) == (False, "same")
    assert store.subject_keys.fresh(NAME).key.decrypt(words, "here") is None
    assert await store.subject_keys.of_all([]) == []
