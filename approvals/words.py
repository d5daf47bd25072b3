"""What people and services say about a request: tidied, screened, and kept under its subject's key.

Knows no rule of who may speak.
"""

from __future__ import annotations

from collections.abc import Callable

from approvals.ask import reason_text
from approvals.commits import Commits
from approvals.model import Encrypted, RequestId, TextFinding
from approvals.policy.loader import Configuration
from approvals.privacy.scanner import Scanner
from approvals.privacy.screening import Screening
from approvals.privacy.vault import Vault


class Words:
    """Takes words in. `configuration` says today's `pii_in_text`."""

    def __init__(
        self,
        vault: Vault,
        commits: Commits,
        scanner: Scanner,
        configuration: Callable[[], Configuration],
    ) -> None:
        self._vault = vault
        self._commits = commits
        self._scanner = scanner
        self._configuration = configuration

    async def reason(self, request: RequestId, place: str, reason: str | None) -> Encrypted | None:
        """A person's reason or comment. Raises `InvalidRequest`, `FoundInText`, `NotFound`."""
        return await self.kept(request, place, reason_text(reason), "/reason")

    def taken_out(self, reason: str | None) -> tuple[TextFinding, ...]:
        """What the scan takes out of a reason that was accepted, for whoever wrote it."""
        _, findings = _masked(reason, self._scanner)
        return findings

    async def kept(
        self, request: RequestId, place: str, text: str | None, pointer: str
    ) -> Encrypted | None:
        """A tidy text for `place` of a request; None for none. Raises as `reason` does."""
        if not text:
            return None
        screening = Screening(self._configuration().policy.defaults.pii_in_text, self._scanner)
        clean = screening.text(pointer, text)
        screening.check()
        stored = await self._commits.load(request)
        return await self._vault.encrypted(stored.request, place, clean)

    def of_admin(self, reason: str) -> Encrypted:
        """An admin's reason for what concerns no request. Raises as `reason` does."""
        return self._vault.own(own_reason(reason, self._scanner))


def own_reason(reason: str, scanner: Scanner) -> str:
    """A reason, tidied, and personal data masked. Raises `InvalidRequest`, `SecretFound`.

    Masked whatever policy says: an admin at work is not to be held up by a ticket number.
    """
    clean, _ = _masked(reason, scanner)
    return clean


def _masked(reason: str | None, scanner: Scanner) -> tuple[str, tuple[TextFinding, ...]]:
    screening = Screening("mask", scanner)
    clean = screening.text("/reason", reason_text(reason) or "")
    return clean, screening.check()
