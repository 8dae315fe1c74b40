"""Paths of MAIL and RCPT (RFC 5321 §4.1.2, RFC 6531 §3.3) and the users they name."""

from __future__ import annotations

import pytest

from pymaild.lmtp.address import Address, candidates, parse_path


@pytest.mark.parametrize(
    ("text", "local", "domain", "shown"),
    [
        ("<alice@example.org>", "alice", "example.org", "alice@example.org"),
        ("<alice>", "alice", "", "alice"),
        ("<Postmaster>", "Postmaster", "", "Postmaster"),
        ("<@a.example,@b.example:alice@example.org>", "alice", "example.org", "alice@example.org"),
        ('<"alice"@example.org>', "alice", "example.org", "alice@example.org"),
        ('<"a b"@example.org>', "a b", "example.org", '"a b"@example.org'),
        (r'<"a\"b\\c"@example.org>', r'a"b\c', "example.org", r'"a\"b\\c"@example.org'),
        ('<"a@b>c"@example.org>', "a@b>c", "example.org", '"a@b>c"@example.org'),
        ('<""@example.org>', "", "example.org", '""@example.org'),
        ("<alice@[192.0.2.1]>", "alice", "[192.0.2.1]", "alice@[192.0.2.1]"),
        ("<alice@[IPv6:2001:db8::1]>", "alice", "[IPv6:2001:db8::1]", "alice@[IPv6:2001:db8::1]"),
        ("<a.b+c/d=e@example.org>", "a.b+c/d=e", "example.org", "a.b+c/d=e@example.org"),
        ("<..odd..@example.org>", "..odd..", "example.org", "..odd..@example.org"),
        (
            "<\u00e4lice@ex\u00e4mple.org>",
            "\u00e4lice",
            "ex\u00e4mple.org",
            "\u00e4lice@ex\u00e4mple.org",
        ),
    ],
)
def test_paths(text: str, local: str, domain: str, shown: str) -> None:
    address, rest = parse_path(text + " SIZE=1")
    assert address == Address(local, domain)
    assert str(address) == shown
    assert rest == " SIZE=1"
    assert address.ascii == text.isascii()


def test_null_path() -> None:
    assert parse_path("<> BODY=7BIT") == (None, " BODY=7BIT")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice@example.org",
        "<alice@example.org",
        "<alice@>",
        "<@example.org>",
        "<a b@example.org>",
        '<"a@example.org>',
        '<"a"b@example.org>',
        "<alice@exa mple.org>",
        "<alice@-example.org>",
        "<alice@example.org\r\nX: y>",
        "<alice\0@example.org>",
        '<"a\tb"@example.org>',
        "<alice\u2028@example.org>",
        "<alice@[]>",
        "<@route.example alice@example.org>",
        "<" + "a" * 600 + "@example.org>",
    ],
)
def test_no_paths(text: str) -> None:
    with pytest.raises(ValueError, match="not a path"):
        parse_path(text)


@pytest.mark.parametrize(
    ("address", "separators", "names", "expected"),
    [
        ("alice@x", "+", "any", [("alice@x", ""), ("alice", "")]),
        ("alice+lists@x", "+", "any", [("alice@x", "lists"), ("alice", "lists")]),
        ("alice+lists@x", "+", "address", [("alice@x", "lists")]),
        ("alice+lists@x", "+", "local", [("alice", "lists")]),
        ("alice+lists@x", "", "local", [("alice+lists", "")]),
        ("alice-a+b@x", "+-", "local", [("alice", "a+b")]),
        ("+lists@x", "+", "local", [("+lists", "")]),
        ("alice+@x", "+", "local", [("alice", "")]),
        ("alice", "+", "address", [("alice", "")]),
        ("alice", "+", "any", [("alice", "")]),
    ],
)
def test_users_and_folders(
    address: str, separators: str, names: str, expected: list[tuple[str, str]]
) -> None:
    parsed, _ = parse_path(f"<{address}>")
    assert parsed is not None
    assert list(candidates(parsed, separators, names)) == expected
