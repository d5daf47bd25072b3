"""`demo`, `serve`, `web`, `worker`: the processes that stay until Ctrl-C or SIGTERM.

SIGHUP makes them read their configuration again.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Callable, Coroutine
from functools import partial

from pydantic import SecretStr

from bot.cli.command import FINE, Add, WrongUsage, process
from bot.deployment import store_notes
from bot.secret_files import MIN_LENGTH
from bot.settings import PREFIX, Settings
from bot.signals import Signals, signals_heard
from bot.telemetry import configure_logging
from bot.terminal import Terminal

# What serves is imported where it runs: the web half takes half a second to load, and
# `placet pending` need not wait for it.
# ruff: noqa: PLC0415

_OTHER_STORE = tuple(
    PREFIX + name + place
    for name in ("REDIS_URL", "AUDIT_KEY", "PSEUDONYM_KEY", "VAULT_KEY", "SIGNING_KEY")
    for place in ("", "_FILE")
)

Begun = Callable[[], None]  # called once `stop` is listened to
Main = Callable[[Signals, Begun], Coroutine[None, None, None]]


def add_to(add: Add) -> None:
    """The commands of this module."""
    demo = process(add, "demo", _demo, "try everything at once: store, web, worker, a service")
    demo.add_argument("--no-sample", action="store_true", help="no requests of its own")
    about = "what scripts need to know, as the first line"
    demo.add_argument("--ready-json", action="store_true", help=about)
    process(add, "serve", _serve, "web and worker in one process")
    process(add, "web", _web, "the web half alone; needs PLACET_REDIS_URL")
    process(add, "worker", _worker, "the worker half alone; needs PLACET_REDIS_URL")


def _demo(arguments: Namespace, terminal: Terminal) -> int:
    from bot.demo.run import Options, run_demo

    _check_own_store(terminal)
    settings = Settings.from_environment(terminal.environment)
    if PREFIX + "LOG_LEVEL" not in terminal.environment:
        settings = settings.model_copy(update={"log_level": "warning"})
    options = Options(has_sample=not arguments.no_sample, is_ready_json=arguments.ready_json)

    screen = terminal.of_server()
    _run(partial(run_demo, settings, options, screen), settings, screen)
    if not arguments.ready_json:
        screen.say("", "The demo has stopped. Its state is kept for the next start.")
    return FINE


def _check_own_store(terminal: Terminal) -> None:
    """Stops the demo's made-up people from approving what somebody really asks."""
    if given := [name for name in _OTHER_STORE if name in terminal.environment]:
        raise WrongUsage(
            f"{given[0]} is set, and the demo always runs a store and keys of its own, for its "
            "people are made up. Unset it, or use `placet serve` with people of your own."
        )


def _serve(_: Namespace, terminal: Terminal) -> int:
    from bot.bootstrap import Surroundings, address_of, listen, opened, run_both, store_at_hand

    settings = Settings.from_environment(terminal.environment)
    is_embedded = settings.redis_url is None
    screen = terminal.of_server()

    async def serve(signals: Signals, begun: Begun) -> None:
        with listen(settings.host, settings.port) as listener:
            async with (
                store_at_hand(settings) as stored,
                opened(stored, Surroundings(terminal.environment, reload=signals.reload)) as parts,
            ):
                begun()
                notes = store_notes(settings, is_embedded=is_embedded)
                line = f"Placet is ready at {address_of(listener, settings)}. Ctrl-C stops."
                await run_both(parts, listener, signals.stop, lambda: screen.say(line, *notes))

    return _run(serve, settings, screen)


def _web(_: Namespace, terminal: Terminal) -> int:
    from bot.bootstrap import Surroundings, address_of, listen, opened, run_web

    settings = _with_store(terminal)
    settings.signing_keys()
    screen = terminal.of_server()

    async def serve(signals: Signals, begun: Begun) -> None:
        with listen(settings.host, settings.port) as listener:
            async with opened(
                settings, Surroundings(terminal.environment, reload=signals.reload)
            ) as parts:
                begun()
                notes = store_notes(settings, is_embedded=False)
                line = f"Placet's web half is ready at {address_of(listener, settings)}."
                await run_web(parts, listener, signals.stop, lambda: screen.say(line, *notes))

    return _run(serve, settings, screen)


def _worker(_: Namespace, terminal: Terminal) -> int:
    from bot.bootstrap import Surroundings, opened, run_worker

    settings = _with_store(terminal)
    settings.keys()
    screen = terminal.of_server()

    async def work(signals: Signals, begun: Begun) -> None:
        async with opened(
            settings, Surroundings(terminal.environment, reload=signals.reload)
        ) as parts:
            begun()
            notes = store_notes(settings, is_embedded=False)
            screen.say("Placet's worker half is ready.", *notes)
            await run_worker(parts, signals.stop)

    return _run(work, settings, screen)


def _with_store(terminal: Terminal) -> Settings:
    settings = Settings.from_environment(terminal.environment)
    if settings.redis_url is None:
        raise WrongUsage(
            "PLACET_REDIS_URL is not set, and the two halves need one store. Set it, or run "
            "`placet serve`, which is both halves with an embedded store."
        )
    return settings


def _run(main: Main, settings: Settings, terminal: Terminal) -> int:
    """Runs `main` until it is told to stop; while it starts, that cuts it short."""
    import uvloop

    from bot.bootstrap import cut_short_by

    async def run() -> None:
        signals = signals_heard()
        if not await cut_short_by(signals.stop, partial(main, signals)):
            terminal.complain("Stopped before it was ready.")

    configure_logging(settings.log_level, _secrets(settings), terminal.errors)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    return FINE


def _secrets(settings: Settings) -> list[str]:
    """Every secret; of a PEM block each line too, as it may be met without the others."""
    whole = [secret.get_secret_value() for _, secret in settings if isinstance(secret, SecretStr)]
    lines = {line for text in whole for line in text.splitlines() if len(line) >= MIN_LENGTH}
    return [*whole, *lines]
