"""How the review of a request stands: which stage is open, who may fill it, and that in words.

Pure. Looks at the groups frozen into the request and added by its escalations; membership is that
of the `Person` handed in, so today's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from approvals.model import ApprovalRequest, Person, Stage
from approvals.seats import free_groups


@dataclass(frozen=True, slots=True)
class OpenStage:
    """The stage whose approvals are asked now. `index` counts from 0.

    `groups` may approve in it; `free` are those of them from which one more approval counts.
    """

    index: int
    given: int
    threshold: int
    groups: tuple[str, ...]
    free: tuple[str, ...]

    @property
    def lacks(self) -> int:
        """How many approvals it still needs."""
        return self.threshold - self.given


def open_stage(request: ApprovalRequest) -> OpenStage | None:
    """The first stage that is not complete; None when all are."""
    for index, stage in enumerate(stages_now(request)):
        given = sum(review.stage == index for review in request.approvals)
        if given < stage.threshold:
            free = stage.groups
            if request.policy.distinct_groups:
                free = free_groups([review.groups for review in request.approvals], free)
            return OpenStage(index, given, stage.threshold, stage.groups, free)
    return None


def stages_now(request: ApprovalRequest) -> tuple[Stage, ...]:
    """The stages with the groups that escalations have added to each."""
    added = [group for step in request.escalations for group in step.groups]
    return tuple(
        Stage(threshold=stage.threshold, groups=tuple(dict.fromkeys((*stage.groups, *added))))
        for stage in request.policy.all_stages
    )


def may_decide(request: ApprovalRequest, person: Person) -> bool:
    """Whether `person` is entitled today: approver, in a group of a stage, not the requester's."""
    is_entitled = "approver" in person.roles and not person.groups.isdisjoint(request.groups)
    return is_entitled and person.id != request.asked.requester.responsible


def may_vote(request: ApprovalRequest, person: Person) -> bool:
    """Whether `person` may end the request by a denial, or approve it, as it stands."""
    has_voted = any(given.person == person.id for given in request.reviews)
    return not request.is_final and not has_voted and may_decide(request, person)


def may_approve(request: ApprovalRequest, person: Person) -> bool:
    """Whether an approval of `person` would count now, once they have looked."""
    return may_vote(request, person) and why_no_approval(request, person) is None


def has_viewed(request: ApprovalRequest, person: Person) -> bool:
    """Whether `person` has opened the full details of the current revision."""
    return any(
        seen.person == person.id and seen.revision == request.revision for seen in request.views
    )


def why_no_approval(request: ApprovalRequest, person: Person) -> str | None:
    """Why an approval of somebody entitled would not count now, in a sentence; None if it would."""
    stage = open_stage(request)
    if stage is None or not person.groups.isdisjoint(stage.free):
        return None
    where = _stage_of(request, stage)
    if person.groups.isdisjoint(stage.groups):
        needed = f"{_approvals(stage.lacks)} from {any_of(stage.free)}"
        return f"{where} is open: it still needs {needed}."
    used = [group for group in stage.groups if group in person.groups]
    is_left = f"an approval from {any_of(stage.free)} is needed"
    needed = is_left if stage.free else "no other group of this stage is left"
    have = "has" if len(used) == 1 else "have"
    told = f"{all_of(used)} {have} approved already; {needed}."
    return f"{where}: {told}" if where else told


def asked_next(request: ApprovalRequest) -> str:
    """Who is asked now, and who after them: `Stage 1 of 2: 1 of 2 approvals from privacy; ...`.

    Without a full stop.
    """
    stage = open_stage(request)
    if stage is None:
        return "No approver is needed"
    if len(request.policy.stages) <= 1:
        return _lacking(stage, is_distinct=request.policy.distinct_groups)
    later = stages_now(request)[stage.index + 1 :]
    given = f"{stage.given} of {_approvals(stage.threshold)} from {any_of(stage.free)}"
    then = "".join(f"; then {part.threshold} from {any_of(part.groups)}" for part in later)
    each = ", each from another group" if request.policy.distinct_groups else ""
    return f"{_stage_of(request, stage)}: {given}{then}{each}"


def any_of(groups: Collection[str]) -> str:
    """`privacy, legal or duty`."""
    return _joined(tuple(groups), " or ") or "nobody"


def all_of(groups: Collection[str]) -> str:
    """`privacy, legal and duty`."""
    return _joined(tuple(groups), " and ")


def _joined(words: Sequence[str], last: str) -> str:
    return last.join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def _stage_of(request: ApprovalRequest, stage: OpenStage) -> str:
    count = len(request.policy.stages)
    return f"Stage {stage.index + 1} of {count}" if count > 1 else ""


def _approvals(number: int) -> str:
    return f"{number} approval" + ("" if number == 1 else "s")


def _lacking(stage: OpenStage, *, is_distinct: bool) -> str:
    more, lacks = stage.given > 0, stage.lacks
    if lacks == 1:
        told = "One more approver is needed" if more else "One approver is needed"
        return f"{told}, from {any_of(stage.free)}" if is_distinct else told
    told = f"{lacks} {'more' if more else 'different'} approvers are needed"
    return f"{told}, each from another group of {all_of(stage.free)}" if is_distinct else told
