"""A deployment as its data directory tells it: opening its store, and finding one that runs.

Kept apart from the composition root, so that `placet pending` need not load the web half.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, SecretStr, StrictInt, ValidationError

from approvals.errors import ConfigurationInvalid, OtherKey, PlacetError
from approvals.model import Frozen
from approvals.policy.loader import Configuration, load_configuration
from approvals.store.health import Demands, Durability
from approvals.store.pipeline import connection_pool
from approvals.store.store import Store, StoreSecrets
from bot import setting_values as values
from bot.lock_file import has_ended
from bot.secret_files import UnfitSecret, read_secret, strong
from bot.settings import KEYS_OF_STORE, PREFIX, Fault, Settings
from bot.store_place import PUT_RIGHT, check_reach, fit_url
from bot.whole_file import write_whole

_log = logging.getLogger(__name__)

RUNNING = "running.json"
START_AGAIN = "start Placet again"
DEMO = "demo"  # the demo's own directory below DATA_DIR


class Unreachable(PlacetError):
    """What the command needs is not to be had."""

    code = "unreachable"


class NothingRuns(Unreachable):
    """No store is named and no deployment runs here."""

    code = "nothing_runs"


class PortBusy(Unreachable):
    """Another process listens on this port, or it is not ours to take."""

    code = "port_busy"


class HostUnfit(Unreachable):
    """Nothing can listen on this host, whatever the port."""

    code = "host_unfit"


class SeveralRun(PlacetError):
    """Two deployments run here, and nobody said which is meant."""

    code = "several_run"


class OtherSetting(PlacetError):
    """The deployment that runs here is another than the settings say."""

    code = "other_setting"


class DamagedFile(Unreachable):
    """running.json does not say what it should."""

    code = "damaged_file"


class Running(Frozen):
    """What a running process tells the CLI. Holds the store's URL, so its file is ours alone."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    pid: StrictInt
    redis_url: Annotated[str, AfterValidator(fit_url)]
    namespace: Annotated[str, AfterValidator(values.namespace)]
    config_dir: Path
    keys_dir: Path
    durability: Durability = "local"
    wait_replicas: int = 1
    wait_ms: int = 200
    is_demo: bool = False


def configuration_in(directory: Path, *, loopback: bool = False) -> Configuration:
    """As `load_configuration`; what is wrong follows a line that names the directory."""
    try:
        return load_configuration(directory, loopback=loopback)
    except ConfigurationInvalid as error:
        head = f"The configuration in {directory} cannot be used:"
        raise ConfigurationInvalid([head, *error.issues]) from None


def open_store(settings: Settings) -> Store:
    """The store that the settings name, not yet checked. Raises `ConfigurationInvalid`."""
    keys = settings.keys()
    secrets = StoreSecrets(
        audit=keys.audit.get_secret_value().encode(),
        pseudonym=keys.pseudonym.get_secret_value().encode(),
        vault=keys.vault.get_secret_value().encode(),
    )
    demands = Demands(durability=settings.durability, replicas=settings.wait_replicas)
    pool = connection_pool(_checked_url(settings))
    return Store.over(pool, settings.namespace, secrets, demands, settings.wait_ms)


def store_url(settings: Settings) -> str:
    """The store's URL with its password. Raises `ConfigurationInvalid` where none is set."""
    if settings.redis_url is None:
        raise ConfigurationInvalid(["PLACET_REDIS_URL is not set. Name the store's URL."])
    return settings.redis_url.get_secret_value()


def _checked_url(settings: Settings) -> str:
    """The store's URL, as far as the client can use it. Raises `ConfigurationInvalid`."""
    try:
        return fit_url(store_url(settings))
    except ValueError as error:
        fault = Fault(PREFIX + "REDIS_URL", "cannot be used", str(error))
        raise ConfigurationInvalid([fault]) from None


async def open_within_reach(settings: Settings, *, is_found: bool = False) -> Store:
    """As `open_store`, of a store that answers; `is_found` where running.json named it.

    Raises `StoreOutOfReach` too.
    """
    store = open_store(settings)
    try:
        await check_reach(store_url(settings), START_AGAIN if is_found else PUT_RIGHT)
    except BaseException:
        await store.close()
        raise
    return store


def store_notes(settings: Settings, *, is_embedded: bool) -> list[str]:
    """What whoever starts a process must know of its store."""
    notes = []
    if is_embedded:
        notes.append(
            f"The embedded store in {settings.data_dir / 'store'} serves trials, development and "
            "single-host pilots; set PLACET_REDIS_URL for more."
        )
    if settings.durability == "none":
        notes.append(
            "PLACET_DURABILITY is none: a crash may lose decisions. This is for trials only."
        )
    return notes


@contextmanager
def running_file(settings: Settings, *, is_demo: bool = False) -> Iterator[None]:
    """`DATA_DIR/running.json` for the CLI, mode 0600, while this process runs."""
    path = settings.data_dir / RUNNING
    told = Running(
        pid=os.getpid(),
        redis_url=store_url(settings),
        namespace=settings.namespace,
        config_dir=settings.config_dir.resolve(),
        keys_dir=(settings.data_dir / "keys").resolve(),
        durability=settings.durability,
        wait_replicas=settings.wait_replicas,
        wait_ms=settings.wait_ms,
        is_demo=is_demo,
    )
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        write_whole(path, told.model_dump_json().encode())
    except OSError as error:  # over a store elsewhere a read-only file system is no hindrance
        _log.warning(
            "%s cannot be written (%s): commands need PLACET_REDIS_URL to find this process; "
            "else set PLACET_DATA_DIR to a directory that can be written",
            str(path),
            error.strerror,
        )
    try:
        yield
    finally:
        # Another process on the same directory may have come after us.
        with suppress(DamagedFile, OSError):
            if _read(path) == told:
                path.unlink(missing_ok=True)


def found_running(data_dir: Path) -> Running | None:
    """The deployment that runs in `data_dir` or in the demo's part of it, or None.

    Raises `SeveralRun`, `DamagedFile`. Starts nothing.
    """
    live = [
        running for path in _places(data_dir) if (running := _read(path)) and _is_alive(running.pid)
    ]
    if len(live) > 1:
        raise SeveralRun(
            f"Two deployments run in {data_dir}. Set PLACET_DATA_DIR to {data_dir / DEMO} for the "
            "demo; for the other one stop the demo, or set PLACET_REDIS_URL and its keys."
        )
    return live[0] if live else None


def _places(data_dir: Path) -> tuple[Path, Path]:
    return data_dir / RUNNING, data_dir / DEMO / RUNNING


def _not_used(data_dir: Path) -> Iterator[str]:
    """Each running.json that is there and may not be believed, with the reason."""
    for path in _places(data_dir):
        with suppress(PermissionError):  # a directory that we may not enter holds no file of ours
            if path.exists() and (unfit := _unfit(path)):
                yield f"{path} is there, but not used: it {unfit.message}. {unfit.remedy}"


def _unfit(path: Path) -> UnfitSecret | None:
    try:
        read_secret(path)
    except UnfitSecret as error:
        return error
    return None


def reached(settings: Settings) -> Settings:
    """`settings` of the deployment that the CLI is to work on.

    Raises `NothingRuns`, `SeveralRun`, `DamagedFile`, `OtherSetting`, `OtherKey`,
    `ConfigurationInvalid`.
    """
    if settings.redis_url is not None:
        return settings
    running = found_running(settings.data_dir)
    if running is None:
        raise NothingRuns(
            f"No running Placet was found in {settings.data_dir}. Start one with `placet demo` or "
            "`placet serve`, or set PLACET_REDIS_URL or PLACET_DATA_DIR to the one you mean."
            + "".join("\n" + told for told in _not_used(settings.data_dir))
        )
    _check_same(settings, running)
    update: dict[str, object] = {
        "redis_url": SecretStr(running.redis_url),
        "namespace": running.namespace,
        "config_dir": running.config_dir,
        "durability": running.durability,
        "wait_replicas": running.wait_replicas,
        "wait_ms": running.wait_ms,
    }
    for field in KEYS_OF_STORE:
        update[field] = _one_key(field, getattr(settings, field), running.keys_dir / field)
    return settings.model_copy(update=update)


def _check_same(settings: Settings, running: Running) -> None:
    """Stops a command from working elsewhere than its settings say, and nobody noticing."""
    own: dict[str, object] = {
        "namespace": running.namespace,
        "durability": running.durability,
        "config_dir": running.config_dir.resolve(),
    }
    given = settings.model_copy(update={"config_dir": settings.config_dir.resolve()})
    for field, used in own.items():
        name = field.upper()
        if name in settings.given and getattr(given, field) != used:
            raise OtherSetting(
                f"{PREFIX}{name} is {getattr(given, field)}, but the Placet that runs here uses "
                f"{used}. Unset it, or set PLACET_REDIS_URL or PLACET_DATA_DIR to the one you mean."
            )


def _one_key(field: str, given: SecretStr | None, path: Path) -> SecretStr | None:
    """The key of the environment or of the running deployment; where both exist they are one.

    With another audit key entries would not verify, and nobody would see why.
    """
    own = key_in(path)
    if given is None or own is None:
        return given or own
    if given != own:
        variable = PREFIX + field.upper()
        raise OtherKey(
            f"{variable} (or {variable}_FILE) is another key than {path} of the Placet that runs "
            "here. Unset it, or set PLACET_REDIS_URL to the deployment it belongs to."
        )
    return own


def signing_key_file(settings: Settings) -> Path:
    """Where the made signing keys are, of the deployment that runs here or of `serve`'s next start.

    Raises `SeveralRun`, `DamagedFile`.
    """
    running = found_running(settings.data_dir)
    return (running.keys_dir if running else settings.data_dir / "keys") / "signing_key"


def key_in(path: Path, parse: Callable[[str], SecretStr] = strong) -> SecretStr | None:
    """The key that was made in `path`, None without it. Raises `ConfigurationInvalid`."""
    if not path.exists():
        return None  # then the settings tell which variable is missing
    try:
        return parse(read_secret(path))
    except UnfitSecret as error:
        raise ConfigurationInvalid([Fault(str(path), error.message, error.remedy)]) from None


def _read(path: Path) -> Running | None:
    try:
        # Others may not have written it: they would name their own store, and show what they like.
        text = read_secret(path)
    except UnfitSecret:
        return None
    try:
        return Running.model_validate_json(text)
    except ValidationError:
        raise DamagedFile(
            f"{path} does not say which Placet runs here. Remove it, and start Placet again."
        ) from None


def _is_alive(pid: int) -> bool:
    # Below 1 are names of groups of processes, and no system counts to 2**31.
    return 0 < pid < 2**31 and not has_ended(str(pid))
