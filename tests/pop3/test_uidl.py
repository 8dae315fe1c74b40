"""Unique-ids (RFC 1939 §7) in the forms that other servers have handed out."""

from __future__ import annotations

import hashlib

import pytest

from pymaild.core.errors import ConfigError
from pymaild.pop3.settings import Pop3Settings
from pymaild.pop3.uidl import UidlFormat

NAME = "1035478339.27041_118.example.org,S=1234"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%08Xu%08Xv", "0000001b4f8b5c2a"),  # Dovecot
        ("%08Xv%08Xu", "4f8b5c2a0000001b"),  # UW ipop3d
        ("%v-%u", "1334533162-27"),  # Courier 2
        ("%u", "27"),  # Courier 1, Cyrus up to 2.1.3
        ("%v.%u", "1334533162.27"),  # Cyrus
        ("%f", NAME),  # Courier 0
        ("%Mf", hashlib.md5(NAME.encode(), usedforsecurity=False).hexdigest()),  # tpop3d
        ("%UXu", None),
        ("%XUu%%", "1B%"),
        ("%Lf", NAME.lower()),
        ("x%010uy", "x0000000027y"),
    ],
)
def test_formats(text: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(ValueError, match="hexadecimal"):
            UidlFormat(text)
        return
    value = UidlFormat(text)(27, 1334533162, NAME)
    assert value == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "told apart"),
        ("%v", "told apart"),
        ("%%", "told apart"),
        ("%u %v", "printable"),
        ("%q%u", "unknown"),
        ("%u%", "unknown"),
        ("%Xf", "hexadecimal"),
        ("\u00e9%u", "printable"),
    ],
)
def test_unusable_formats_are_refused_with_the_configuration(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=rf"^pop3\.uidl_format: .*{why}"):
        Pop3Settings(uidl_format=text)


def test_the_file_name_is_taken_without_the_uid_this_server_adds() -> None:
    """RFC 1939 §7: unique-ids persist across sessions."""
    names = UidlFormat("%f")
    assert names(5, 1, "1.M2.host,S=10,W=11,U=5") == names(0, 1, "1.M2.host,S=10,W=11")


@pytest.mark.parametrize("name", ["x" * 71, "with space", "\u00e9", "", "\udcff"])
def test_what_the_protocol_cannot_carry_is_replaced(name: str) -> None:
    """RFC 1939 §7: one to 70 characters from 0x21 to 0x7E."""
    value = UidlFormat("%f")(1, 1, name)
    assert 1 <= len(value) <= 70
    assert all("\x21" <= character <= "\x7e" for character in value)
    assert value == UidlFormat("%f")(2, 1, name)
    assert value != UidlFormat("%f")(1, 1, name + "y")


def test_the_name_is_asked_for_only_where_it_is_used() -> None:
    assert UidlFormat("%f").uses_name
    assert not UidlFormat("%08Xu%08Xv").uses_name
