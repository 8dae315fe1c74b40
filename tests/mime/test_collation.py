"""Comparators: i;unicode-casemap, i;ascii-casemap, i;octet, and how clients name them."""

from __future__ import annotations

import re
import sys
import tracemalloc
from binascii import b2a_base64
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild.mime import collation
from pymaild.mime.collation import COMPARATORS, DEFAULT, ascii_casemap, matching, unicode_casemap
from pymaild.mime.text import header_texts
from tests.support.rfc import rfc


@rfc("5255", "4.2", 1)
@rfc("5255", "4.4", 1)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("hello", "HELLO"),
        ("jörg", "JÖRG"),
        ("jo\u0308rg", "Jörg"),  # the letter and its mark by themselves
        ("привет", "ПРИВЕТ"),
        ("ǆ", "ǅ"),  # one letter with three cases
        ("Å", "\u212b"),  # the sign of Angstrom
        ("①", "1"),
        ("한", "\u1112\u1161\u11ab"),
    ],
)
def test_what_unicode_casemap_takes_for_equal(one: str, other: str) -> None:
    assert unicode_casemap(one) == unicode_casemap(other)


@pytest.mark.parametrize(("one", "other"), [("a", "ä"), ("A", "\u0391"), ("ß", "ss"), ("ﬁ", "FI")])
def test_what_unicode_casemap_tells_apart(one: str, other: str) -> None:
    assert unicode_casemap(one) != unicode_casemap(other)


@rfc("5051", "4", 1)
def test_a_mark_out_of_order_stays_where_it_is() -> None:
    """Nothing is put in order, so a part of a text has a part of its form."""
    assert unicode_casemap("a\u0301\u0323") != unicode_casemap("a\u0323\u0301")


@rfc("5051", "4", 2)
@pytest.mark.parametrize(
    ("charset", "text"),
    [
        *[
            (name, "Привет")
            for name in (
                "koi8-r",
                "koi8-ru",
                "windows-1251",
                "x-cp1251",
                "iso-8859-5",
                "cp866",
                "utf-8",
            )
        ],
        *[(name, "Grüße") for name in ("iso-8859-1", "iso-8859-15", "windows-1252", "utf-8")],
        *[(name, "日本語") for name in ("iso-2022-jp", "shift_jis", "euc-jp", "utf-8")],
        *[(name, "简体") for name in ("gb2312", "gbk", "gb18030", "hz-gb-2312")],
        *[(name, "繁體") for name in ("big5", "big5-hkscs")],
        *[(name, "한국") for name in ("euc-kr", "ks_c_5601-1987", "iso-2022-kr")],
        *[(name, "Ελλάδα") for name in ("iso-8859-7", "windows-1253")],
        *[(name, "ไทย") for name in ("tis-620", "windows-874")],
    ],
)
def test_charsets_that_mail_comes_in(charset: str, text: str) -> None:
    codec = {
        "ks_c_5601-1987": "euc-kr",
        "hz-gb-2312": "hz",
        "windows-874": "cp874",
        "x-cp1251": "cp1251",
        "koi8-ru": "koi8_u",
    }
    word = b2a_base64(text.encode(codec.get(charset, charset)), newline=False)
    header = b"Subject: =?%b?b?%b?=\r\n\r\n" % (charset.encode(), word)
    assert list(map(unicode_casemap, header_texts(header, b"Subject"))) == [unicode_casemap(text)]


@given(st.text(max_size=20), st.text(max_size=5), st.text(max_size=20))
@pytest.mark.parametrize("name", COMPARATORS)
def test_the_form_of_a_part_is_part_of_the_form(
    name: str, before: str, inside: str, behind: str
) -> None:
    prepare = COMPARATORS[name]
    assert prepare(before + inside + behind) == prepare(before) + prepare(inside) + prepare(behind)


def test_ascii_casemap_knows_the_letters_of_ascii_alone() -> None:
    assert ascii_casemap("jörg") == "JöRG"
    assert ascii_casemap("Hello[`{@z") == "HELLO[`{@Z"


def test_what_is_remembered_of_characters_is_bounded() -> None:
    for start in range(0x3400, 0x3400 + 60_000, 1000):
        unicode_casemap("".join(map(chr, range(start, start + 1000))))
    assert sys.getsizeof(collation._FOLDS) < 4 << 20
    assert unicode_casemap("jörg") == unicode_casemap("JÖRG")


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("i;octet", ["i;octet"]),
        ("I;OCTET", ["i;octet"]),
        ("+i;octet", ["i;octet"]),
        ("-i;octet", ["-i;octet"]),
        ("i;*-casemap", ["i;unicode-casemap", "i;ascii-casemap"]),
        ("-*", ["-i;unicode-casemap", "-i;ascii-casemap", "-i;octet"]),
        ("default", [DEFAULT]),
        ("-default", ["-" + DEFAULT]),
        ("de;*", []),
        ("i;octet*", ["i;octet"]),
        ("octet", []),
        ("i;oct*tet", []),
        ("i;oct*et", ["i;octet"]),
        ("i*;*c*casemap", ["i;unicode-casemap", "i;ascii-casemap"]),
        ("i;ascii-*map*map", []),
    ],
)
def test_what_matches_a_pattern(order: str, found: list[str]) -> None:
    assert matching(order) == found


@pytest.mark.parametrize(
    "order", ["", "+", "i;oc**", "1;octet", "--i;octet", "i octet", "i;[o]ctet", "i" * 255, "i;ö"]
)
def test_what_is_no_pattern(order: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(order)}$"):
        matching(order)


@given(st.text("*abio;-", max_size=254))
def test_patterns_of_any_shape_are_answered(order: str) -> None:
    try:
        assert set(matching(order)) <= {sign + name for name in COMPARATORS for sign in ("", "-")}
    except ValueError:
        plain = order.removeprefix("-")
        assert "**" in order or not plain.startswith(("*", "a", "b", "i", "o"))


def test_an_unknown_name_in_a_record_is_the_default() -> None:
    assert collation.comparator("i;gone").name == DEFAULT
    assert collation.comparator("").name == DEFAULT
    assert collation.comparator("-i;octet").reverse


def test_patterns_leave_nothing_behind() -> None:
    """A client can send many of them, each another one."""

    def ask(start: int) -> None:
        for number in range(start, start + 2000):
            matching(f"i;*{number}*" + "-*" * 100)

    ask(0)
    tracemalloc.start()
    try:
        ask(10_000)
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


@given(st.text("ic;t-*", min_size=1, max_size=12), st.text("ic;t-", max_size=12))
def test_wildcards_match_as_they_do_in_shells(pattern: str, name: str) -> None:
    assert collation._fits(name, pattern) == fnmatchcase(name, pattern)
