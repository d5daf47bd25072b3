"""`placet key rotate`: published before it signs, and after; never lost, never shown needlessly."""

from __future__ import annotations

import asyncio
import os
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from approvals.signing_keys import SigningKey, SigningKeys
from tests.bot.cli.conftest import Office, Result, Shell, full
from tests.bot.cli.test_finding import outside, write_running
from tests.configurations import write_configuration
from tests.signing import SIGNING_KEY

NOT_ON_RECORD = "is not on record"
AS_BEN = ("--as", "ben", "--reason", "Rotation of the year")
ROTATE = ("key", "rotate", *AS_BEN)
SIGNS, NEXT, OLD = SigningKey.new(), SigningKey.new(), SigningKey.new()
FAR = {"PLACET_REDIS_URL": "redis://127.0.0.1:1"}


def ago(minutes: int, key: SigningKey = OLD) -> SigningKey:
    """A key that signed until so long ago."""
    return replace(key, signed_until=datetime.now(UTC) - timedelta(minutes=minutes))


@pytest.fixture
def file(tmp_path: Path, shell: Shell) -> Path:
    """The file of the signing keys; everything else is as an operator has it."""
    write_configuration(tmp_path / "config")
    path = tmp_path / "signing.pem"
    put(path, SIGNS)
    shell.environment["PLACET_SIGNING_KEY_FILE"] = str(path)
    return path


def put(path: Path, *keys: SigningKey) -> str:
    path.write_text(SigningKeys(keys).text())
    path.chmod(0o600)
    return path.read_text()


def kids(path: Path) -> list[str]:
    return [key.kid for key in SigningKeys.parse(path.read_text()).keys]


def no_secret_in(result: Result) -> bool:
    return "PRIVATE KEY" not in result.out + result.err


def test_a_rotation_from_beginning_to_end(shell: Shell, file: Path) -> None:
    added = shell.now(*ROTATE)
    assert (added.code, no_secret_in(added)) == (0, True)
    first, second = kids(file)
    assert first == SIGNS.kid
    assert f"{second} is added. {file} holds 2 keys." in added.out
    assert "--promote" in added.out

    promoted = shell.now(*ROTATE, "--promote")
    assert (promoted.code, no_secret_in(promoted)) == (0, True)
    assert kids(file) == [second, first]
    assert "60 minutes" in promoted.out
    _, old = SigningKeys.parse(file.read_text()).keys
    assert old.signed_until is not None

    early = shell.now(*ROTATE, "--retire")
    assert (early.code, "Try again after" in early.err) == (1, True)
    later = replace(old, signed_until=old.signed_until - timedelta(minutes=60))
    put(file, SigningKeys.parse(file.read_text()).signer, later)
    retired = shell.now(*ROTATE, "--retire")
    assert (retired.code, kids(file)) == (0, [second])
    assert "holds one key" in retired.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_machines_are_told_ids_and_no_key(shell: Shell, file: Path) -> None:
    added = shell.now(*ROTATE, "--json")
    assert added.data == {
        "added": kids(file)[1],
        "signs": SIGNS.kid,
        "kids": kids(file),
        "stored": True,
    }


def test_the_next_key_is_promoted_and_never_an_old_one(shell: Shell, file: Path) -> None:
    put(file, SIGNS, ago(10), NEXT)
    assert shell.now(*ROTATE, "--promote").code == 0
    assert kids(file) == [NEXT.kid, SIGNS.kid, OLD.kid]
    again = shell.now(*ROTATE, "--promote", "--json")
    assert (again.code, again.data["error"]) == (1, "nothing_to_promote")
    assert kids(file) == [NEXT.kid, SIGNS.kid, OLD.kid]


def test_the_oldest_is_retired_first_and_the_next_never(shell: Shell, file: Path) -> None:
    older = ago(200, SigningKey.new())
    put(file, SIGNS, ago(100), older, NEXT)
    assert shell.now(*ROTATE, "--retire", "--json").data["retired"] == older.kid
    assert shell.now(*ROTATE, "--retire").code == 0
    assert kids(file) == [SIGNS.kid, NEXT.kid]
    assert shell.now(*ROTATE, "--retire", "--json").data["error"] == "nothing_to_retire"


@pytest.mark.parametrize(
    ("held", "option", "code"),
    [
        ((SIGNS,), ("--promote",), "nothing_to_promote"),
        ((SIGNS,), ("--retire",), "nothing_to_retire"),
        ((SIGNS, ago(5)), ("--retire",), "too_early"),
        ((SIGNS, NEXT), (), "too_many_signing_keys"),
        ((SIGNS, *(ago(9, SigningKey.new()) for _ in range(3))), (), "too_many_signing_keys"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    shell: Shell, file: Path, held: tuple[SigningKey, ...], option: tuple[str, ...], code: str
) -> None:
    before = put(file, *held)
    result = shell.now(*ROTATE, *option, "--json")
    assert (result.code, result.data["error"]) == (1, code)
    assert NOT_ON_RECORD not in result.err
    assert file.read_text() == before


def test_promoting_and_retiring_at_once_is_wrong_usage(shell: Shell, file: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        shell.now(*ROTATE, "--promote", "--retire")


def test_a_file_that_cannot_be_written_is_printed_whole(shell: Shell, file: Path) -> None:
    # The name of the draft is taken, so no new file can be put in the old one's place.
    (file.parent / f".{file.name}.{os.getpid()}").mkdir()
    before = file.read_text()
    plain, json = shell.now(*ROTATE), shell.now(*ROTATE, "--json")
    assert file.read_text() == before
    assert f"{file} was left as it is" in plain.err
    for text in (plain.out, json.data["pem"]):
        printed = SigningKeys.parse(text).keys
        assert (printed[0].kid, len(printed)) == (SIGNS.kid, 2)
    assert json.data["stored"] is False


def test_a_key_that_nobody_saw_and_no_file_holds_is_no_key(shell: Shell, file: Path) -> None:
    del shell.environment["PLACET_SIGNING_KEY_FILE"]
    shell.environment |= FAR
    result = shell.onto(full(), *ROTATE)
    assert result.code == 1
    assert result.err.endswith("Nothing was changed.\n")


def test_what_is_stored_stays_so_when_its_output_is_lost(shell: Shell, file: Path) -> None:
    result = shell.onto(full(), *ROTATE)
    assert (result.code, len(kids(file))) == (0, 2)
    assert "is added. The output could not be written" in result.err


def test_a_link_to_the_file_stays_one(shell: Shell, file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.pem"
    link.symlink_to(file)
    assert shell.now(*ROTATE, PLACET_SIGNING_KEY_FILE=str(link)).code == 0
    assert (link.is_symlink(), len(kids(file))) == (True, 2)


def test_a_key_in_a_variable_is_not_for_us_to_change(shell: Shell, file: Path) -> None:
    del shell.environment["PLACET_SIGNING_KEY_FILE"]
    result = shell.now(*ROTATE, "--json", PLACET_SIGNING_KEY=SIGNING_KEY)
    assert (result.code, result.data["error"]) == (1, "key_not_in_file")
    assert no_secret_in(result)


def test_the_first_key_over_a_named_store_is_printed(shell: Shell, file: Path) -> None:
    del shell.environment["PLACET_SIGNING_KEY_FILE"]
    result = shell.now(*ROTATE, **FAR)
    assert (result.code, len(SigningKeys.parse(result.out).keys)) == (0, 1)
    assert "PLACET_SIGNING_KEY_FILE" in result.err
    for option in ("--promote", "--retire"):
        assert shell.now(*ROTATE, option, **FAR).code == 1


def test_the_made_key_is_rotated_where_it_is(shell: Shell, file: Path, tmp_path: Path) -> None:
    del shell.environment["PLACET_SIGNING_KEY_FILE"]
    made = tmp_path / "data" / "keys" / "signing_key"
    missing = shell.now(*ROTATE, "--json")
    assert (missing.code, missing.data["error"]) == (1, "no_signing_key")
    made.parent.mkdir(parents=True)
    put(made, SIGNS)
    assert shell.now(*ROTATE).code == 0
    assert (kids(made)[0], len(kids(made))) == (SIGNS.kid, 2)
    made.write_text("opensesame")
    damaged = shell.now(*ROTATE)
    assert (damaged.code, f"{made}: holds something else" in damaged.err) == (1, True)


async def test_the_key_of_what_runs_is_found_by_its_file(office: Office, tmp_path: Path) -> None:
    home = tmp_path / "data" / "demo"
    write_running(home, office.shell.environment, tmp_path / "config", os.getpid())
    put(home / "keys" / "signing_key", SIGNS)
    result = await outside(office)(*ROTATE)
    assert (result.code, NOT_ON_RECORD in result.err) == (0, False)
    assert len(kids(home / "keys" / "signing_key")) == 2


def test_only_an_admin_rotates(shell: Shell, file: Path) -> None:
    before = file.read_text()
    assert shell.now("key", "rotate").code == 2
    anna = shell.now("key", "rotate", "--as", "anna", "--reason", "Rotation of the year")
    assert (anna.code, "Only an admin may rotate" in anna.err) == (1, True)
    assert file.read_text() == before


async def test_each_step_is_on_record_before_it_is_done(office: Office, tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    put(path, SIGNS)
    given = office.shell.environment
    del given["PLACET_SIGNING_KEY"]
    given["PLACET_SIGNING_KEY_FILE"] = str(path)
    for option in ((), ("--promote",)):
        assert (await office.shell(*ROTATE, *option)).code == 0
    put(path, NEXT, ago(61))
    assert (await office.shell(*ROTATE, "--retire")).code == 0
    refused = await office.shell("key", "rotate", "--as", "anna", "--reason", "I want to")
    assert refused.code == 1
    entries = await office.entries()
    told = [entry["data"] for entry in entries if entry["type"] == "key.rotated"]
    assert [each["what"] for each in told] == ["added", "promoted", "retired"]
    assert (told[0]["kid"], told[2]["kid"]) == (told[1]["kid"], OLD.kid)
    assert {(each["person"], each["origin"]["via"]) for each in told} == {("ben", "cli")}
    assert "PRIVATE" not in str(entries)
    assert [e["data"]["wanted"] for e in entries if e["type"] == "right.refused"] == ["rotate key"]


async def test_of_several_at_once_one_adds_its_key_and_no_other_says_so(
    shell: Shell, file: Path
) -> None:
    results = await asyncio.gather(*(shell(*ROTATE, "--json") for _ in range(6)))
    added = [result.data["added"] for result in results if result.code == 0]
    assert kids(file) == [SIGNS.kid, *added]
    assert len(added) == 1
    assert all("is there already" in result.err for result in results if result.code)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to somebody else")
def test_root_rotates_and_the_owner_can_read_their_keys(shell: Shell, file: Path) -> None:
    os.chown(file, 1234, 5678)
    assert shell.now(*ROTATE).code == 0
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 5678)
