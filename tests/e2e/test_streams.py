"""The console script at its edges: Ctrl-C before it is loaded, streams closed, full or broken."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.configurations import CALLBACK_SECRET, write_configuration
from tests.e2e.processes import command, ended, environment, line_of, running, started, stopped
from tests.signing import SIGNING_KEY

PLACET = Path(sys.executable).with_name("placet")
ROOT = Path(__file__).parents[2]
# Ctrl-C comes just when the entry begins to load the rest.
INTERRUPTED = """
import os, signal, sys

class CtrlC:
    def find_spec(self, name, path=None, target=None):
        if name == "bot.cli.main":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, CtrlC())
from bot.cli.entry import main
main()
"""
HEAVY = ("aiohttp", "fastapi", "uvicorn", "uvloop", "apscheduler")
LOADED = f"import bot.cli.main, sys; print([m for m in {HEAVY} if m in sys.modules])"


def shell(directory: Path, line: str) -> subprocess.CompletedProcess[str]:
    """One line of a shell; `placet` is the console script."""
    script = f'placet() {{ "{PLACET}" "$@"; }}\n{line}'
    return subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=directory,
        env=environment(directory),
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )


def test_ctrl_c_during_the_imports_leaves_no_traceback() -> None:
    result = python(INTERRUPTED)
    assert (result.returncode, result.stderr) == (-signal.SIGINT, "")


def test_no_command_waits_for_what_only_servers_need() -> None:
    result = python(LOADED)
    assert (result.stdout, result.stderr) == ("[]\n", "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_mistake_of_ours(tmp_path: Path, closed: str) -> None:
    result = shell(tmp_path, f"placet check {closed}")
    assert result.returncode == 1  # there is no configuration
    assert ("people.yaml" in result.stderr) == ("2>" not in closed)
    assert "mistake" not in result.stderr


def test_help_that_nobody_reads_is_no_error(tmp_path: Path) -> None:
    # The status is that of placet, told on a stream of its own.
    line = "{ { placet --help; echo $? >&3; } | : ; } 3>&2"
    assert shell(tmp_path, line).stderr == "0\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.parametrize("words", ["--help", "check"])
def test_output_on_a_full_device_is_told_in_one_sentence(tmp_path: Path, words: str) -> None:
    result = shell(tmp_path, f"placet {words} > /dev/full")
    told = "The output could not be written (No space left on device).\n"
    assert (result.returncode, result.stderr) == (1, told)


async def test_a_demo_that_nobody_reads_any_more_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path, "demo") as process:
        assert "ready" in await line_of(process)
        transport = process._transport  # type: ignore[attr-defined]  # asyncio offers no other way
        transport.get_pipe_transport(1).close()
        assert process.stderr is not None
        told = b"The output could not be written (Broken pipe). Placet goes on.\n"
        async with asyncio.timeout(30):
            assert await process.stderr.readline() == told
        assert (await command(tmp_path, "pending")).code == 0
        result = await stopped(process, signal.SIGTERM)
    assert (result.code, result.err) == (0, "")


async def test_ctrl_c_is_heard_while_the_store_does_not_answer(tmp_path: Path) -> None:
    write_configuration(tmp_path / "config")
    services = tmp_path / "config" / "services.yaml"
    elsewhere = "https://crm.internal.example"
    services.write_text(services.read_text().replace("http://127.0.0.1:9", elsewhere))
    with socket.create_server(("127.0.0.1", 0)) as hung:
        process = await started(
            tmp_path,
            "web",
            PLACET_REDIS_URL=f"redis://127.0.0.1:{hung.getsockname()[1]}/0",
            PLACET_AUDIT_KEY="audit-0123456789-abcdefghijklmnopqrst",
            PLACET_PSEUDONYM_KEY="pseudonym-0123456789-abcdefghijklmno",
            PLACET_VAULT_KEY="vault-0123456789-abcdefghijklmnopqrst",
            PLACET_SIGNING_KEY=SIGNING_KEY,
            CRM_CALLBACK_SECRET=CALLBACK_SECRET,
        )
        connected = await asyncio.to_thread(hung.accept)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(2):  # the time-out of its own command is 3 s
            await process.wait()
        connected[0].close()
    result = await ended(process)
    assert (result.code, result.out, result.err) == (0, "", "Stopped before it was ready.\n")
