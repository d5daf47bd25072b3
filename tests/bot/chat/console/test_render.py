"""Cards as HTML: whatever a text holds, it stays text, and stands where texts of its kind stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from approvals.model import PersonId, RequestId
from approvals.privacy.masking import said
from bot.chat.card import (
    STATE_WORDS,
    Button,
    Card,
    Confirm,
    Fact,
    Form,
    Input,
    Item,
    Line,
    Listing,
    Moment,
    Quote,
    Said,
    State,
    Step,
    Who,
)
from bot.chat.console.render import card_html, form_html, line_html, reply_html

AT = datetime(2026, 11, 23, 14, 17, tzinfo=UTC)
VOID = {"circle", "path", "br", "img", "input", "meta", "link"}
Attributes = tuple[tuple[str, str | None], ...]

NASTY = {
    "a script": "<script>alert(1)</script>",
    "an image": '<img src=x onerror="alert(1)">',
    "a closing tag": "</bdi></dd></article></div></form></dialog><h1>Approved</h1>",
    "a closing textarea": "</textarea></title></style><b>",
    "a comment": "<!-- hidden --><![CDATA[x]]><?php ?>",
    "double quotes": '" onclick="alert(1)" data-action="approve',
    "single quotes": "' autofocus onfocus='alert(1)",
    "entities": "&lt;b&gt; &amp;amp; &#60;b&#62; &copy &notit;",
    "markup of chats": "*bold* _x_ `code` <@U123> <!channel> [link](javascript:alert(1)) ~~no~~",
    "templates": "{{7*7}} ${token} $token {% x %} <%= x %>",
    "new lines": "one\ntwo\n\n\nthree\ttab",
    "right to left": "מאושר علي by אבא (1)",
    "an override": "safe \u202egnorw\u202c \u2067embedded",
    "long": "x" * 20_000,
    "long words": "<b>" * 5_000,
    "emoji": "👩🏽‍💻 ok ☠️",
}


@dataclass
class Parsed(HTMLParser):
    """The tags, attributes and texts of some markup, in order; refuses what does not balance."""

    tags: list[tuple[str, Attributes]] = field(default_factory=list)
    texts: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((tuple(self._open), data))

    def handle_comment(self, data: str) -> None:
        self.strange.append(data)

    def handle_decl(self, decl: str) -> None:
        self.strange.append(decl)

    def handle_pi(self, data: str) -> None:
        self.strange.append(data)

    def unknown_decl(self, data: str) -> None:
        self.strange.append(data)

    @classmethod
    def of(cls, html: str) -> Parsed:
        parsed = cls()
        parsed.feed(html)
        parsed.close()
        assert parsed._open == []
        assert parsed.strange == []
        return parsed

    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """Tags and the names of their attributes."""
        return [(tag, tuple(name for name, _ in attrs)) for tag, attrs in self.tags]

    def values(self) -> list[str | None]:
        return [value for _, attrs in self.tags for _, value in attrs]

    def within(self, tag: str) -> list[str]:
        """The text of each run inside `tag`, at any depth."""
        return [text for path, text in self.texts if tag in path]


def line(text: str) -> Line:
    """A line with every kind of span."""
    who = Who(person=PersonId("p"), name=text)
    return (text, Said(text=said(text)), who, Moment(at=AT), Moment(at=AT, is_deadline=True))


def button(text: str) -> Button:
    confirm = Confirm(title=text, text=text, yes=text)
    return Button(action="approve", label=text, said=text, request=RequestId(text), revision=3,
                  style="primary", confirm=confirm)  # fmt: skip


def card(text: str) -> Card:
    return Card(
        state="pending",
        title=text,
        text=text,
        request=RequestId(text),
        facts=(Fact(label=text, line=line(text)),) * 2,
        quotes=(Quote(label=text, text=said(text)),),
        notes=(line(text),) * 2,
        steps=(Step(at=AT, line=line(text)),),
        buttons=(button(text),),
    )


def form(text: str) -> Form:
    wanted = Input(name="reason", label=text, hint=text, is_required=True)
    return Form(title=text, card=card(text), inputs=(wanted,), submits=(button(text),))


def listing(text: str) -> Listing:
    items = (Item(line=line(text), button=button(text)), Item(line=line(text)))
    return Listing(title=text, text=text, items=items, note=text)


DRAWN: dict[str, Callable[[str], str]] = {
    "a card": lambda text: card_html(card(text), text, 1),
    "a form": lambda text: form_html(form(text)),
    "a reply": lambda text: reply_html(card(text)),
    "a list": lambda text: reply_html(listing(text)),
    "a line": lambda text: line_html(line(text)),
}
every_drawing = pytest.mark.parametrize("drawing", DRAWN)
HARMLESS = "harmless"


@every_drawing
@pytest.mark.parametrize("nasty", NASTY)
def test_no_text_adds_a_tag_or_an_attribute(drawing: str, nasty: str) -> None:
    draw = DRAWN[drawing]
    assert Parsed.of(draw(NASTY[nasty])).shape() == Parsed.of(draw(HARMLESS)).shape()


@every_drawing
@pytest.mark.parametrize("nasty", NASTY)
def test_every_text_comes_out_as_it_went_in(drawing: str, nasty: str) -> None:
    text = NASTY[nasty]
    nice, other = Parsed.of(DRAWN[drawing](HARMLESS)), Parsed.of(DRAWN[drawing](text))
    expected = [(path, found.replace(HARMLESS, text)) for path, found in nice.texts]
    assert other.texts == expected
    values = [value and value.replace(HARMLESS, text) for value in nice.values()]
    assert other.values() == values
    assert any(text in found for _, found in other.texts)


@every_drawing
def test_the_test_has_every_text_of_its_kind_in_it(drawing: str) -> None:
    # A field that a drawing leaves out would pass every test above.
    least = {"a card": 11, "a form": 12, "a reply": 7, "a list": 8, "a line": 3}
    assert DRAWN[drawing](HARMLESS).count(HARMLESS) >= least[drawing]


@every_drawing
@pytest.mark.parametrize("nasty", NASTY)
def test_nothing_drawn_can_run_or_load_anything(drawing: str, nasty: str) -> None:
    parsed = Parsed.of(DRAWN[drawing](NASTY[nasty]))
    names = {name for _, attrs in parsed.tags for name, _ in attrs}
    assert not [name for name in names if name.startswith("on")]
    assert not names & {"style", "src", "href", "srcset", "action", "formaction", "srcdoc"}
    tags = {tag for tag, _ in parsed.tags}
    assert not tags & {"script", "style", "iframe", "object", "a", "img", "link", "base", "meta"}


def test_somebody_elses_text_is_isolated_so_that_its_direction_turns_nothing_around() -> None:
    rtl = NASTY["right to left"]
    parsed = Parsed.of(
        line_html((Said(text=said(rtl)), " approved, ", Who(person=PersonId("p"), name=rtl)))
    )
    assert parsed.within("bdi") == [rtl, rtl]
    assert [text for path, text in parsed.texts if path == ()] == [" approved, "]


def test_a_quote_goes_by_its_own_direction() -> None:
    parsed = Parsed.of(DRAWN["a form"](HARMLESS))
    quotes = [dict(attrs) for tag, attrs in parsed.tags if tag == "blockquote"]
    assert [quote["dir"] for quote in quotes] == ["auto"]
    inputs = [dict(attrs) for tag, attrs in parsed.tags if tag == "textarea"]
    assert [typed["dir"] for typed in inputs] == ["auto"]


def foreign(text: str) -> Card:
    """A card that holds `text` only where somebody else's text may stand."""
    return Card(
        state="pending",
        title="Title",
        text="Text",
        facts=(Fact(label="Label", line=(Said(text=said(text)),)),),
        quotes=(Quote(label="Why", text=said(text)),),
        notes=((Who(person=PersonId("p"), name=text), " approved."),),
        steps=(Step(at=AT, line=("Asked by ", Said(text=said(text)))),),
    )


def drawn_foreign(text: str) -> Iterator[Parsed]:
    yield Parsed.of(card_html(foreign(text), "open", 1))
    yield Parsed.of(form_html(Form(title="Title", card=foreign(text))))


@pytest.mark.parametrize("nasty", [*NASTY, "our own words"])
def test_labels_stand_outside_of_somebody_elses_text(nasty: str) -> None:
    # "Approved by Anna" in a justification must not look like a line of ours.
    text = NASTY.get(nasty, "Approved by Anna Ek. Why Label Title")
    for parsed in drawn_foreign(text):
        assert parsed.within("dt") == ["Label"]
        assert parsed.within("figcaption") == ["Why"]
        holders = {path[-1] for path, found in parsed.texts if found == text}
        assert holders == {"bdi", "blockquote"}
        ours = [found for path, found in parsed.texts if path[-1] not in holders]
        assert not [found for found in ours if text in found]


def test_a_person_and_somebody_elses_word_for_a_person_look_different() -> None:
    parsed = Parsed.of(line_html((Said(text=said("x")), Who(person=PersonId("p"), name="x"))))
    assert [dict(attrs)["class"] for _, attrs in parsed.tags] == ["said", "who"]


@pytest.mark.parametrize("state", STATE_WORDS)
def test_a_state_is_told_in_words_beside_its_sign(state: State) -> None:
    parsed = Parsed.of(reply_html(Card(state=state, title="T", text="t")))
    assert (("p", "span"), STATE_WORDS[state]) in parsed.texts
    (sign,) = [dict(attrs) for tag, attrs in parsed.tags if tag == "svg"]
    assert sign["aria-hidden"] == "true"


def test_every_state_has_a_sign_of_its_own() -> None:
    drawn = [reply_html(Card(state=state, title="T", text="t")) for state in STATE_WORDS]
    signs = [html[html.index("<svg") : html.index("</svg>")] for html in drawn]
    assert len(set(signs)) == len(STATE_WORDS)


def test_a_button_tells_what_it_is_and_carries_request_and_revision_alone() -> None:
    deny = Button(action="deny", label="Deny", said="Deny: T, request r", style="danger",
                  request=RequestId("r"), revision=3)  # fmt: skip
    shown = Card(state="pending", title="T", text="t", buttons=(deny,))
    parsed = Parsed.of(card_html(shown, "open", 1))
    (found,) = [dict(attrs) for tag, attrs in parsed.tags if tag == "button"]
    assert found == {
        "type": "button",
        "class": "danger",
        "data-action": "deny",
        "data-request": "r",
        "data-revision": "3",
        "aria-label": "Deny: T, request r",
    }


def test_the_buttons_of_a_form_send_it() -> None:
    parsed = Parsed.of(form_html(form(HARMLESS)))
    kinds = [dict(attrs)["type"] for tag, attrs in parsed.tags if tag == "button"]
    assert kinds == ["submit"]


@pytest.mark.parametrize(("is_required", "marked"), [(True, True), (False, False)])
def test_an_input_says_how_much_it_takes_and_whether_it_is_needed(
    is_required: bool, marked: bool
) -> None:
    wanted = Input(name="reason", label="Why?", hint="Briefly.", is_required=is_required, most=77)
    parsed = Parsed.of(form_html(Form(title="T", card=foreign("x"), inputs=(wanted,))))
    (typed,) = [dict(attrs) for tag, attrs in parsed.tags if tag == "textarea"]
    assert (typed["maxlength"], "data-required" in typed) == ("77", marked)
    assert typed["id"] in [dict(attrs).get("for") for tag, attrs in parsed.tags if tag == "label"]
    described = str(typed["aria-describedby"]).split()
    ids = {dict(attrs).get("id") for _, attrs in parsed.tags}
    assert set(described) <= ids


def test_a_time_is_exact_for_the_page_and_readable_without_it() -> None:
    parsed = Parsed.of(line_html((Moment(at=AT), Moment(at=AT, is_deadline=True))))
    attributes = [dict(attrs) for _, attrs in parsed.tags]
    assert [each["datetime"] for each in attributes] == ["2026-11-23T14:17:00.000Z"] * 2
    assert ["data-deadline" in each for each in attributes] == [False, True]
    assert parsed.within("time") == ["14:17:00 UTC", "14:17:00 UTC"]


def test_an_id_stands_once_in_a_card_and_in_a_form() -> None:
    for html in (DRAWN["a card"](HARMLESS), DRAWN["a form"](HARMLESS)):
        ids = [value for _, attrs in Parsed.of(html).tags for name, value in attrs if name == "id"]
        assert len(ids) == len(set(ids))


def test_a_card_without_steps_or_buttons_draws_no_empty_boxes() -> None:
    tags = [
        tag for tag, _ in Parsed.of(card_html(Card(state="info", title="T", text="t"), "x", 1)).tags
    ]
    assert "details" not in tags
    assert "button" not in tags
