"""The composition root: the only place that joins concrete parts. Decides nothing."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pydantic import SecretStr
from redis.asyncio import BlockingConnectionPool, Redis

from approvals.inbox import Inbox
from approvals.model import ServiceId
from approvals.policy.people import People
from approvals.service import ApprovalService
from approvals.store.health import Health
from approvals.store.pipeline import connection_pool
from approvals.store.processes import Half
from approvals.store.store import Store
from approvals.tokens import GrantTokens
from bot.callbacks import CallbackSender, Receiver
from bot.chat.console.adapter import ConsolePort
from bot.chat.console.live import Live
from bot.chat.console.routes import ConsoleParts, ConsoleRoutes
from bot.chat.console.sessions import Sessions
from bot.chat.identity import Identities
from bot.chat.interactions import Interactions
from bot.chat.messages import Messages
from bot.configuration_files import ConfigurationFiles
from bot.deployment import (
    HostUnfit,
    PortBusy,
    configuration_in,
    open_within_reach,
    running_file,
    store_url,
)
from bot.egress import Egress
from bot.embedded import EmbeddedStore
from bot.fellows import own_name
from bot.notifier import Faces, Notifier, Target
from bot.reload import Reload
from bot.settings import Settings, make_missing_keys
from bot.telemetry import Metrics
from bot.web.app import create_app
from bot.web.ops import Condition
from bot.web.server import make_server, settle_memory
from bot.web.waiting import Waiting
from bot.worker import Worker

_log = logging.getLogger(__name__)

HEALTH_EVERY_S = 5.0
DRAIN_S = 1
_A_HOST = "Set it to an address of this machine, such as 127.0.0.1, or unset it."


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What differs between the demo and the rest, and what comes from the system.

    Callback secrets are looked up in `environment`; `reload` is set by whoever wants a reload.
    """

    environment: Mapping[str, str]
    is_demo: bool = False
    reload: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Parts:
    """A deployment's parts, opened."""

    settings: Settings
    surroundings: Surroundings
    store: Store
    service: ApprovalService
    metrics: Metrics
    reload: Reload

    @property
    def receivers(self) -> Mapping[ServiceId, Receiver]:
        """Who may be called back now."""
        return self.reload.receivers


@asynccontextmanager
async def store_at_hand(settings: Settings) -> AsyncIterator[Settings]:
    """`settings` with a store's URL and every key: the embedded one is started where none is given.

    Raises `StoreRefused`, also when the embedded one ends unasked, and `ConfigurationInvalid`.
    """
    if settings.redis_url is not None:
        settings.signing_keys()
        yield settings
        return
    keyed = make_missing_keys(settings.data_dir / "keys", settings)
    embedded = await EmbeddedStore.start(settings.data_dir / "store")
    try:
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(embedded.watch())
            yield keyed.model_copy(update={"redis_url": SecretStr(embedded.url)})
            watching.cancel()
    except BaseExceptionGroup as failed:
        # Without its store a process would only pretend to serve. What ends it stands alone.
        raise failed.exceptions[0] from None
    finally:
        await embedded.stop()


@asynccontextmanager
async def opened(settings: Settings, surroundings: Surroundings) -> AsyncIterator[Parts]:
    """The parts over a checked configuration and a store that is fit.

    Raises `ConfigurationInvalid`, `StoreOutOfReach`, `StoreRefused`.
    """
    is_demo = surroundings.is_demo
    files = ConfigurationFiles(settings.config_dir, surroundings.environment, is_demo=is_demo)
    stamps = files.stamps()
    loaded = files.completed(configuration_in(settings.config_dir, loopback=is_demo))
    store = await open_within_reach(settings)
    try:
        await store.health.require()
        service, metrics = ApprovalService(store, loaded.configuration), Metrics()
        reload = Reload(files, loaded, service, store, metrics)
        await reload.begin(stamps)
        yield Parts(settings, surroundings, store, service, metrics, reload)
    finally:
        await store.close()


async def cut_short_by(
    stop: asyncio.Event, main: Callable[[Callable[[], None]], Coroutine[None, None, None]]
) -> bool:
    """Runs `main`. Until it calls `begun`, its argument, it is cancelled when `stop` comes.

    From then on `main` must listen to `stop` itself. Answers False where it was cut short.
    """
    begun = asyncio.Event()
    running = asyncio.create_task(main(begun.set))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not begun.is_set():
            running.cancel()  # once: a second time would cut its clean-up short
        await asyncio.wait((running,))
    finally:
        stopping.cancel()
        running.cancel()
    if running.cancelled():
        return False
    running.result()
    return True


async def run_web(
    parts: Parts, listener: socket.socket, stop: asyncio.Event, ready: Callable[[], None]
) -> None:
    """Serves HTTP on `listener` until `stop`."""
    async with _reloading(parts, "web"):
        await _run_web(parts, listener, stop, ready)


def _tokens(parts: Parts, listener: socket.socket) -> GrantTokens:
    """What signs grant tokens, in the name of the address that services know."""
    return GrantTokens(parts.settings.signing_keys(), address_of(listener, parts.settings))


@asynccontextmanager
async def _reloading(parts: Parts, half: Half) -> AsyncIterator[None]:
    """Changed configuration is taken over within."""
    pool = connection_pool(store_url(parts.settings))
    asked = parts.surroundings.reload
    watching = asyncio.create_task(parts.reload.run(asked, own_name(half), pool))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait((watching,))
        await pool.aclose()
    if not watching.cancelled():
        watching.result()


async def _run_web(
    parts: Parts, listener: socket.socket, stop: asyncio.Event, ready: Callable[[], None]
) -> None:
    pool = connection_pool(store_url(parts.settings))
    waiting = Waiting(Redis(connection_pool=pool), parts.store.keys)
    console = _console(parts, pool)
    app = create_app(
        service=parts.service,
        waiting=waiting,
        readiness=lambda: _condition(parts),
        metrics=parts.metrics,
        settings=parts.settings,
        tokens=_tokens(parts, listener),
        noted=parts.store.key_uses.note,
        pages=console.routes() if console else {},
    )
    server = make_server(app, drain_s=DRAIN_S)
    try:
        async with asyncio.TaskGroup() as tasks:
            listening = [waiting.run(), *([console.live.run()] if console else [])]
            watching = [*listening, watch_health(parts.store.health)]
            background = [tasks.create_task(each) for each in watching]
            serving = tasks.create_task(server.serve(sockets=[listener]))
            await server.wait_until_started(serving)
            settle_memory()
            ready()
            await stop.wait()
            await waiting.close()
            if console:
                console.live.close()
            server.should_exit = True
            await serving
            for task in background:
                task.cancel()
    finally:
        await pool.aclose()


def _condition(parts: Parts) -> Condition:
    health = parts.store.health
    return Condition(health.faults, (*health.warnings, *parts.reload.warnings))


def _console(parts: Parts, pool: BlockingConnectionPool) -> ConsoleRoutes | None:
    """The demo's page. It has no login yet, so elsewhere there is none."""
    key = parts.settings.session_key
    if not parts.surroundings.is_demo or key is None:
        return None

    def people() -> People:
        return parts.service.configuration.people

    messages = _messages(parts)
    made = ConsoleParts(
        service=parts.service,
        inbox=Inbox(parts.store, lambda: parts.service.configuration),
        interactions=Interactions(parts.service, Identities(people), messages),
        messages=messages,
        port=ConsolePort(Redis(connection_pool=pool), parts.store.keys.console_channel),
        sessions=Sessions(key.get_secret_value().encode(), people),
        live=Live(pool, parts.store.keys),
        people=people,
        policy=lambda: parts.reload.status,
    )
    return ConsoleRoutes(made)


def _notifier(parts: Parts, client: Redis) -> Notifier | None:
    """Draws cards where there is a platform: in the demo the page stands in for every channel."""
    if not parts.surroundings.is_demo:
        return None
    port = ConsolePort(client, parts.store.keys.console_channel)
    messages = _messages(parts)
    return Notifier(
        parts.service,
        parts.store,
        lambda place: (Target("console", port, place),),
        faces=Faces(messages.channel_card, messages.blank, messages.superseded),
        metrics=parts.metrics,
    )


def _messages(parts: Parts) -> Messages:
    service, is_trial = parts.service, parts.settings.durability == "none"
    return Messages(
        lambda: service.configuration.people,
        pii_in_text=lambda: service.configuration.policy.defaults.pii_in_text,
        is_trial=is_trial,
    )


async def run_worker(parts: Parts, stop: asyncio.Event) -> None:
    """Works off the due queues until `stop`."""
    async with _reloading(parts, "worker"):
        await _run_worker(parts, stop)


async def _run_worker(parts: Parts, stop: asyncio.Event) -> None:
    pool = connection_pool(store_url(parts.settings))
    egress = Egress()
    sender = CallbackSender(
        parts.store.outbox,
        parts.store.callbacks,
        egress,
        lambda: parts.receivers,
        parts.metrics,
    )
    working = asyncio.create_task(
        Worker(
            parts.store,
            parts.service,
            sender,
            pool,
            parts.metrics,
            notifier=_notifier(parts, Redis(connection_pool=pool)),
        ).run()
    )
    stopping = asyncio.create_task(stop.wait())
    settle_memory()
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        working.cancel()
        await asyncio.wait((working,))
        await egress.close()
        await pool.aclose()
    if not working.cancelled():
        working.result()


async def run_both(
    parts: Parts, listener: socket.socket, stop: asyncio.Event, ready: Callable[[], None]
) -> None:
    """Web and worker in one process until `stop`; the CLI finds it by its running file."""
    with running_file(parts.settings, is_demo=parts.surroundings.is_demo):
        async with _reloading(parts, "both"), asyncio.TaskGroup() as tasks:
            tasks.create_task(_run_worker(parts, stop))
            tasks.create_task(_run_web(parts, listener, stop, ready))


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `PortBusy`, `HostUnfit`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol has its name.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, UnicodeError) as error:  # a host that is no name fails in its encoding
        listener.close()
        raise _not_listening(host, port, error) from None
    return listener


def _not_listening(host: str, port: int, error: OSError | UnicodeError) -> PortBusy | HostUnfit:
    if isinstance(error, UnicodeError):
        return HostUnfit(f"PLACET_HOST {host} is no name. {_A_HOST}")
    reason = error.strerror or type(error).__name__
    if error.errno in (errno.EADDRINUSE, errno.EACCES):
        return PortBusy(
            f"Port {port} on {host} cannot be used: {reason}. "
            "Set PLACET_PORT to another one; 0 takes a free one."
        )
    return HostUnfit(f"Nothing can listen on PLACET_HOST {host}: {reason}. {_A_HOST}")


def address_of(listener: socket.socket, settings: Settings) -> str:
    """The URL that others reach `listener` under: the given one, or its own."""
    return settings.base_url or own_address(listener, settings)


def own_address(listener: socket.socket, settings: Settings) -> str:
    """The URL of host and port as they are, without what stands in front of them."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{listener.getsockname()[1]}"


async def watch_health(health: Health, pause_s: float = HEALTH_EVERY_S) -> None:
    """Looks at the store every few seconds until cancelled, whatever one look meets."""
    while True:
        await asyncio.sleep(pause_s)
        try:
            await health.check()
        except Exception:  # noqa: BLE001 - what one look meets must not end the web half
            health.faults = ("The store cannot be checked; see the log.",)
            _log.exception("health check failed")
