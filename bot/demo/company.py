"""The made-up company: its configuration, written at every start, and secrets kept between them."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template

from approvals.signing import SECRET_PREFIX
from bot.api_keys import key_hash, new_api_key
from bot.secret_files import read_secret
from bot.whole_file import write_whole

SERVICE = "crm"
APPROVERS = ("anna", "ben", "cleo")
REQUESTERS = ("okta:00u1", "okta:00u2")
# The first needs one approval, the others two.
ACTIONS = ("customer.view", "users.export", "pii.send_to_processor")

_FILES = Path(__file__).with_name("config")
_PORT = "sample_port"
_CONFIG = "config"
_API_KEY = Path("keys", "api_key")


@dataclass(frozen=True, slots=True)
class Company:
    """What the sample service, or a script in its place, needs to take part."""

    config_dir: Path
    api_key: str
    callback_secret: str


def found_company(data_dir: Path, receiver: str | None) -> Company:
    """The configuration below `data_dir`, and the service's secrets, made once.

    `receiver` is the URL that callbacks go to unless a request names another; None names none.
    """
    keys, config_dir = data_dir / "keys", data_dir / _CONFIG
    secret_file = keys / "callback_secret"
    company = Company(
        config_dir,
        api_key=_kept(data_dir / _API_KEY, lambda: new_api_key(f"{SERVICE}-1")),
        callback_secret=_kept(secret_file, _new_callback_secret),
    )
    names = {
        "key_hash": key_hash(company.api_key),
        "secret_file": json.dumps(str(secret_file.resolve()), ensure_ascii=False),
        "default": f"default: {receiver}" if receiver else "# Each request names its receiver.",
    }
    config_dir.mkdir(parents=True, exist_ok=True)
    for file in sorted(_FILES.glob("*.yaml")):
        text = Template(file.read_text(encoding="utf-8")).substitute(names)
        write_whole(config_dir / file.name, text.encode())
    return company


def demos_key(config_dir: Path) -> Path | None:
    """The file of the demo's one API key, where `config_dir` is a demo's; else None."""
    key = config_dir.resolve().parent / _API_KEY
    return key if config_dir.resolve().name == _CONFIG and key.exists() else None


def last_port(data_dir: Path) -> int:
    """The port the sample service listened on last: callbacks still on their way go there."""
    try:
        return int((data_dir / _PORT).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def keep_port(data_dir: Path, port: int) -> None:
    """Remembers the port for the next start."""
    write_whole(data_dir / _PORT, str(port).encode())


def _new_callback_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(os.urandom(32)).decode()


def _kept(path: Path, make: Callable[[], str]) -> str:
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, make().encode() + b"\n")
    return read_secret(path)
