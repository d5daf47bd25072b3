"""`placet demo`: the embedded store, web, worker and the sample service in one process."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import socket
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from approvals.errors import ConfigurationInvalid
from bot.bootstrap import (
    Parts,
    Surroundings,
    address_of,
    listen,
    opened,
    own_address,
    run_both,
    store_at_hand,
)
from bot.demo import company
from bot.demo.company import Company, found_company
from bot.demo.sample import Access, SampleService
from bot.deployment import DEMO, PortBusy, store_notes
from bot.settings import PREFIX, Fault, Settings, make_missing_keys
from bot.signals import Signals
from bot.terminal import Terminal

_PORTS_TRIED = 100


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line chose."""

    has_sample: bool = True
    is_ready_json: bool = False
    pause_s: float = 45.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the demo is reached: `told` by whoever runs it, and `own` by host and port."""

    told: str
    own: str

    @property
    def page(self) -> str:
        """Where people decide: by its own address, since it answers this machine alone."""
        return self.own + "/console"


async def run_demo(
    settings: Settings,
    options: Options,
    terminal: Terminal,
    signals: Signals,
    begun: Callable[[], None] = lambda: None,
) -> None:
    """Runs the demo in `DATA_DIR/demo` until told to stop.

    It heeds that once it has called `begun`.
    """
    home = _at_home(settings)
    async with AsyncExitStack() as open_parts:
        listener = open_parts.enter_context(_web_listener(home))
        receiver = open_parts.enter_context(_receiver(home.data_dir))
        stored = await open_parts.enter_async_context(store_at_hand(home))
        port = receiver.getsockname()[1]
        company.keep_port(home.data_dir, port)
        url = f"http://127.0.0.1:{port}/placet" if options.has_sample else None
        made = found_company(home.data_dir, url)
        surroundings = Surroundings(terminal.environment, is_demo=True, reload=signals.reload)
        parts = await open_parts.enter_async_context(opened(stored, surroundings))
        at = Addresses(address_of(listener, home), own_address(listener, home))
        ready = asyncio.Event()
        begun()

        def announce() -> None:
            if options.is_ready_json:
                terminal.tell(_ready_facts(at, made))
            terminal.say(*_greeting(parts, at, options, terminal))
            ready.set()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run_both(parts, listener, signals.stop, announce))
            if options.has_sample:
                sample = SampleService(
                    Access(at.own, made.api_key, made.callback_secret),
                    terminal.say,
                    lambda request: f"{at.page}#{request}",
                    options.pause_s,
                )
                tasks.create_task(_ask_until(signals.stop, ready, sample, receiver))


async def _ask_until(
    stop: asyncio.Event, ready: asyncio.Event, sample: SampleService, receiver: socket.socket
) -> None:
    await ready.wait()
    asking = asyncio.create_task(sample.run(receiver))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((asking, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        asking.cancel()
    await asyncio.wait((asking,))
    if not asking.cancelled():
        asking.result()


def _at_home(settings: Settings) -> Settings:
    """The settings with the demo's own directory, and every key made there."""
    _check_host(settings.host)
    home = settings.data_dir / DEMO
    own = settings.model_copy(update={"data_dir": home, "config_dir": home / "config"})
    return make_missing_keys(home / "keys", own)


def _check_host(host: str) -> None:
    """The demo's people are made up, so nobody outside this machine may reach it."""
    try:
        is_loopback = ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if not is_loopback:
        remedy = "Unset it, or use `placet serve` with people of your own."
        raise ConfigurationInvalid([Fault(PREFIX + "HOST", "is not this machine alone", remedy)])


def _web_listener(settings: Settings) -> socket.socket:
    """The given port, or the first free one where none is given."""
    if settings.is_port_given:
        return listen(settings.host, settings.port)
    for port in range(settings.port, settings.port + _PORTS_TRIED):
        try:
            return listen(settings.host, port)
        except PortBusy:
            continue
    raise PortBusy(
        f"Ports {settings.port} to {settings.port + _PORTS_TRIED - 1} on {settings.host} are all "
        "busy. Set PLACET_PORT to another one; 0 takes a free one."
    )


def _receiver(data_dir: Path) -> socket.socket:
    try:
        return listen("127.0.0.1", company.last_port(data_dir))
    except PortBusy:
        return listen("127.0.0.1", 0)


def _ready_facts(at: Addresses, made: Company) -> dict[str, object]:
    return {
        "base_url": at.told,
        "console_url": at.page,
        "service": company.SERVICE,
        "api_key": made.api_key,
        "callback_secret": made.callback_secret,
        "approvers": company.APPROVERS,
        "requesters": company.REQUESTERS,
        "actions": company.ACTIONS,
    }


def _greeting(parts: Parts, at: Addresses, options: Options, terminal: Terminal) -> list[str]:
    placet = _program(terminal)
    home = parts.settings.data_dir
    people = parts.service.configuration.people
    found = [people.person(person) for person in people.who_may_decide(["privacy"], None)]
    names = sorted(f"{person.id} ({person.name})" for person in found if person)
    asks = [f"The service crm has its API key and callback secret in {home / 'keys'}."]
    if options.has_sample:
        asks = ["A sample service called crm asks now and then, and says here what it was told."]
    return [
        f"Placet's demo is ready. Open {at.page} and decide.",
        f"Everything is made up and stays on this machine; state is kept in {home}.",
        *store_notes(parts.settings, is_embedded=False),
        "",
        *asks,
        f"Who may approve: {', '.join(names)}. On the page you choose who you are.",
        "",
        f"The pages of the API: {at.told}/docs",
        "From a second terminal in this directory:",
        f"  {placet} pending",
        f'  {placet} approve ID --as anna --reason "Ticket checked"',
        "Ctrl-C stops.",
        "",
    ]


def _program(terminal: Terminal) -> str:
    """How to call us from a second terminal in the same directory."""
    called = Path(sys.argv[0])
    found = shutil.which("placet", path=terminal.environment.get("PATH"))
    program = "placet"
    if found is None or not _is_same(Path(found), called):
        program = str(_from_here(called))
    data_dir = terminal.environment.get(PREFIX + "DATA_DIR")
    setting = f"{PREFIX}DATA_DIR={shlex.quote(data_dir)} " if data_dir else ""
    return setting + shlex.quote(program)


def _is_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _from_here(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
