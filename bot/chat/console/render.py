"""Cards as HTML. Every text is escaped here and nowhere else; nothing of it is ever markup."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from approvals.answer import moment
from bot.chat.card import (
    STATE_WORDS,
    Button,
    Card,
    Fact,
    Form,
    Input,
    Line,
    Listing,
    Moment,
    Quote,
    Said,
    Span,
    State,
    Step,
    Who,
)

# Drawn in the colour of the words beside them: a state is told by words and sign, not by colour.
_SIGNS: dict[State, str] = {
    "pending": '<circle cx="8" cy="8" r="6.5"/><path d="M8 4.5V8l2.5 1.5"/>',
    "approved": '<circle cx="8" cy="8" r="6.5"/><path d="M5 8.2l2.2 2.2L11 6.2"/>',
    "denied": '<circle cx="8" cy="8" r="6.5"/><path d="M5.5 5.5l5 5M10.5 5.5l-5 5"/>',
    "expired": '<path d="M4.5 2h7M4.5 14h7M5 2.5c0 4 6 3.5 6 5.5S5 9.5 5 13.5"/>'
    '<path d="M11 2.5c0 4-6 3.5-6 5.5s6 1.5 6 5.5"/>',
    "cancelled": '<circle cx="8" cy="8" r="6.5"/><path d="M3.5 12.5l9-9"/>',
    "info": '<circle cx="8" cy="8" r="6.5"/><path d="M8 7.2v4M8 4.8v.1"/>',
    "refused": '<path d="M8 2l6.5 11.5h-13z"/><path d="M8 6.5v3M8 11.4v.1"/>',
}


def card_html(card: Card, section: str, order: int) -> str:
    """A request's card as the page lists it."""
    where = escape(card.request or "")
    return (
        f'<article class="card" id="{where}" data-section="{escape(section)}" '
        f'data-order="{order}" data-state="{card.state}" tabindex="-1" '
        f'aria-labelledby="h-{where}"><h3 id="h-{where}">{_heading(card)}</h3>'
        f"{_body(card)}{_buttons(card.buttons)}{_timeline(card.steps)}</article>"
    )


def reply_html(reply: Card | Listing) -> str:
    """What one person is told."""
    if isinstance(reply, Listing):
        items = "".join(f"<li>{line_html(item.line)}</li>" for item in reply.items)
        return f"<p>{escape(reply.title)}</p><ul>{items}</ul><p>{escape(reply.note)}</p>"
    notes = "".join(f"<p>{line_html(note)}</p>" for note in reply.notes)
    return f'<p class="reply-head">{_heading(reply)}</p>{notes}'


def form_html(form: Form) -> str:
    """The inside of the panel: a card in full, then what may be typed and sent."""
    card = form.card
    inputs = "".join(map(_input, form.inputs))
    return (
        f'<h2 id="panel-title" tabindex="-1">{escape(form.title)}</h2>'
        f'<div class="card full" data-state="{card.state}"><h3>{_heading(card)}</h3>'
        f"{_body(card)}{_timeline(card.steps, is_open=True)}</div>{inputs}"
        '<p class="error" id="panel-error" role="alert" hidden></p>'
        f"{_buttons(form.submits, is_submit=True)}"
    )


def line_html(line: Line) -> str:
    """A line, every span literal."""
    return "".join(map(_span, line))


def _span(span: Span) -> str:
    if isinstance(span, str):
        return escape(span)
    if isinstance(span, Who):
        return f'<bdi class="who">{escape(span.name)}</bdi>'
    if isinstance(span, Said):
        return f'<bdi class="said">{escape(span.text)}</bdi>'
    return _time(span)


def _time(span: Moment, *, is_exact: bool = False) -> str:
    kind = " data-deadline" if span.is_deadline else " data-exact" if is_exact else ""
    return f'<time datetime="{moment(span.at)}"{kind}>{span.at:%H:%M:%S} UTC</time>'


def _heading(card: Card) -> str:
    sign = (
        '<svg class="sign" viewBox="0 0 16 16" aria-hidden="true" focusable="false">'
        f"{_SIGNS[card.state]}</svg>"
    )
    state = f'<span class="state">{sign}{STATE_WORDS[card.state]}</span>'
    return f'{state} <span class="title">{escape(card.title)}</span>'


def _body(card: Card) -> str:
    facts = "".join(map(_fact, card.facts))
    notes = "".join(f"<li>{line_html(note)}</li>" for note in card.notes)
    return (
        f"{''.join(map(_quote, card.quotes))}"
        f'<dl class="facts">{facts}</dl><ul class="notes">{notes}</ul>'
    )


def _fact(fact: Fact) -> str:
    return f"<div><dt>{escape(fact.label)}</dt><dd>{line_html(fact.line)}</dd></div>"


def _quote(quote: Quote) -> str:
    return (
        f'<figure class="quote"><figcaption>{escape(quote.label)}</figcaption>'
        f'<blockquote dir="auto">{escape(quote.text)}</blockquote></figure>'
    )


def _timeline(steps: Iterable[Step], *, is_open: bool = False) -> str:
    rows = "".join(
        f"<li>{_time(Moment(at=step.at), is_exact=True)} <span>{line_html(step.line)}</span></li>"
        for step in steps
    )
    opened = " open" if is_open else ""
    return f"<details{opened}><summary>Timeline</summary><ol>{rows}</ol></details>" if rows else ""


def _buttons(buttons: Iterable[Button], *, is_submit: bool = False) -> str:
    drawn = "".join(_button(button, is_submit=is_submit) for button in buttons)
    return f'<div class="buttons">{drawn}</div>' if drawn else ""


def _button(button: Button, *, is_submit: bool) -> str:
    kind = "submit" if is_submit else "button"
    ask = ""
    if button.confirm:
        asked = button.confirm
        ask = (
            f' data-ask="{escape(asked.title)}" data-ask-text="{escape(asked.text)}" '
            f'data-ask-yes="{escape(asked.yes)}"'
        )
    return (
        f'<button type="{kind}" class="{button.style}" data-action="{button.action}" '
        f'data-request="{escape(button.request)}" data-revision="{button.revision}" '
        f'aria-label="{escape(button.said)}"{ask}>{escape(button.label)}</button>'
    )


def _input(wanted: Input) -> str:
    required = ' data-required=""' if wanted.is_required else ""
    return (
        f'<label for="reason">{escape(wanted.label)}</label>'
        f'<textarea id="reason" name="{wanted.name}" rows="2" maxlength="{wanted.most}" dir="auto" '
        f'aria-describedby="reason-hint panel-error"{required}></textarea>'
        f'<p class="hint" id="reason-hint">{escape(wanted.hint)}</p>'
    )
