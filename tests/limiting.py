"""The small company under limits of a test's own."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from approvals.policy.loader import Configuration, load_configuration
from tests.configurations import write_configuration


def limited(rate: str) -> Configuration:
    """The configuration of `tests/configurations.py` in which each service has this `rate`."""
    with tempfile.TemporaryDirectory(prefix="placet-test-") as folder:
        write_configuration(Path(folder), rate=rate)
        return load_configuration(Path(folder))


def refusing(configuration: Configuration) -> Configuration:
    """`configuration` where personal data in a text is refused."""
    policy = configuration.policy
    defaults = policy.defaults.model_copy(update={"pii_in_text": "refuse"})
    return replace(configuration, policy=policy.model_copy(update={"defaults": defaults}))
