"""What a reader cannot see is refused by its code point; what people write is not."""

from __future__ import annotations

import unicodedata

import pytest

from approvals.text import PiledMarks, UnseenCharacter, readable

READABLE = {
    "English": "Customer asked for a copy of their data, ticket ZD-48213",
    "German": "Kundin wünscht Löschung – „größtmögliche“ Sorgfalt, 5 €",
    "Arabic": "طلب العميل نسخة من بياناته",
    "Hebrew with points": "שָׁלוֹם",
    "Chinese": "客户要求提供其数据的副本。",
    "Japanese": "データのコピーを求められました",
    "Korean": "고객이 데이터 사본을 요청했습니다",
    "Hindi": "ग्राहक ने अपने डेटा की प्रति मांगी",
    "Thai": "ลูกค้าขอสำเนาข้อมูล",
    "Cyrillic and Greek": "Клиент запросил копию, αντίγραφο",
    "Vietnamese": "Khách hàng yêu cầu bản sao, đường Nguyễn Huệ, gửi bưu điện",
    "Vietnamese in pieces": unicodedata.normalize("NFD", "đường Nguyễn Huệ"),
    "Hebrew with accents": "בְּרֵאשִׁ֖ית בָּרָ֣א אֱלֹהִ֑ים",
    "Arabic with vowels": "طَلَبَ العَمِيلُ نُسْخَةً مِنْ بَيَانَاتِهِ",
    "Tibetan": "བཀྲ་ཤིས་བདེ་ལེགས",
    "Tamil and Bengali": "வாடிக்கையாளர் கேட்டார், গ্রাহক চেয়েছেন",
    "an ideograph beyond the first plane": "𠮷野家",
    "four marks": "x\u0301\u0302\u0303\u0304y",
    "an emoji newer than this table of characters": "\U0001fae8 \U0001fadf",
    "braille": "⠓⠑⠇⠇⠕",
    "a replacement character": "a\ufffdb",
    "emoji": "Done 🎉 ❤️ 👍🏽 ☎️ 1️⃣ 🇩🇪",
    "judge": "🧑‍⚖️",
    "judge with a skin tone": "🧑🏽‍⚖️",
    "family": "👨‍👩‍👧‍👦",
    "rainbow flag": "🏳️‍🌈",
    "pirate flag": "🏴‍☠️",
    "heart on fire": "❤️‍🔥",
    "head shaking": "🙂‍↔️",
    "black bird": "🐦‍⬛",
    "broken chain": "⛓️‍💥",
    "mathematics": "≤ 5 % → ∑ × ÷",
}

UNSEEN = {
    "null": "\u0000",
    "tab": "\t",
    "return": "\r",
    "escape": "\u001b",
    "delete": "\u007f",
    "next line": "\u0085",
    "C1 control": "\u009b",
    "soft hyphen": "\u00ad",
    "grapheme joiner": "\u034f",
    "Arabic letter mark": "\u061c",
    "Hangul filler": "\u115f",
    "Hangul vowel filler": "\u1160",
    "Khmer vowel": "\u17b4",
    "Mongolian separator": "\u180e",
    "zero width space": "\u200b",
    "zero width non-joiner": "\u200c",
    "left-to-right mark": "\u200e",
    "right-to-left mark": "\u200f",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "embedding": "\u202a",
    "override": "\u202e",
    "word joiner": "\u2060",
    "invisible times": "\u2062",
    "isolate": "\u2066",
    "pop isolate": "\u2069",
    "byte order mark": "\ufeff",
    "annotation anchor": "\ufff9",
    "lone surrogate": "\ud800",
    "shorthand control": "\U0001bca0",
    "musical control": "\U0001d173",
    "language tag": "\U000e0001",
    "tag letter": "\U000e0041",
    "variation selector 17": "\U000e0100",
    "blank braille": "\u2800",
    "object replacement": "\ufffc",
    "null notehead": "\U0001d159",
    "Khitan filler": "\U00016fe4",
    "hieroglyph joiner": "\U00013430",
    "blank hieroglyph": "\U00013441",
    "unassigned": "\u0378",
    "unassigned in the last planes": "\U000a0000",
    "private use": "\ue000",
    "private use in a plane of its own": "\U000f0000",
    "private use in the last plane": "\U0010fffd",
    "noncharacter": "\ufdd0",
    "noncharacter at a plane's end": "\uffff",
    "noncharacter among emoji": "\U0001ffff",
}


@pytest.mark.parametrize("name", READABLE)
def test_what_people_write_is_taken(name: str) -> None:
    text = READABLE[name]
    assert readable(text) == unicodedata.normalize("NFKC", text)


@pytest.mark.parametrize("name", UNSEEN)
def test_what_a_reader_cannot_see_is_refused_by_its_code_point(name: str) -> None:
    character = UNSEEN[name]
    with pytest.raises(UnseenCharacter, match=f"U\\+{ord(character):04X}") as refused:
        readable(f"secret{character}word", newlines=True)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("filler", ["\u3164", "\uffa0"])
def test_a_filler_in_compatible_form_is_refused_as_what_it_becomes(filler: str) -> None:
    with pytest.raises(UnseenCharacter, match=r"U\+1160"):
        readable(f"a{filler}b")


@pytest.mark.parametrize(
    "text",
    [
        "a\u200db",
        "\u200d🎉",
        "🎉\u200d",
        "🎉\u200da",
        "a\u200d🎉",
        "👨\u200d\u200d👩",
        "🏽\u200d🎉",
        "نا\u200dم",
        "𠀀\u200d𠀁",
        "°\u200d°",
        "1\u200d2",
    ],
)
def test_a_joiner_stands_between_emoji_only(text: str) -> None:
    with pytest.raises(UnseenCharacter, match=r"U\+200D"):
        readable(f"x {text} x")


def test_a_newline_is_for_texts_of_many_lines() -> None:
    assert readable("one\r\ntwo\nthree", newlines=True) == "one\ntwo\nthree"
    with pytest.raises(UnseenCharacter, match=r"U\+000A"):
        readable("one\ntwo")


@pytest.mark.parametrize(
    ("text", "tidy"),
    [
        ("  padded \n", "padded"),
        ("\uff46\uff55\uff4c\uff4c\u3000width", "full width"),
        ("ﬁne", "fine"),
        ("e\u0301", "é"),
        ("a\u00a0b", "a b"),
        ("", ""),
        (" \n ", ""),
    ],
)
def test_a_text_is_normalised_and_trimmed(text: str, tidy: str) -> None:
    assert readable(text) == tidy


@pytest.mark.parametrize("text", ["a\ufe0f", "\ufe0f1", "x\ufe00", "1\ufe0f\ufe0f", "a\U000e0101"])
def test_a_variation_selector_stands_behind_what_it_varies_only(text: str) -> None:
    with pytest.raises(UnseenCharacter):
        readable(text)


@pytest.mark.parametrize("text", ["❤\ufe0f", "1\ufe0f⃣", "©\ufe0f 2026"])
def test_an_emoji_keeps_its_variation_selector(text: str) -> None:
    assert readable(text) == text


@pytest.mark.parametrize("mark", ["\u0301", "\u0489", "\u20dd", "\u05b0"])
def test_marks_piled_on_a_letter_are_refused(mark: str) -> None:
    with pytest.raises(PiledMarks, match="more than 4 combining marks"):
        readable("x" + mark * 6 + "y")
