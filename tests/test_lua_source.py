"""The Lua reader finds what it is there to find."""

from __future__ import annotations

from tests import lua_source

CLEAN = """-- KEYS[1] record, ARGV[1] now: not_a_name
-- the second line
local record, now = KEYS[1], tonumber(ARGV[1])
local function greater(a, b) return a > b end
for index, value in ipairs({ name = record, other = { deep = "text -- not a comment" } }) do
  redis.call('SET', value.key .. index, greater(now, 1) and "a" or 'b')
end
--[[ long_comment ]]
return { record:len() }
"""


def test_a_clean_script_passes() -> None:
    assert lua_source.undeclared(CLEAN) == set()
    assert lua_source.forbidden(CLEAN) == set()


def test_the_first_comment_ends_where_the_code_begins() -> None:
    assert lua_source.first_comment(CLEAN).splitlines()[-1] == "-- the second line"
    assert lua_source.first_comment("local a = 1\n-- KEYS ARGV\n") == ""


def test_a_forgotten_local_is_found() -> None:
    assert lua_source.undeclared("count = 1\nreturn count") == {"count"}


def test_a_mistyped_name_is_found() -> None:
    assert lua_source.undeclared("local seen = 1\nif sean > 2 then return seen end") == {"sean"}


def test_a_library_some_engine_lacks_is_found() -> None:
    assert lua_source.forbidden("return bit.bor(1, 2)") == {"bit"}
    assert lua_source.forbidden("return cjson.encode({})") == {"cjson.encode"}


def test_a_field_of_the_same_name_as_a_library_is_not_meant() -> None:
    assert lua_source.forbidden("local flags = {}\nreturn flags.bit") == set()


def test_a_prelude_declares_for_the_script_behind_it() -> None:
    prelude = "local function clock() return 1 end"
    assert lua_source.undeclared("return clock()", prelude) == set()
