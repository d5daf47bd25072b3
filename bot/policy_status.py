"""Which policy this process runs with, and why not a newer one: said to admins and operators.

Names places in the files and never what stands there: some of it is shown without a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from approvals.policy.issues import Issue


@dataclass(frozen=True, slots=True)
class PolicyStatus:
    """`version` is in force here since `since`. `fault` says why changed files were not taken."""

    version: str
    since: datetime
    fault: str | None = None

    @property
    def sentence(self) -> str:
        """The whole for a person: one line, in plain words."""
        return f"Policy {self.version} is in force since {_minute(self.since)}." + (
            f" {self.fault}" if self.fault else ""
        )


def faults_told(issues: Sequence[object]) -> str:
    """One sentence on files that cannot be used: how many faults, and where the first stands."""
    first = next((issue for issue in issues if isinstance(issue, Issue)), None)
    place = f" at {first.file}:{first.line}:{first.column}" if first else ""
    count = "1 fault" if len(issues) == 1 else f"{len(issues)} faults, the first"
    return (
        f"The changed configuration is not used: it has {count}{place}. "
        "Run `placet check` to see all."
    )


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
