"""How much a service may ask: in a minute, and pending at once. Decides nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from approvals.ask import Ask
from approvals.errors import RateLimited, TooManyPending
from approvals.model import ApprovalRequest, Caller, RequestId
from approvals.policy.services import Rate, Services
from approvals.quota import Limit, Quota, whole_seconds
from approvals.store.budgets import WINDOW, Budgets
from approvals.store.crowd import Terms
from approvals.store.records import used_key
from approvals.store.scripts import Level

_NAMES = ("service", "requester")  # of the two budgets, as answers tell them
_LIMITS: tuple[Limit, ...] = ("per_minute", "per_requester")
# People decide in their own time: sooner than that it is hardly worth to ask again.
_WAIT_FOR_PEOPLE_S = 30
_WHAT = ("requests of this service", "new requests of this service for one requester")


@dataclass(frozen=True, slots=True)
class Allowed:
    """A service may go on, and what is known by then: the time, and how its budgets stand.

    `used` is the request that its idempotency key opened before, with the mark of the body.
    """

    now: datetime
    used: tuple[RequestId, str] | None
    quotas: tuple[Quota, ...]


class Allowance:
    """The budgets of all services. Shared by every process of the deployment."""

    def __init__(self, budgets: Budgets) -> None:
        self._budgets = budgets

    async def take(
        self, services: Services, caller: Caller, ask: Ask, idempotency: str | None
    ) -> Allowed:
        """Takes what one call costs: a repeat costs the service alone. Raises `RateLimited`."""
        rate = _rate(services, caller)
        taken = await self._budgets.take(
            caller.service,
            ask.requester.id,
            per_minute=rate.per_minute,
            per_requester=rate.per_requester,
            idempotency=idempotency,
        )
        most = (rate.per_minute, rate.per_requester)
        quotas = tuple(map(_quota, _NAMES, most, taken.levels))
        if not taken.is_enough:
            raise _rate_limited(quotas, taken.levels)
        return Allowed(taken.now, used_key(taken.used) if taken.used else None, quotas)


def terms_of(services: Services, caller: Caller, ask: Ask, request: ApprovalRequest) -> Terms:
    """On which terms `request` joins its requester's pending ones."""
    most = None if request.is_final else _rate(services, caller).pending_per_requester
    return Terms(most, reuses=ask.reuse_pending)


def too_many_pending(pending: int, terms: Terms, quotas: tuple[Quota, ...]) -> TooManyPending:
    """The refusal of one more pending request."""
    return TooManyPending(
        f"{pending} requests of this service for this requester wait for a decision, and at most "
        f"{terms.most} may. Wait for one of them, or cancel one.",
        limit="pending_per_requester",
        retry_after=_WAIT_FOR_PEOPLE_S,
        quotas=quotas,
        facts={"pending": pending, "most": terms.most},
    )


def _rate(services: Services, caller: Caller) -> Rate:
    service = services.service(caller.service)
    return service.rate if service else Rate()  # a service that has gone is refused later


def _quota(name: str, most: int, level: Level) -> Quota:
    return Quota(name, most, WINDOW, level.left, level.full_in)


def _rate_limited(quotas: tuple[Quota, ...], levels: tuple[Level, ...]) -> RateLimited:
    longest = max(range(len(levels)), key=lambda each: levels[each].wait)
    seconds = whole_seconds(levels[longest].wait)
    most = quotas[longest].most
    return RateLimited(
        f"At most {most} {_WHAT[longest]} are taken in a minute. Try again in {seconds} s.",
        limit=_LIMITS[longest],
        retry_after=seconds,
        quotas=quotas,
        facts={"limit": _LIMITS[longest], "most": most},
    )
