"""`demo`, `serve`, `web`, `worker`: the processes that stay until Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Callable, Coroutine

from pydantic import SecretStr

from bot.cli.command import FINE, Add, WrongUsage, command
from bot.deployment import store_notes
from bot.settings import PREFIX, Settings
from bot.telemetry import configure_logging
from bot.terminal import Terminal

# What serves is imported where it runs: the web half takes half a second to load, and
# `placet pending` need not wait for it.
# ruff: noqa: PLC0415

_OTHER_STORE = (
    "PLACET_REDIS_URL",
    "PLACET_AUDIT_KEY",
    "PLACET_AUDIT_KEY_FILE",
    "PLACET_PSEUDONYM_KEY",
    "PLACET_PSEUDONYM_KEY_FILE",
)


def add_to(add: Add) -> None:
    """The commands of this module."""
    demo = command(add, "demo", _demo, "try everything at once: store, web, worker, a service")
    demo.add_argument("--no-sample", action="store_true", help="no requests of its own")
    about = "what scripts need to know, as the first line"
    demo.add_argument("--ready-json", action="store_true", help=about)
    command(add, "serve", _serve, "web and worker in one process")
    command(add, "web", _web, "the web half alone; needs PLACET_REDIS_URL")
    command(add, "worker", _worker, "the worker half alone; needs PLACET_REDIS_URL")


def _demo(arguments: Namespace, terminal: Terminal) -> int:
    from bot.bootstrap import stop_signal
    from bot.demo.run import Options, run_demo

    _check_own_store(terminal)
    settings = Settings.from_environment(terminal.environment)
    if PREFIX + "LOG_LEVEL" not in terminal.environment:
        settings = settings.model_copy(update={"log_level": "warning"})
    options = Options(has_sample=not arguments.no_sample, is_ready_json=arguments.ready_json)

    async def run() -> None:
        await run_demo(settings, options, terminal, stop_signal())

    _run(run, settings, terminal)
    if not arguments.ready_json:
        terminal.say("", "The demo has stopped. Its state is kept for the next start.")
    return FINE


def _check_own_store(terminal: Terminal) -> None:
    """Stops the demo's made-up people from approving what somebody really asks."""
    if given := [name for name in _OTHER_STORE if name in terminal.environment]:
        raise WrongUsage(
            f"{given[0]} is set, and the demo always runs a store and keys of its own, for its "
            "people are made up. Unset it, or use `placet serve` with people of your own."
        )


def _serve(_: Namespace, terminal: Terminal) -> int:
    from bot.bootstrap import (
        Surroundings,
        address_of,
        listen,
        opened,
        run_both,
        stop_signal,
        store_at_hand,
    )

    settings = Settings.from_environment(terminal.environment)
    is_embedded = settings.redis_url is None

    async def run() -> None:
        stop = stop_signal()
        with listen(settings.host, settings.port) as listener:
            async with (
                store_at_hand(settings) as stored,
                opened(stored, Surroundings(terminal.environment)) as parts,
            ):
                notes = store_notes(settings, is_embedded=is_embedded)
                line = f"Placet is ready at {address_of(listener, settings)}. Ctrl-C stops."
                await run_both(parts, listener, stop, lambda: terminal.say(line, *notes))

    return _run(run, settings, terminal)


def _web(_: Namespace, terminal: Terminal) -> int:
    from bot.bootstrap import Surroundings, address_of, listen, opened, run_web, stop_signal

    settings = _with_store(terminal)

    async def run() -> None:
        stop = stop_signal()
        with listen(settings.host, settings.port) as listener:
            async with opened(settings, Surroundings(terminal.environment)) as parts:
                notes = store_notes(settings, is_embedded=False)
                line = f"Placet's web half is ready at {address_of(listener, settings)}."
                await run_web(parts, listener, stop, lambda: terminal.say(line, *notes))

    return _run(run, settings, terminal)


def _worker(_: Namespace, terminal: Terminal) -> int:
    from bot.bootstrap import Surroundings, opened, run_worker, stop_signal

    settings = _with_store(terminal)

    async def run() -> None:
        stop = stop_signal()
        async with opened(settings, Surroundings(terminal.environment)) as parts:
            notes = store_notes(settings, is_embedded=False)
            terminal.say("Placet's worker half is ready.", *notes)
            await run_worker(parts, stop)

    return _run(run, settings, terminal)


def _with_store(terminal: Terminal) -> Settings:
    settings = Settings.from_environment(terminal.environment)
    if settings.redis_url is None:
        raise WrongUsage(
            "PLACET_REDIS_URL is not set, and the two halves need one store. Set it, or run "
            "`placet serve`, which is both halves with an embedded store."
        )
    settings.keys()
    return settings


def _run(
    main: Callable[[], Coroutine[None, None, None]], settings: Settings, terminal: Terminal
) -> int:
    import uvloop

    secrets = [secret.get_secret_value() for _, secret in settings if isinstance(secret, SecretStr)]
    configure_logging(settings.log_level, secrets, terminal.errors)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    return FINE
