"""Where a measurement comes from: versions, cores, and what an fsync costs there."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

from benchmarks.figures import Json
from benchmarks.stage import Stage

_PACKAGES = ("placet", "fastapi", "starlette", "pydantic", "uvicorn", "uvloop", "redis", "hiredis")
_SYNCS = 100


async def described(stage: Stage) -> Json:
    """The machine, the versions and the store's settings."""
    server = await stage.facts("server")
    return {
        **host(_PACKAGES),
        "load_generator": "on the same cores",
        "store": {
            "engine": f"{server.get('server_name', 'redis')} "
            f"{server.get('valkey_version', server['redis_version'])}",
            "transport": "unix socket",
            "appendonly": "yes",
            "fsync": "always",
            "median_ms_of_one_fsync": _fsync_ms(stage.directory / "fsync"),
        },
        "processes": {"web": 1, "worker": 1},
    }


def host(packages: Sequence[str]) -> Json:
    """The machine, and the versions of what is measured."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in packages},
    }


def _fsync_ms(path: Path) -> float:
    """On some disks a sync costs nothing; then `always` proves little."""
    took = []
    with path.open("wb", buffering=0) as file:
        for _ in range(_SYNCS):
            began = perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            took.append(perf_counter() - began)
    return round(statistics.median(took) * 1000, 3)
