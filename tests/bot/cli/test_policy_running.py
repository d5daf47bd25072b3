"""Bare `placet policy`: what runs, where, and what its rules ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from approvals.policy.loader import load_configuration
from approvals.store.processes import ProcessName
from tests.bot.cli.conftest import Office, Shell
from tests.configurations import POLICY, write_configuration

SHADOW = """rules:
  - {id: freeze, mode: shadow, actions: [customer.view], then: {decision: deny}}
  - {id: countless, mode: shadow, when: request.record_count > 1, then: {decision: deny}}
"""
STAGED = "stages: [{groups: [privacy]}, {groups: [duty]}]"


@pytest.fixture
async def version(office: Office, tmp_path: Path) -> str:
    policy = POLICY.replace("rules:\n", SHADOW)
    policy = policy.replace("threshold: 2, groups: [privacy, duty]", STAGED)
    write_configuration(tmp_path / "config", policy=policy)
    configuration = load_configuration(tmp_path / "config", loopback=True)
    office.service.configuration = configuration
    await office.store.policies.keep(configuration.version, configuration.text)
    await office.store.system.activate(office.store.policies, configuration.version)
    return configuration.version


async def test_without_a_deployment_nothing_runs(shell: Shell) -> None:
    assert (await shell("policy")).code == 3


async def test_the_rules_in_force_are_told_in_order(office: Office, version: str) -> None:
    await office.ask()
    await office.store.processes.tell(ProcessName("host-1", 7, "both"), version, None)
    result = await office.shell("policy")
    assert (result.code, result.err) == (0, "")
    head, _, rest = result.out.partition("PROCESS")
    assert head.startswith(f"Policy {version} is in force; first used 20")
    processes, _, rules = rest.partition("\n\n")
    assert processes.splitlines()[1].startswith(f"web and worker  host-1  7    {version}  20")
    assert rules == RULES


RULES = """\
   RULE                  MODE     DECISION  ASKS
1  freeze                shadow   deny
2  countless             shadow   deny
3  never-sell            enforce  deny
4  reports-are-open      enforce  approve
5  export-two-approvers  enforce  review    2 of privacy + duty in 2 stages
6  needs-everybody       enforce  review    2 of privacy
7  one-approver          enforce  review    1 of privacy
   (no rule fits)                 deny

In shadow, over all requests (1):
  freeze would have fitted 1
  countless would have fitted 0, gave an error for 1
"""


async def test_machines_are_told_the_same(office: Office, version: str) -> None:
    await office.ask()
    told = (await office.shell("policy", "--json")).data
    assert (told["version"], told["problem"], told["processes"]) == (version, None, [])
    assert told["first_used"].endswith("Z")
    assert told["rules"][0] == {"id": "freeze", "mode": "shadow", "decision": "deny", "asks": ""}
    assert told["shadow"] == [
        {"rule": "freeze", "fitted": 1, "failed": 0},
        {"rule": "countless", "fitted": 0, "failed": 1},
    ]
    assert told["requests"] == {"count": 1, "are_all": True}


async def test_processes_apart_and_a_refused_reload_are_warnings(
    office: Office, version: str
) -> None:
    fault = "The changed configuration is not used: it has 1 fault at policy.yaml:37:31."
    await office.store.processes.tell(ProcessName("host-1", 7, "web"), version, fault)
    await office.store.processes.tell(ProcessName("host-2", 8, "worker"), "0123456789ab", None)
    out = (await office.shell("policy")).out
    assert "Warning: they run different policies; give all of them the same files.\n" in out
    assert f"Warning: host-1, 7: {fault}" in " ".join(out.replace("| ", "").split())


async def test_faulty_files_hide_nothing_of_what_is_kept(
    office: Office, version: str, tmp_path: Path
) -> None:
    (tmp_path / "config/policy.yaml").write_text("version: 1\n")
    assert f"Policy {version} is in force; first used 20" in (await office.shell("policy")).out


async def test_before_the_first_is_kept_the_files_tell(office: Office, tmp_path: Path) -> None:
    own = load_configuration(tmp_path / "config", loopback=True)
    assert f"Policy {own.version} is in force." in (await office.shell("policy")).out
    (tmp_path / "config/policy.yaml").write_text("version: 1\n")
    result = await office.shell("policy")
    assert result.code == 0
    assert result.out == (
        "The policy in force cannot be told. Its files have faults: run `placet policy\n"
        "| check`.\n\nNo process tells which policy it runs.\n"
    )


async def test_a_kept_policy_that_cannot_be_used_is_said_to_be_so(office: Office) -> None:
    await office.store.policies.keep("0123456789ab", "version: 9\n")
    await office.store.system.activate(office.store.policies, "0123456789ab")
    told = (await office.shell("policy", "--json")).data
    assert (told["version"], told["rules"]) == (None, [])
    assert "this release cannot use it" in told["problem"]
