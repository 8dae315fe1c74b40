"""I18NLEVEL=1 and I18NLEVEL=2: how texts are compared (RFC 5255 §4)."""

from __future__ import annotations

import pytest

from tests.imap.conftest import Client, ImapBench
from tests.support.rfc import rfc

SUBJECTS = ("Straße", "STRASSE", "ZÜRICH", "zürich", "zurich")


def message(subject: str, body: str = "Grüße aus Zürich") -> bytes:
    """A message whose subject and body are encoded, each in another charset."""
    encoded = subject.encode("iso-8859-1").hex("=").upper()
    return (
        f"From: =?utf-8?q?=C3=84nne?= <a@example.org>\r\nSubject: =?iso-8859-1?q?={encoded}?=\r\n"
        "X-Note: ÄRGER\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-16be\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n"
    ).encode() + _base64(body.encode("utf-16-be"))


def _base64(data: bytes) -> bytes:
    from base64 import encodebytes

    return encodebytes(data).replace(b"\n", b"\r\n")


@pytest.fixture
def client(imap: ImapBench) -> Client:
    imap.put("alice", *map(message, SUBJECTS))
    return imap.select()


def search(client: Client, keys: str) -> list[int]:
    """The numbers that a search in UTF-8 finds."""
    answer = client.ok(f"SEARCH CHARSET UTF-8 {keys}".encode())
    return [int(number) for number in client.told(answer)[0].split()[1:]]


def literal(key: str, text: str) -> str:
    """A key with a string that is not ASCII."""
    return f"{key} {{{len(text.encode())}+}}\r\n{text}"


def test_both_levels_are_announced_behind_the_login(imap: ImapBench) -> None:
    client = imap.connect()
    client.ok("LOGIN alice secret")
    assert {"I18NLEVEL=1", "I18NLEVEL=2"} <= set(client.told(client.ok("CAPABILITY"))[0].split())


@rfc("5255", "4.4", 2)
def test_the_default_is_unicode_casemap(client: Client) -> None:
    assert client.told(client.ok("COMPARATOR")) == ["COMPARATOR i;unicode-casemap"]
    assert search(client, literal("SUBJECT", "zÜrich")) == [3, 4]


@rfc("5255", "4.4", 3)
def test_default_stays_what_it_was(client: Client) -> None:
    client.ok("COMPARATOR i;octet")
    assert client.told(client.ok("COMPARATOR")) == ["COMPARATOR i;octet"]
    assert client.told(client.ok("COMPARATOR default")) == ["COMPARATOR i;unicode-casemap"]
    assert client.record.comparator == "i;unicode-casemap"


@rfc("5255", "4.2", 2)
@rfc("5255", "4.6", 1, 2)
@pytest.mark.parametrize(
    ("comparator", "found"),
    [("i;unicode-casemap", [3, 4]), ("i;ascii-casemap", [4]), ("i;octet", [])],
)
def test_it_applies_to_strings_of_search(client: Client, comparator: str, found: list[int]) -> None:
    """Each comparator sees the text in one charset, whatever encoding and charset it came in."""
    client.ok(f"COMPARATOR {comparator}")
    assert search(client, literal("SUBJECT", "Zürich")) == found
    assert search(client, literal("HEADER Subject", "Zürich")) == found
    assert search(client, literal("TEXT", "X-Note: ärger")) == (
        [1, 2, 3, 4, 5] if 3 in found else []
    )


@pytest.mark.parametrize(("comparator", "count"), [("i;unicode-casemap", 5), ("i;octet", 0)])
def test_it_applies_to_every_key_with_a_string(client: Client, comparator: str, count: int) -> None:
    client.ok(f"COMPARATOR {comparator}")
    for key, text in (
        ("FROM", "änne"),
        ("BODY", "GRÜSSE AUS".replace("SS", "ß")),
        ("TEXT", "AUS zürich"),
        ("HEADER X-Note", "ärger"),
    ):
        assert len(search(client, literal(key, text))) == count, key
    assert len(search(client, literal("FROM", "Änne"))) == 5
    assert len(search(client, literal("BODY", "Grüße"))) == 5
    assert len(search(client, 'HEADER X-Note ""')) == 5


def test_keys_without_strings_are_as_ever(client: Client) -> None:
    client.ok("COMPARATOR i;octet")
    client.ok("STORE 2 +FLAGS (Work)")
    assert search(client, "KEYWORD wORK") == [2]


def test_the_first_argument_with_a_match_wins(client: Client) -> None:
    told = client.told(client.ok('COMPARATOR "de;*" i;octet i;ascii-casemap'))
    assert told == ["COMPARATOR i;octet (i;octet i;ascii-casemap)"]


def test_a_pattern_that_matches_several_tells_them(client: Client) -> None:
    told = client.told(client.ok('COMPARATOR "*"'))
    matches = "i;unicode-casemap i;ascii-casemap i;octet"
    assert told == [f"COMPARATOR i;unicode-casemap ({matches})"]


def test_a_direction_is_part_of_what_is_selected(client: Client) -> None:
    assert client.told(client.ok("COMPARATOR -i;octet")) == ["COMPARATOR -i;octet"]
    assert search(client, literal("SUBJECT", "zürich")) == [4]
    assert client.told(client.ok("COMPARATOR +i;octet")) == ["COMPARATOR i;octet"]


@rfc("5255", "4.9", 1)
def test_what_nobody_knows_changes_nothing(client: Client) -> None:
    client.ok("COMPARATOR i;octet")
    answer = client.no('COMPARATOR "cz;*" i;basic')
    assert answer.tagged.raw.split(b" ", 2)[2].startswith(b"[BADCOMPARATOR] ")
    assert answer.untagged == []
    assert client.told(client.ok("COMPARATOR")) == ["COMPARATOR i;octet"]


@pytest.mark.parametrize("arguments", ['""', "i;oc**", '"a b"', "(i;octet)", "i;octet "])
def test_what_is_no_comparator_is_bad(client: Client, arguments: str) -> None:
    client.ok("COMPARATOR i;octet")
    client.bad(f"COMPARATOR {arguments}")
    assert client.told(client.ok("COMPARATOR")) == ["COMPARATOR i;octet"]


def test_the_choice_goes_on_in_another_process(imap: ImapBench, client: Client) -> None:
    client.ok("COMPARATOR i;octet")
    client = imap.resume(client)
    assert client.told(client.ok("COMPARATOR")) == ["COMPARATOR i;octet"]
    assert search(client, literal("SUBJECT", "zürich")) == [4]


def test_unauthenticate_forgets_it(client: Client) -> None:
    client.ok("COMPARATOR i;octet")
    client.ok("UNAUTHENTICATE")
    client.ok("LOGIN alice secret")
    assert client.told(client.ok("COMPARATOR")) == ["COMPARATOR i;unicode-casemap"]


def test_other_mailboxes_are_searched_with_it(client: Client) -> None:
    client.ok("COMPARATOR i;octet")
    client.ok("COPY 1:5 Archive")
    answer = client.ok(literal("ESEARCH IN (mailboxes Archive) RETURN (COUNT) SUBJECT", "zürich"))
    assert client.told(answer)[0].endswith("COUNT 1")


def test_a_search_that_is_updated_keeps_its_own(imap: ImapBench, client: Client) -> None:
    client.ok("COMPARATOR i;octet")
    client.ok("SEARCH RETURN (UPDATE) SUBJECT zurich")
    client.ok("COMPARATOR default")
    imap.put("alice", message("ZURICH"), message("zurich"))
    assert client.told(client.ok("NOOP"))[-1].endswith(" ADDTO (0 7)")
    client = imap.resume(client)
    imap.put("alice", message("ZURICH"), message("zurich"))
    assert client.told(client.ok("NOOP"))[-1].endswith(" ADDTO (0 9)")


@rfc("5255", "4.6", 3)
@pytest.mark.parametrize(
    ("comparator", "order"),
    [("i;unicode-casemap", [6, 4, 2, 5, 3, 1]), ("-i;unicode-casemap", [1, 3, 5, 2, 4, 6])],
)
def test_what_is_no_text_is_sorted_behind_all_that_is(
    imap: ImapBench, comparator: str, order: list[int]
) -> None:
    """The example of RFC 5255 §4.6, and with it a charset nobody knows and Latin-1."""
    words = (
        ("utf-8", "D0C0D0BDD0B4D180D0B5D0B9"),
        ("utf-8", "D181D095D0A0D093D095D099"),
        ("utf-8", "D092D0B0D181D0B8D0BBD0B8FFB9"),
        ("koi8-r", "E1CCC5CBD3C5CA"),
        ("x-of-nobody", "4142"),
        ("iso-8859-1", "FF"),
    )
    for charset, octets in words:
        word = "".join(f"={octets[at : at + 2]}" for at in range(0, len(octets), 2))
        imap.put("alice", f"Subject: =?{charset}?q?{word}?=\r\n\r\n".encode())
    client = imap.select()
    client.ok(f"COMPARATOR {comparator}")
    told = client.told(client.ok("SORT (SUBJECT) UTF-8 ALL"))[0]
    assert [int(number) for number in told.split()[1:]] == order
