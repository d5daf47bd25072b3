"""What `docs/` and the example's README say is held to the code, and what can run is run."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import shutil
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from approvals.ask import Ask
from approvals.events import (
    GrantEnded,
    GrantRedeemed,
    GrantRevoked,
    ReceiptGiven,
    ReceiptMissed,
)
from approvals.model import Closed, Frozen, PiiInText
from approvals.policy.analysis import language_of
from approvals.policy.attributes import CLAIMABLE, KINDS
from approvals.policy.document import (
    GRANT_ONLY,
    REVIEW_ONLY,
    Action,
    Channel,
    Defaults,
    EscalationEntry,
    Policy,
    Rule,
    Show,
    ShownField,
    StageEntry,
    Then,
)
from approvals.policy.expressions import BadCondition
from approvals.policy.loader import FIXTURES, read_configuration
from approvals.privacy.masking import masked
from approvals.signing import callback_secret, callback_signature
from bot.settings import KNOWN
from bot.telemetry import Metrics
from bot.web.openapi import document
from bot.web.problems import TYPE_PREFIX
from tests.configurations import CALLBACK_SECRET
from tests.e2e.processes import command, demo, http, stopped

ROOT = Path(__file__).parents[2]
BY_HAND = ROOT / "examples/service/README.md"
EXAMPLES = sorted((ROOT / "examples").glob("*/README.md"))
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *EXAMPLES]
POLICY = ROOT / "docs/writing-policy.md"
SERVICES, OPERATORS = ROOT / "docs/for-services.md", ROOT / "docs/for-operators.md"
PICTURES = {f"pictures/{file.name}" for file in (ROOT / "docs/pictures").glob("*.png")}


def block(page: Path, language: str, holding: str) -> str:
    blocks = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    (found,) = [text for text in blocks if holding in text]
    return str(found)


def rows(page: Path, head: str) -> list[list[str]]:
    """The cells of the table whose head begins with `head`, without its head."""
    lines = page.read_text().partition(f"\n| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    assert lines
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]


def named(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


async def shell(script: str, directory: Path, **environment: str) -> str:
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-ec", script, cwd=directory, env={"PATH": path, **environment},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    told, _ = await process.communicate()
    assert process.returncode == 0
    return told.decode()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_each_picture_has_its_place() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (ROOT / "docs/for-approvers.md").read_text())
    assert set(pictures) == PICTURES


def test_every_field_of_a_request_is_told_and_no_other() -> None:
    table = rows(SERVICES, "field | required")
    fields = [named(cells[0])[0] for cells in table]
    required = [field for field, cells in zip(fields, table, strict=True) if cells[1] == "yes"]
    assert set(fields) == set(Ask.model_fields)
    assert required == [name for name, info in Ask.model_fields.items() if info.is_required()]
    attributes = [name for cells in rows(SERVICES, "attribute | value") for name in named(cells[0])]
    assert set(attributes) == set(CLAIMABLE)


def _problems() -> set[tuple[str, str]]:
    """Status and slug of all that calls of services may be answered."""
    told: set[tuple[str, str]] = set()
    paths: dict[str, Any] = document("0")["paths"]  # type: ignore[assignment]  # plain JSON
    for path in ("/v1/requests", "/v1/requests/{request_id}"):
        for operation in (part for part in paths[path].values() if "responses" in part):
            for status, response in operation["responses"].items():
                content = response.get("content", {}).get("application/problem+json")
                own = content["schema"]["allOf"][1]["properties"]["type"]["enum"] if content else ()
                told |= {(status, slug.removeprefix(TYPE_PREFIX)) for slug in own}
    return told


def test_every_error_is_told_with_its_status() -> None:
    table = {(cells[0], *named(cells[1])) for cells in rows(SERVICES, "status | `type` ends in")}
    known = _problems()
    anywhere = {slug for status, slug in known if status == "default"}
    assert {pair for pair in known if pair[0] != "default"} <= table
    assert {slug for _, slug in table} == {slug for _, slug in known} | {"method-not-allowed"}
    assert anywhere <= {slug for _, slug in table}


def test_the_python_tells_a_callback_of_ours_from_others() -> None:
    names: dict[str, object] = {}
    exec(block(SERVICES, "python", "standardwebhooks"), names)
    event_in = names["event_in"]
    assert callable(event_in)
    body, now = b'{"type":"request.approved"}', int(time.time())
    secrets = [callback_secret(CALLBACK_SECRET)]
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": callback_signature(secrets, "evt_1", now, body),
    }
    assert event_in(CALLBACK_SECRET, body, headers) == {"type": "request.approved"}
    assert event_in(CALLBACK_SECRET, body + b" ", headers) is None
    for unreadable in ("v1", "v1,no base64", "a,b,c"):
        assert event_in(CALLBACK_SECRET, body, headers | {"webhook-signature": unreadable}) is None
    assert event_in(CALLBACK_SECRET, b"\xff", headers) is None


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_its_calls_ask_wait_list_and_cancel(tmp_path: Path) -> None:
    async with demo(tmp_path, "--no-sample") as placet:
        url, key = placet.facts["base_url"], placet.facts["api_key"]
        access = {"PLACET_URL": url, "PLACET_API_KEY": key}
        asked = await shell(block(SERVICES, "sh", "# ask\n"), tmp_path, **access)
        opened = json.loads(asked)
        calls = block(SERVICES, "sh", "# wait, list, cancel")
        told = await shell(
            calls.replace('"\ncurl', '"\necho\ncurl'), tmp_path, ID=opened["id"], **access
        )
    waited, listed, cancelled = map(json.loads, told.splitlines())
    assert (waited["id"], waited["status"]) == (opened["id"], "pending")
    assert listed == {"items": [waited], "next_cursor": None}
    assert cancelled["decision"]["reason"] == "by_service"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
async def test_the_start_passes_the_check(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    *start, serves = block(OPERATORS, "sh", "cp -r examples/config").splitlines()
    assert serves == "placet serve"
    assert "configuration in config: fine" in await shell("\n".join(start), tmp_path)


async def test_a_copy_of_the_stopped_deployment_goes_on(tmp_path: Path) -> None:
    home = {"PLACET_DATA_DIR": str(tmp_path / ".placet")}
    async with demo(tmp_path, "--no-sample", **home) as first:
        body = {
            "action": "customer.view",
            "requester": {"id": first.facts["requesters"][0]},
            "justification": "It waits while everything is restored",
        }
        async with http(first.facts) as client, client.post("/v1/requests", json=body) as reply:
            opened = await reply.json()
        await stopped(first.process)
    await shell(block(OPERATORS, "sh", "cp -a"), tmp_path)
    shutil.rmtree(tmp_path / ".placet")
    (tmp_path / "backup").rename(tmp_path / ".placet")
    async with demo(tmp_path, "--no-sample", **home) as second:
        words = ("--as", "anna", "--reason", "Ticket checked", "--yes")
        approved = await command(tmp_path, "approve", opened["id"], *words, **home)
        assert approved.code == 0, approved.err
        assert second.facts["api_key"] == first.facts["api_key"]


def test_every_setting_and_metric_is_one() -> None:
    text = OPERATORS.read_text()
    settings = set(re.findall(r"PLACET_([A-Z_]+)", text))
    assert settings <= KNOWN
    metrics = {
        re.sub(r"\{.*", "", named(cells[0])[0]) for cells in rows(OPERATORS, "metric | watch")
    }
    figures = Metrics().text().decode()
    known = {line.split()[2] for line in figures.splitlines() if line.startswith("# TYPE placet_")}
    assert metrics == {name for name in known if not name.endswith("_created")}


def test_every_entry_about_a_grant_is_told_and_each_reason() -> None:
    told = {named(cells[0])[0]: named(cells[1]) for cells in rows(OPERATORS, "entry | says")}
    known = {
        str(event.model_fields["type"].default)
        for event in (GrantRedeemed, GrantEnded, GrantRevoked, ReceiptGiven, ReceiptMissed)
    }
    assert set(told) == known
    reasons = {word for words in told.values() for word in words} & set(get_args(Closed))
    assert reasons == set(get_args(Closed))


KEYS = [
    ("of the file", Policy),
    ("of `defaults`", Defaults),
    ("of an action", Action),
    ("of a field", ShownField),
    ("of a channel", Channel),
    ("of a rule", Rule),
    ("of `then`", Then),
    ("of a stage", StageEntry),
    ("of an escalation", EscalationEntry),
]
NONE_OF_IT = "must be there"


@pytest.mark.parametrize(("where", "model"), KEYS)
def test_every_key_of_policy_is_told_and_no_other(where: str, model: type[Frozen]) -> None:
    table = rows(POLICY, f"key {where}")
    assert {name for cells in table for name in named(cells[0])} == set(model.model_fields)
    required = {name for cells in table if cells[-1] == NONE_OF_IT for name in named(cells[0])}
    assert required == {name for name, key in model.model_fields.items() if key.is_required()}


def test_each_key_of_then_stands_with_the_decisions_that_carry_it() -> None:
    told: dict[str, set[str]] = {}
    for cells in rows(POLICY, "key of `then`"):
        told.setdefault(cells[1], set()).update(named(cells[0]))
    assert told["review"] == set(REVIEW_ONLY)
    assert told["approve, review"] == set(GRANT_ONLY)


def test_every_class_of_a_field_is_told_with_what_it_makes_of_a_value() -> None:
    table = {named(one)[0]: (sent, seen) for one, _, sent, seen in rows(POLICY, "`show` | for")}
    assert set(table) == set(get_args(Show))
    others = set(table) - {"scan", "hidden", "pseudonym"}
    for show, (sent, seen) in ((show, table[show]) for show in others):
        value = json.loads(named(sent)[0]) if show == "count" else named(sent)[0]
        assert masked(show, value, lambda text: text) == named(seen)[0]
    assert re.fullmatch(r"`p_[0-9a-f]{10}`", table["pseudonym"][1])


def test_every_way_with_personal_data_in_text_is_told() -> None:
    table = rows(POLICY, "`pii_in_text` | what happens")
    assert {named(one)[0] for one, _ in table} == set(get_args(PiiInText))


def test_every_attribute_is_told_and_who_says_so() -> None:
    table = rows(POLICY, "attribute | kind")
    assert {name for cells in table for name in named(cells[0])} == set(KINDS)
    claims = {name for cells in table if cells[3] == "a claim" for name in named(cells[0])}
    assert claims == set(CLAIMABLE)


LANGUAGE = language_of(
    Policy(version=1, actions={}, lists={"EEA": ("DE",), "BLOCKED": ("XA",), "STAFF": ("lead",)})
)


def test_its_conditions_are_some_and_what_it_calls_refused_is() -> None:
    lines = block(POLICY, "", "requester.roles.exists").splitlines()
    assert len(lines) == 10
    assert [LANGUAGE.compile(line).text for line in lines] == lines
    for refused in ("has(device.managed)", "dyn(1) == 1", "requester.roles.map(r, r) == []"):
        with pytest.raises(BadCondition):
            LANGUAGE.compile(refused)


def test_the_better_condition_of_each_trap_is_one() -> None:
    better = [named(cells[-1].replace("\\|", "|")) for cells in rows(POLICY, "you wrote")]
    lines = [names[-1] for names in better if names and re.search(r"\w\.\w", names[-1])]
    conditions = [
        str(yaml.safe_load(line)["when"]) if line.startswith("when: ") else line for line in lines
    ]
    for condition in conditions:
        if condition != '"10.4."':
            assert LANGUAGE.compile(condition).names
    assert len(conditions) == 6


def test_its_fixtures_hold_beside_a_copy_of_the_example_to_copy(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(ROOT / "examples/config", tmp_path / "config"))
    (copy / FIXTURES).write_text(block(POLICY, "yaml", "cases:"))
    reading = read_configuration(copy)
    assert list(map(str, reading.issues)) == []
    assert [one.terms.matched.decision for one in reading.results] == ["deny", "review"]
    assert [one.supposed.hindrances for one in reading.results] == [(), ()]


@cache
def _sentences() -> tuple[str, ...]:
    """Every text of the code, with … for what is filled in."""
    trees = [
        ast.parse(file.read_text())
        for folder in ("approvals", "bot")
        for file in (ROOT / folder).rglob("*.py")
    ]
    return tuple(text for tree in trees for node in ast.walk(tree) for text in _text(node))


def _text(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.JoinedStr):
        yield "".join(
            str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
        )
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


MESSAGES = [named(cells[0])[0] for cells in rows(OPERATORS, "message | what to do")]


@pytest.mark.parametrize("message", MESSAGES)
def test_every_message_it_explains_is_one_of_ours(message: str) -> None:
    # Some are put together from several texts, at the gaps or between two sentences.
    parts = [part.strip() for part in re.split(r"…|(?<=\.) ", message) if part.strip()]
    for part in parts:
        assert any(part.rstrip(".") in sentence for sentence in _sentences())


async def test_the_example_finds_its_access_as_its_page_says(tmp_path: Path) -> None:
    lines = block(BY_HAND, "sh", "support_desk.py").splitlines()
    exports = [line for line in lines if line.startswith("export")]
    assert (ROOT / "examples/service/support_desk.py").exists()
    assert len(exports) == 3
    async with demo(tmp_path, "--no-sample", PLACET_DATA_DIR=str(tmp_path / ".placet")) as placet:
        script = "\n".join([*exports, 'echo "$PLACET_API_KEY $CALLBACK_SECRET"'])
        told = await shell(script, tmp_path)
    assert told.split() == [placet.facts["api_key"], placet.facts["callback_secret"]]
