"""`placet key new`: shown once, kept as a hash, and every other byte of the file as it was."""

from __future__ import annotations

import asyncio
import os
import re
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from approvals.model import KeyId
from approvals.policy.loader import load_configuration
from bot.api_keys import key_hash, new_api_key
from bot.demo.company import found_company
from tests.bot.cli.conftest import AUDIT_KEY, PSEUDONYM_KEY, VAULT_KEY, Office, Shell
from tests.bot.cli.test_finding import outside, write_running
from tests.configurations import API_KEY, write_configuration

NOT_ON_RECORD = "is not on record"
WHY = ("--reason", "Rotation of the year")
HASH = key_hash(API_KEY["crm"])
BLOCK = f"""\
# Who may ask
services:
  crm:   # the customer system
    keys:
      - id: crm-1
        hash: "{HASH}"   # made in spring
      # the next one goes here
    actions: ["*"]

  other: {{actions: [report.read]}}
"""
FLOW = f'services: {{crm: {{keys: [{{id: crm-1, hash: "{HASH}"}}], actions: ["*"]}}}}\n'
LAYOUTS = {
    "block": BLOCK,
    "windows": BLOCK.replace("\n", "\r\n"),
    "flow": FLOW,
    "flow with a last comma": FLOW.replace("}]", "}, ]"),
    "items not indented": f"""\
services:
  crm:
    actions: ["*"]
    keys:
    - {{id: crm-1, hash: "{HASH}"}}""",
    "no keys yet": """\
services:
  crm:
    # first the actions
    actions: ["*"]
    requesters: ["okta:*"]
""",
    "empty keys": 'services:\n  crm: {actions: ["*"], keys: []}\n',
    "flow without keys": 'services:\n  "crm": {actions: ["*"]}\n',
    "with a byte order mark": "\ufeff" + BLOCK,
}


@pytest.fixture
def services(tmp_path: Path, shell: Shell) -> Path:
    write_configuration(tmp_path / "config")
    people = tmp_path / "config" / "people.yaml"
    people.write_text(people.read_text().replace(", admin", ""))
    return tmp_path / "config" / "services.yaml"


def added(before: str, after: str) -> str:
    """What was put in, and nothing else may have changed: the texts agree before and behind it."""
    length = len(after) - len(before)
    pairs = enumerate(zip(before, after, strict=False))
    start = next((place for place, (old, new) in pairs if old != new), len(before))
    assert before[start:] == after[start + length :]
    return after[start : start + length]


def test_a_key_carries_256_random_bits_and_their_checksum() -> None:
    key = new_api_key("crm-1")
    found = re.fullmatch(r"plc_crm-1_([0-9A-Za-z]{43})([0-9A-Za-z]{6})", key)
    assert found is not None
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    check = 0
    for character in found[2]:
        check = check * 62 + digits.index(character)
    assert check == zlib.crc32(found[1].encode())
    assert key != new_api_key("crm-1")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_hash_is_added_and_nothing_else_changes(
    shell: Shell, services: Path, layout: str
) -> None:
    before = LAYOUTS[layout]
    services.write_bytes(before.encode())
    services.chmod(0o640)
    result = shell.now("key", "new", "crm")
    assert result.code == 0, result.err
    key = result.out.strip()
    after = services.read_bytes().decode()
    assert key not in after
    assert key_hash(key) in added(before, after)
    assert services.stat().st_mode & 0o777 == 0o640
    loaded = load_configuration(services.parent).services
    key_id = key.split("_")[1]
    found = loaded.key(KeyId(key_id))
    assert found is not None
    assert found[0].id == "crm"
    assert found[1].hash == key_hash(key)
    assert ("keys" not in before) == (key_id == "crm-1") or layout == "empty keys"
    assert "shown this once" in result.err


def test_a_third_key_is_refused(shell: Shell, services: Path) -> None:
    assert shell.now("key", "new", "crm").code == 0
    before = services.read_bytes()
    result = shell.now("key", "new", "crm", "--json")
    assert (result.code, result.data["error"]) == (1, "too_many_keys")
    assert "crm-1 and crm-2" in result.err
    assert services.read_bytes() == before


def test_the_number_of_a_removed_key_is_not_used_again(shell: Shell, services: Path) -> None:
    services.write_text(BLOCK.replace("crm-1", "crm-7"))
    assert shell.now("key", "new", "crm", "--json").data["id"] == "crm-8"


def test_an_unknown_service_is_refused_with_the_known_ones(shell: Shell, services: Path) -> None:
    result = shell.now("key", "new", "crn")
    assert result.code == 1
    assert "Known: crm, billing." in result.err


def test_a_file_that_cannot_be_written_gets_its_entry_printed(shell: Shell, services: Path) -> None:
    # The name of the draft is taken, so no new file can be put in the old one's place.
    (services.parent / f".services.yaml.{os.getpid()}").mkdir()
    before = services.read_bytes()
    result = shell.now("key", "new", "crm")
    assert result.code == 0
    assert services.read_bytes() == before
    key = result.out.strip()
    assert f'- {{id: crm-2, hash: "{key_hash(key)}"}}' in result.err
    assert "services.crm.keys" in result.err


def test_a_layout_that_hides_its_place_gets_its_entry_printed(shell: Shell, services: Path) -> None:
    # YAML ends a line at U+2028 too: the next newline stands behind the wrong line.
    text = BLOCK.replace("   # made in spring\n      # the next one goes here\n", "\u2028")
    services.write_text(text)
    result = shell.now("key", "new", "crm", "--json")
    assert result.data["stored"] is False
    assert result.data["entry"] == {"id": "crm-2", "hash": key_hash(result.data["key"])}
    assert services.read_text() == text


def test_once_there_is_an_admin_only_an_admin_makes_keys(shell: Shell, tmp_path: Path) -> None:
    write_configuration(tmp_path / "config")
    nobody = shell.now("key", "new", "crm")
    assert (nobody.code, "--as" in nobody.err) == (2, True)
    silent = shell.now("key", "new", "crm", "--as", "ben")
    assert (silent.code, silent.out, "--reason" in silent.err) == (2, "", True)
    anna = shell.now("key", "new", "crm", "--as", "anna", *WHY)
    assert (anna.code, "Only an admin" in anna.err) == (1, True)
    nobody = shell.now("key", "new", "crm", "--as", "nobody", *WHY)
    assert (nobody.code, "No such person in people.yaml." in nobody.err) == (1, True)
    ben = shell.now("key", "new", "crm", "--as", "ben", *WHY, "--json")
    assert ben.code == 0
    assert ben.data["stored"] is True


@pytest.mark.parametrize("is_named", [True, False])
async def test_the_demos_one_key_is_named_and_no_other_made(
    office: Office, tmp_path: Path, is_named: bool
) -> None:
    home = tmp_path / "data" / "demo"
    made = found_company(home, None)
    services = made.config_dir / "services.yaml"
    before = services.read_bytes()
    write_running(home, office.shell.environment, made.config_dir, os.getpid())
    named = {"PLACET_CONFIG_DIR": str(made.config_dir)} if is_named else {}
    result = await outside(office)("key", "new", "crm", **named)
    assert (result.code, result.out) == (1, "")
    assert str(home / "keys" / "api_key") in result.err
    assert "placet serve" in result.err
    assert services.read_bytes() == before


async def test_a_new_key_is_on_record_where_the_deployment_runs(office: Office) -> None:
    result = await office.shell("key", "new", "crm", "--as", "ben", *WHY)
    assert (result.code, NOT_ON_RECORD in result.err) == (0, False)
    (entry,) = [e for e in await office.entries() if e["type"] == "key.made"]
    assert (entry["data"]["service"], entry["data"]["key"]) == ("crm", "crm-2")
    assert (entry["data"]["person"], entry["data"]["origin"]["via"]) == ("ben", "cli")
    assert "Rotation" not in str(entry)


async def test_a_refused_key_is_on_record_too(office: Office) -> None:
    for person, actor in (("anna", "anna"), ("mallory", "unknown")):
        result = await office.shell("key", "new", "crm", "--as", person, *WHY)
        assert (result.code, result.out) == (1, "")
        entry = [e for e in await office.entries() if e["type"] == "right.refused"][-1]
        assert (entry["data"]["actor"], entry["data"]["wanted"]) == (actor, "make key")


async def test_a_deployment_found_by_its_file_keeps_the_record(
    office: Office, tmp_path: Path
) -> None:
    write_running(tmp_path / "data", office.shell.environment, tmp_path / "config", os.getpid())
    assert (await outside(office)("key", "new", "crm", "--as", "ben", *WHY)).code == 0
    assert "key.made" in [entry["type"] for entry in await office.entries()]


async def test_a_key_of_another_configuration_is_not_this_deployments(
    office: Office, tmp_path: Path
) -> None:
    write_running(tmp_path / "data", office.shell.environment, tmp_path / "config", os.getpid())
    write_configuration(tmp_path / "other")
    words = ("key", "new", "crm", "--as", "ben", *WHY)
    result = await outside(office)(*words, PLACET_CONFIG_DIR=str(tmp_path / "other"))
    assert (result.code, NOT_ON_RECORD in result.err) == (0, True)
    assert "key.made" not in [entry["type"] for entry in await office.entries()]


@pytest.mark.parametrize("changes", [{}, {"PLACET_REDIS_URL": "redis://127.0.0.1:1"}])
def test_without_a_store_the_key_is_made_and_the_missing_record_told(
    shell: Shell, services: Path, changes: dict[str, str]
) -> None:
    keys = {"PLACET_AUDIT_KEY": AUDIT_KEY, "PLACET_PSEUDONYM_KEY": PSEUDONYM_KEY}
    keys["PLACET_VAULT_KEY"] = VAULT_KEY
    result = shell.now("key", "new", "crm", **(keys | changes))
    assert (result.code, result.out.startswith("plc_crm-2_")) == (0, True)
    assert result.err.count(NOT_ON_RECORD) == 1


def test_missing_files_are_told_with_their_directory(shell: Shell, tmp_path: Path) -> None:
    for words in (("key", "new", "crm"), ("serve",)):
        result = shell.now(*words)
        assert result.code == 1
        head = f"The configuration in {tmp_path}/config cannot be used:\n"
        assert result.err.startswith(head)
        assert "services.yaml:1:1: the file is missing." in result.err


def test_files_with_faults_are_told_and_left(shell: Shell, services: Path) -> None:
    services.write_text("services: {crm: {actions: []}}\n")
    result = shell.now("key", "new", "crm")
    assert result.code == 1
    assert "services.yaml:1:" in result.err


def test_a_service_whose_name_is_no_key_id_gets_a_fitting_one(shell: Shell, services: Path) -> None:
    services.write_text("services:\n  My_CRM.eu:\n    actions: ['*']\n")
    assert shell.now("key", "new", "My_CRM.eu").out.startswith("plc_my-crm-eu-1_")


@pytest.mark.parametrize("layout", ["block", "flow", "no keys yet"])
def test_a_key_may_end_by_itself(shell: Shell, services: Path, layout: str) -> None:
    services.write_text(LAYOUTS[layout])
    before = datetime.now(UTC).replace(microsecond=0)
    result = shell.now("key", "new", "crm", "--expires", "90d")
    assert (result.code, "left as it is" in result.err) == (0, False)
    key = load_configuration(services.parent, loopback=True).services.all()[0].keys[-1]
    assert key.not_after is not None
    assert before <= key.not_after - timedelta(days=90) <= datetime.now(UTC)
    assert f"It ends by itself at {key.not_after:%Y-%m-%dT%H:%M:%SZ}." in result.err


@pytest.mark.parametrize("length", ["0s", "90", "-1d", "soon", "999999999d"])
def test_an_end_that_is_none_is_wrong_usage(shell: Shell, services: Path, length: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        shell.now("key", "new", "crm", f"--expires={length}")


async def test_of_several_at_once_no_key_that_was_shown_is_lost(
    shell: Shell, services: Path
) -> None:
    names = ("crm", "billing") * 3
    results = await asyncio.gather(*(shell("key", "new", name, "--json") for name in names))
    shown = [result.data["key"] for result in results if result.code == 0]
    kept = [key for each in load_configuration(services.parent).services.all() for key in each.keys]
    assert {key_hash(key) for key in shown} <= {key.hash for key in kept}
    assert sorted(key.id for key in kept) == ["billing-1", "billing-2", "crm-1", "crm-2"]
    assert len(shown) == 2
