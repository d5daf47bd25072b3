"""What a pending request costs in the store's memory, and what the processes take."""

from __future__ import annotations

from itertools import islice

from benchmarks.company import BODY_BYTES, SUBJECTS, posts
from benchmarks.figures import Json
from benchmarks.load import drive
from benchmarks.processes import resident_bytes
from benchmarks.stage import Stage

CONNECTIONS = 16
_WARM_UP = 100


async def measure(stage: Stage, count: int) -> Json:
    """Bytes per pending request, opened over HTTP with idempotency keys; RSS of each process."""
    # The server's buffers, scripts and tables are in place before the first look.
    await drive(stage.web.port, CONNECTIONS, islice(posts(stage.api_key), _WARM_UP))
    await stage.empty()
    before = int((await stage.facts("memory"))["used_memory"])
    tally = await drive(stage.web.port, CONNECTIONS, islice(posts(stage.api_key), count))
    facts = await stage.facts("memory")
    if tally.completed != count:
        raise SystemExit(f"Not all requests were accepted: {dict(tally.faults)}.")
    told: Json = {
        "bytes_per_pending_request": round((int(facts["used_memory"]) - before) / count),
        "requests": count,
        "body_bytes": BODY_BYTES,
        "subjects": SUBJECTS,
        "allocator": facts["mem_allocator"],
        "resident_mib": {
            "web": _mebibytes(stage.web.pid),
            "worker": _mebibytes(stage.worker.pid),
            "store": _mebibytes(stage.embedded.pid),
        },
    }
    await stage.empty()
    return told


def _mebibytes(pid: int) -> float | None:
    found = resident_bytes(pid)
    return None if found is None else round(found / 2**20, 1)
