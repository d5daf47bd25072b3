"""What may be pressed on a card: for everybody in a channel, and for one person."""

from __future__ import annotations

from approvals.grants import may_revoke
from approvals.model import ApprovalRequest, Person
from approvals.standing import may_approve, may_decide, may_vote
from bot.chat.card import Action, Button, Confirm, Style, many


def channel_buttons(request: ApprovalRequest) -> tuple[Button, ...]:
    """Those on a card that many people see: none once the request is final."""
    if request.is_final:
        return ()
    is_quick = request.policy.quick_approve
    review = button("review", "Review", request, "plain" if is_quick else "primary")
    deny = button("deny", "Deny", request, "danger")
    if not is_quick:
        return (review, deny)
    return (button("approve", "Approve", request, "primary", _sure_to_approve(request)),
            review, deny)  # fmt: skip


def buttons_for(request: ApprovalRequest, person: Person) -> tuple[Button, ...]:
    """Those of what this person may do."""
    buttons = list(channel_buttons(request)) if may_vote(request, person) else []
    if not may_approve(request, person):
        buttons = [each for each in buttons if each.action != "approve"]
    may_look = may_decide(request, person) or "auditor" in person.roles
    if may_look and not buttons:
        buttons.append(button("review", "Details", request))
    may_cancel = person.id == request.asked.requester.person or "admin" in person.roles
    if may_cancel and not request.is_final:
        sure = _sure_to_cancel(request)
        buttons.append(button("cancel", "Cancel request", request, confirm=sure))
    if may_revoke(request, person):
        buttons.append(revoke_button(request, _sure_to_revoke(request)))
    return tuple(buttons)


def revoke_button(request: ApprovalRequest, confirm: Confirm | None = None) -> Button:
    """Takes the access back."""
    return button("revoke", "Revoke access", request, "danger", confirm)


def button(
    action: Action,
    label: str,
    request: ApprovalRequest,
    style: Style = "plain",
    confirm: Confirm | None = None,
) -> Button:
    """A button of `request` as it stands."""
    said = f"{label}: {request.asked.title}, request {request.id}"
    return Button(
        action=action, label=label, said=said, style=style, confirm=confirm,
        request=request.id, revision=request.revision,
    )  # fmt: skip


def _sure_to_approve(request: ApprovalRequest) -> Confirm:
    records = request.asked.record_count
    size = f" for {many(records, 'record')}" if records is not None else ""
    seconds = int(request.grant_ttl.total_seconds())
    lasts = many(seconds, "second") if seconds % 60 else many(seconds // 60, "minute")
    text = f"{request.asked.title}{size}. The access lasts {lasts}."
    return Confirm(title="Approve without looking at the details?", text=text, yes="Approve")


def _sure_to_cancel(request: ApprovalRequest) -> Confirm:
    text = f"{request.asked.title}. Nobody can approve it then; {request.service} has to ask anew."
    return Confirm(title="Cancel this request?", text=text, yes="Cancel request")


def _sure_to_revoke(request: ApprovalRequest) -> Confirm:
    title, service = request.asked.title, request.service
    text = f"{title}. {service} can do nothing more under it. What it has done already stays done."
    return Confirm(title="Revoke this access?", text=text, yes="Revoke access")
