"""`key list`: each key of services.yaml, until when it counts, and when it was last used."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from approvals.model import KeyId
from tests.bot.cli.conftest import Office, Shell

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LONG_AGO = "2020-01-31T00:30:00+01:00"


@pytest.fixture
def services(tmp_path: Path, office: Office) -> Path:
    return tmp_path / "config" / "services.yaml"


def rewrite(services: Path, text: str) -> None:
    services.write_text(text)


def with_second_key(services: Path, more: str = "") -> None:
    text = services.read_text()
    entry = f'      - {{id: crm-2, hash: "sha256:{"0" * 64}"{more}}}\n'
    place = text.index("    actions:")
    rewrite(services, text[:place] + entry + text[place:])


async def used(office: Office, key: str, at: datetime = NOON) -> None:
    office.store.key_uses.note(KeyId(key), at)
    await office.store.key_uses.close()


async def test_every_key_is_listed_for_people(office: Office, services: Path) -> None:
    await used(office, "crm-1")
    result = await office.shell("key", "list")
    assert result.code == 0, result.err
    assert result.out.splitlines() == [
        "KEY        SERVICE  EXPIRES  LAST USED",
        "crm-1      crm      never    2026-11-23 12:00:00 UTC",
        "billing-1  billing  never    not seen yet",
    ]


async def test_a_service_s_keys_are_listed_for_machines(office: Office, services: Path) -> None:
    with_second_key(services, f", not_after: {LONG_AGO}")
    await used(office, "crm-1")
    result = await office.shell("key", "list", "crm", "--json")
    assert result.data == {
        "items": [
            {
                "id": "crm-1",
                "service": "crm",
                "not_after": None,
                "has_run_out": False,
                "last_used": "2026-11-23T12:00:00.000Z",
            },
            {
                "id": "crm-2",
                "service": "crm",
                "not_after": "2020-01-30T23:30:00.000Z",
                "has_run_out": True,
                "last_used": None,
            },
        ]
    }


async def test_of_two_keys_it_says_which_is_to_go(office: Office, services: Path) -> None:
    with_second_key(services)
    await used(office, "crm-1")
    told = (await office.shell("key", "list")).out
    assert told.endswith("crm: crm-2 has not been seen in use.\n")
    await used(office, "crm-2", NOON.replace(hour=13))
    assert "crm: crm-1 has been unused for longest." in (await office.shell("key", "list")).out


async def test_a_key_that_has_run_out_is_to_go_first(office: Office, services: Path) -> None:
    with_second_key(services, f", not_after: {LONG_AGO}")
    told = (await office.shell("key", "list", "crm")).out
    assert "2020-01-30 23:30:00 UTC (run out)" in told
    assert "crm: crm-2 can be removed from services.yaml." in told
    words = ("key", "new", "crm", "--as", "ben", "--reason", "Rotation")
    refused = await office.shell(*words)
    assert refused.code == 1
    assert "Remove crm-2, which has run out, from services.yaml" in refused.err


async def test_an_unknown_service_is_refused_with_those_there_are(
    office: Office, services: Path
) -> None:
    result = await office.shell("key", "list", "nobody", "--json")
    assert (result.code, result.data["error"]) == (1, "unknown_service")
    assert "crm, billing" in result.err


async def test_without_any_key_it_says_how_to_make_one(office: Office, services: Path) -> None:
    rewrite(services, "services: {crm: {actions: ['*']}}\n")
    assert "`placet key new SERVICE`" in (await office.shell("key", "list")).out


def test_without_a_running_placet_it_says_so(shell: Shell) -> None:
    result = shell.now("key", "list")
    assert result.code == 3
    assert "No running Placet was found" in result.err
