"""What a service, and each of its requesters, may ask in a minute, shared by all processes.

Knows no limit of its own. Nothing here outlives a minute without use.
"""

from __future__ import annotations

from datetime import timedelta

from approvals.model import ServiceId
from approvals.signing import Marks
from approvals.store.keys import Keys
from approvals.store.scripts import Scripts, Taken

WINDOW = timedelta(minutes=1)


class Budgets:
    """Token buckets by the store's time."""

    def __init__(self, scripts: Scripts, keys: Keys, marks: Marks) -> None:
        self._scripts = scripts
        self._keys = keys
        self._marks = marks

    async def take(
        self,
        service: ServiceId,
        requester: str,
        *,
        per_minute: int,
        per_requester: int,
        idempotency: str | None = None,
    ) -> Taken:
        """Takes one from both budgets or from neither; a used key takes from the service's alone.

        `idempotency` is the key's mark. Never asked again after an unknown outcome, for that might
        take twice. Raises `StoreFailure`.
        """
        mark = self._marks.requester(requester)
        limits = {
            self._keys.budget_of_service(service): per_minute,
            self._keys.budget_of_requester(service, mark): per_requester,
        }
        key = self._keys.idempotency(service, idempotency) if idempotency else None
        return await self._scripts.take_budgets(limits, key)
