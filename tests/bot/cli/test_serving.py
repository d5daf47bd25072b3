"""The serving commands within this process: what they say, and that a signal ends them well."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from approvals.errors import PlacetError
from bot.bootstrap import listen
from bot.cli.main import run
from bot.deployment import PortBusy
from bot.terminal import Terminal
from tests.bot.cli.conftest import AUDIT_KEY, PSEUDONYM_KEY, VAULT_KEY, Result, Shell
from tests.configurations import write_configuration
from tests.conftest import RealServer
from tests.signing import SIGNING_KEY

PATIENCE_S = 30


@dataclass
class Screen(io.StringIO):
    """Standard output that knows when the wanted words stand there."""

    words: str
    seen: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__()

    def write(self, text: str) -> int:
        count = super().write(text)
        if self.words in self.getvalue():
            self.seen.set()
        return count


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A serving command sets the whole process's logging up."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def config(tmp_path: Path, shell: Shell) -> None:
    write_configuration(tmp_path / "config")
    services = tmp_path / "config" / "services.yaml"
    elsewhere = "https://crm.internal.example"
    services.write_text(services.read_text().replace("http://127.0.0.1:9", elsewhere))


def until(words: str, shell: Shell, *command: str, **changes: str) -> Result:
    """Runs a command in this thread and sends it Ctrl-C once `words` stand on the screen."""
    screen, errors = Screen(words), io.StringIO()

    def interrupt() -> None:
        if screen.seen.wait(PATIENCE_S):
            os.kill(os.getpid(), signal.SIGINT)

    watcher = threading.Thread(target=interrupt)
    watcher.start()
    terminal = Terminal(shell.environment | changes, io.StringIO(), screen, errors)
    code = run(command, terminal)
    screen.seen.set()
    watcher.join()
    return Result(code, screen.getvalue(), errors.getvalue())


@pytest.mark.usefixtures("config")
def test_serve_runs_both_halves_on_the_embedded_store(shell: Shell) -> None:
    result = until("single-host pilots", shell, "serve", PLACET_DURABILITY="none")
    assert result.code == 0
    assert "Placet is ready at http://127.0.0.1:" in result.out
    assert "PLACET_DURABILITY is none" in result.out


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize(
    ("half", "words"), [("web", "web half is ready at"), ("worker", "worker half is ready")]
)
def test_each_half_runs_over_a_named_store(
    shell: Shell, real_server: RealServer, half: str, words: str
) -> None:
    result = until(
        words,
        shell,
        half,
        PLACET_REDIS_URL=real_server.url,
        PLACET_NAMESPACE="halves",
        PLACET_AUDIT_KEY=AUDIT_KEY,
        PLACET_PSEUDONYM_KEY=PSEUDONYM_KEY,
        PLACET_VAULT_KEY=VAULT_KEY,
        **({"PLACET_SIGNING_KEY": SIGNING_KEY} if half == "web" else {}),
    )
    assert result.code == 0
    assert "pilots" not in result.out


@pytest.mark.parametrize("half", ["web", "worker"])
def test_a_half_without_a_named_store_is_wrong_usage(shell: Shell, half: str) -> None:
    result = shell.now(half)
    assert result.code == 2
    assert "placet serve" in result.err


@pytest.mark.usefixtures("config")
def test_a_named_store_needs_its_keys(shell: Shell) -> None:
    result = shell.now("web", PLACET_REDIS_URL="redis://127.0.0.1:1")
    assert result.code == 1
    for name in (
        "PLACET_AUDIT_KEY",
        "PLACET_PSEUDONYM_KEY",
        "PLACET_VAULT_KEY",
        "PLACET_SIGNING_KEY",
    ):
        assert f"{name}: is not set" in result.err
    assert "placet key rotate" in result.err


@pytest.mark.usefixtures("config")
def test_a_channel_that_reaches_nobody_stops_the_start(shell: Shell, tmp_path: Path) -> None:
    policy = tmp_path / "config" / "policy.yaml"
    channel = "channels: {desk: {slack: C0DESK}}\ndefaults:\n  notify: [desk]\n"
    policy.write_text(policy.read_text().replace("defaults:\n", channel))
    result = shell.now("serve")
    assert result.code == 1
    assert "policy.yaml:4:" in result.err
    assert "reaches nobody" in result.err


def test_the_demo_prints_its_facts_first_and_the_rest_as_text(shell: Shell) -> None:
    del shell.environment["PLACET_CONFIG_DIR"]
    words = ("demo", "--ready-json", "--no-sample")
    result = until("Ctrl-C stops.", shell, *words)
    first, *rest = result.out.splitlines()
    assert json.loads(first)["service"] == "crm"
    assert any("pending" in line for line in rest)
    assert result.code == 0


def test_the_demo_with_its_sample_asks_and_says_goodbye(shell: Shell) -> None:
    result = until("crm asks for Jonas Berg", shell, "demo")
    assert result.code == 0
    data_dir = shell.environment["PLACET_DATA_DIR"]
    assert f"PLACET_DATA_DIR={data_dir}" in result.out
    assert result.out.endswith("The demo has stopped. Its state is kept for the next start.\n")


@pytest.mark.parametrize(
    "name",
    [
        "PLACET_REDIS_URL",
        "PLACET_REDIS_URL_FILE",
        "PLACET_AUDIT_KEY",
        "PLACET_AUDIT_KEY_FILE",
        "PLACET_PSEUDONYM_KEY",
        "PLACET_PSEUDONYM_KEY_FILE",
        "PLACET_SIGNING_KEY",
    ],
)
def test_the_demos_made_up_people_never_meet_a_real_store(shell: Shell, name: str) -> None:
    result = shell.now("demo", **{name: "redis://127.0.0.1:1"})
    assert (result.code, result.out) == (2, "")
    assert f"{name} is set" in result.err
    assert "placet serve" in result.err
    assert not Path(shell.environment["PLACET_DATA_DIR"]).exists()


@pytest.mark.parametrize("command", ["demo", "serve", "web", "worker"])
def test_what_stays_has_no_answer_for_machines(
    shell: Shell, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        shell.now(command, "--json")
    assert "unrecognized arguments: --json" in capsys.readouterr().err


def test_a_data_directory_that_cannot_be_made_is_told_plainly(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a directory belongs")
    result = shell.now("serve")
    assert result.code == 1
    assert "PLACET_DATA_DIR" in result.err
    assert "Traceback" not in result.err


class BrokenScreen(io.StringIO):
    """A fault nobody foresaw."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def write(self, _text: str) -> int:
        raise self._error


def screened(shell: Shell, error: BaseException) -> tuple[int, str]:
    """Exit code and complaint of a command that fails with `error`."""
    errors = io.StringIO()
    terminal = Terminal(shell.environment, io.StringIO(), BrokenScreen(error), errors)
    return run(["check"], terminal), errors.getvalue()


def test_an_error_of_our_own_is_one_sentence_and_a_log_line(
    shell: Shell, caplog: pytest.LogCaptureFixture
) -> None:
    code, told = screened(shell, ZeroDivisionError())
    assert code == 1
    assert told.startswith("Placet made a mistake")
    assert len(told.splitlines()) == 1
    assert [record.message for record in caplog.records] == ["command failed"]


def test_of_tasks_that_failed_together_the_first_is_told(shell: Shell) -> None:
    inner = ExceptionGroup("inner", [PortBusy("Port 1 is busy.")])
    assert screened(shell, ExceptionGroup("outer", [inner])) == (3, "Port 1 is busy.\n")


def test_ctrl_c_in_a_command_is_the_code_that_shells_give_it(shell: Shell) -> None:
    assert screened(shell, KeyboardInterrupt()) == (130, "")


def test_a_busy_port_is_named_with_its_remedy() -> None:
    with listen("127.0.0.1", 0) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(PortBusy, match=rf"Port {port} .* PLACET_PORT") as refused:
            listen("127.0.0.1", port)
    assert isinstance(refused.value, PlacetError)


def test_version_and_help_are_there(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    for words, expected in ((("--version",), "placet 0."), (("--help",), "approve")):
        with pytest.raises(SystemExit, match="0"):
            shell.now(*words)
        assert expected in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        shell.now()
