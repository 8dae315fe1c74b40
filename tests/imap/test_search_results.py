"""RETURN and ESEARCH (RFC 4731, RFC 9394), and the keys that extensions add."""

from __future__ import annotations

import time
from array import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymaild.imap.responses import sequence_set, set_pieces
from pymaild.imap.results import Partial, Returns, esearch
from pymaild.imap.search import BODY, All, Scope, evaluate
from tests.imap.conftest import MESSAGES, Client, ImapBench
from tests.support.rfc import rfc


def told(client: Client, command: str) -> list[str]:
    """What a search tells, behind its correlator."""
    answer = client.ok(command)
    lines = client.told(answer)
    mark = f'ESEARCH (TAG "{answer.tagged.tag}")'
    assert all(line.startswith(mark) for line in lines)
    return [line.removeprefix(mark) for line in lines]


@rfc("9051", "7.3.4", 2, 3, 6, 7)
@rfc("9051", "6.4.4", 3, 4, 6, 7)
@rfc("4731", "3.1", 1, 2, 4, 5, 6, 7)
@rfc("4731", "4", 1)
@pytest.mark.parametrize(
    ("options", "some", "none"),
    [
        ("MIN", " MIN 2", ""),
        ("max", " MAX 3", ""),
        ("all", " ALL 2:3", ""),
        ("Count", " COUNT 2", " COUNT 0"),
        ("MIN MAX ALL COUNT", " MIN 2 MAX 3 ALL 2:3 COUNT 2", " COUNT 0"),
        ("COUNT MIN", " COUNT 2 MIN 2", " COUNT 0"),
        ("", " ALL 2:3", ""),
    ],
)
def test_one_response_even_for_nothing(mail: ImapBench, options: str, some: str, none: str) -> None:
    client = mail.select()
    for command, mark in (("SEARCH", ""), ("UID SEARCH", " UID")):
        assert told(client, f"{command} RETURN ({options}) 2:3") == [mark + some]
        assert told(client, f"{command} return ({options}) KEYWORD none") == [mark + none]


@pytest.mark.parametrize("options", ["ALL ALL", "ALL PARTIAL 1:2", "PARTIAL 1:2 PARTIAL 1:2"])
@rfc("5267", "4.4", 1)
@rfc("9394", "3.1", 1)
def test_one_list_of_results_at_most(mail: ImapBench, options: str) -> None:
    mail.select().bad(f"SEARCH RETURN ({options}) ALL")


PARTIAL = [
    ("1:2", "1,3"),
    ("2:1", "1,3"),
    ("2:3", "3:4"),
    ("4:4", "6"),
    ("4:9", "6"),
    ("5:9", "NIL"),
    ("1:4294967295", "1,3:4,6"),
    ("-1:-1", "6"),
    ("-1:-2", "4,6"),
    ("-2:-1", "4,6"),
    ("-4:-9", "1"),
    ("-5:-9", "NIL"),
    ("-1:-4294967295", "1,3:4,6"),
]


@rfc("9394", "3.1", 2)
@rfc("9394", "4", 1)
@rfc("5267", "4.4", 2)
@pytest.mark.parametrize(("asked", "numbers"), PARTIAL)
def test_partial_results(mail: ImapBench, asked: str, numbers: str) -> None:
    mail.put("alice", *MESSAGES)
    client = mail.select()
    wanted = f" PARTIAL ({asked} {numbers})"
    assert told(client, f"SEARCH RETURN (partial {asked}) NOT (OR 2 5)") == [wanted]
    assert told(client, f"UID SEARCH RETURN (COUNT PARTIAL {asked}) NOT (OR 2 5)") == [
        f" UID COUNT 4{wanted}"
    ]


@pytest.mark.parametrize(
    "asked",
    [
        *("", "1", "1:", ":1", "0:1", "1:0", "1:*", "-1:2", "1:-2", "-0:-1", "(1:2)", "1:2,3:4"),
        *("4294967296:1", "1:99999999999", "+1:2", "01:2", "a:b", '"1:2"'),
    ],
)
def test_ranges_of_results_that_are_none(mail: ImapBench, asked: str) -> None:
    client = mail.select()
    client.bad(f"SEARCH RETURN (PARTIAL {asked}) ALL")
    client.bad(f"UID FETCH 1:* FLAGS (PARTIAL {asked})")


FETCHED = [("1:2", [1, 2]), ("-1:-2", [5, 6]), ("6:9", [6]), ("7:9", []), ("-7:-9", [])]


@pytest.mark.parametrize(("asked", "numbers"), FETCHED)
def test_fetch_of_a_part(mail: ImapBench, asked: str, numbers: list[int]) -> None:
    """RFC 9394 §3.3."""
    mail.put("alice", *MESSAGES)
    client = mail.select()
    assert list(client.ok(f"UID FETCH 1:* FLAGS (PARTIAL {asked})").fetched()) == numbers
    client.ok("SEARCH RETURN (SAVE) 2:4")
    assert list(client.ok("UID FETCH $ FLAGS (partial -1:-2)").fetched()) == [3, 4]
    client.bad("FETCH 1:* FLAGS (PARTIAL 1:2)")
    client.bad("UID FETCH 1:* FLAGS (PARTIAL 1:2 PARTIAL 1:2)")


def test_fetch_of_what_changed_in_a_part(mail: ImapBench) -> None:
    """RFC 9394 §3.4: the part is taken first, in whichever order the two are given."""
    client = mail.select()
    client.ok("ENABLE CONDSTORE")
    code = client.ok("SELECT INBOX").codes()["HIGHESTMODSEQ"][0]
    client.ok("STORE 1 +FLAGS.SILENT (\\Seen)")
    client.ok("STORE 3 +FLAGS.SILENT (\\Seen)")
    for modifiers in (f"PARTIAL -1:-2 CHANGEDSINCE {code}", f"CHANGEDSINCE {code} PARTIAL -1:-2"):
        assert list(client.ok(f"UID FETCH 1:* FLAGS ({modifiers})").fetched()) == [3]


@rfc("4731", "3.2", 1)
def test_the_highest_mod_sequence_is_told(mail: ImapBench) -> None:
    client = mail.select()
    client.ok("ENABLE CONDSTORE")
    for number in (2, 1, 3):
        client.ok(f"STORE {number} +FLAGS.SILENT (\\Seen)")
    fetched = client.ok("FETCH 1:3 (MODSEQ)").fetched()
    first, second, third = (int(fetched[number]["MODSEQ"][0]) for number in (1, 2, 3))
    assert second < first < third
    search = "SEARCH RETURN ({}) MODSEQ 1"
    assert told(client, search.format("ALL")) == [f" ALL 1:3 MODSEQ {third}"]
    assert told(client, search.format("MIN")) == [f" MIN 1 MODSEQ {first}"]
    assert told(client, search.format("MAX")) == [f" MAX 3 MODSEQ {third}"]
    assert told(client, search.format("MIN MAX")) == [f" MIN 1 MAX 3 MODSEQ {third}"]
    assert told(client, search.format("MIN COUNT")) == [f" MIN 1 COUNT 3 MODSEQ {third}"]
    part = told(client, search.format("PARTIAL 1:2"))
    assert part == [f" PARTIAL (1:2 1:2) MODSEQ {first}"]
    assert told(client, f"SEARCH RETURN () MODSEQ {third + 1}") == [""]
    assert told(client, f"SEARCH RETURN (ALL) OR MODSEQ {third} 2") == [f" ALL 2:3 MODSEQ {third}"]
    assert client.told(client.ok(f"UID SEARCH MODSEQ {first}")) == [f"SEARCH 1 3 (MODSEQ {third})"]
    entry = '"/flags/\\\\draft" all'
    assert client.told(client.ok(f"SEARCH MODSEQ {entry} {second} NOT 3")) == [
        f"SEARCH 1 2 (MODSEQ {first})"
    ]
    assert client.told(client.ok(f"SEARCH MODSEQ {third + 1}")) == ["SEARCH"]


@rfc("9051", "6.4.4", 12)
def test_imap4rev2_is_answered_by_esearch(mail: ImapBench) -> None:
    """RFC 9051 §6.4.4: ALL, unless something else is asked for."""
    client = mail.login()
    client.ok("ENABLE IMAP4rev2")
    client.ok("SELECT INBOX")
    assert told(client, "SEARCH 1:2") == [" ALL 1:2"]
    assert told(client, "UID SEARCH KEYWORD none") == [" UID"]
    assert told(client, "SEARCH RETURN (COUNT) ALL") == [" COUNT 3"]
    assert told(client, "SEARCH FROM Jörg") == [" ALL 3"]
    client.no(b"SEARCH FROM J\xf6rg")
    assert told(mail.resume(client), "SEARCH 1:2") == [" ALL 1:2"]


@rfc("5032", "2", 1)
def test_older_and_younger(imap: ImapBench) -> None:
    client = imap.login()
    now = int(time.time())
    for age in (1_000_000, 100_000, -100_000):
        date = time.strftime("%d-%b-%Y %H:%M:%S +0000", time.gmtime(now - age))
        client.appended("Archive", MESSAGES[0], f'"{date}"')
    client.ok("SELECT Archive")
    keys = {
        "OLDER 500000": [1],
        "OLDER 50000": [1, 2],
        "YOUNGER 500000": [2, 3],
        "YOUNGER 50000": [3],
        "older 4294967295": [],
        "YOUNGER 4294967295": [1, 2, 3],
        "OLDER 50000 YOUNGER 500000": [2],
        "OR OLDER 500000 NOT OLDER 50000": [1, 3],
        "OR TEXT none YOUNGER 500000": [2, 3],
        "OR TEXT none OLDER 500000": [1],
    }
    for text, numbers in keys.items():
        values = client.ok(f"SEARCH {text}").one("SEARCH").values[1:]
        assert [int(value) for value in values] == numbers, text
    for text in ("OLDER", "OLDER 0", "YOUNGER -1", "YOUNGER x", "OLDER 4294967296"):
        client.bad(f"SEARCH {text}")


@rfc("8514", "4.1", 1)
def test_save_dates(mail: ImapBench) -> None:
    client = mail.select()
    assert "SAVEDATE" in client.ok("CAPABILITY").one("CAPABILITY").values
    day = time.strftime("%d-%b-%Y", time.gmtime(time.time() + 3 * 86400))
    keys = {
        "SAVEDATESUPPORTED": [1, 2, 3],
        "NOT SAVEDATESUPPORTED": [],
        f"SAVEDBEFORE {day}": [1, 2, 3],
        "SAVEDBEFORE 1-Jan-2000": [],
        "SAVEDSINCE 1-Jan-2000": [1, 2, 3],
        f'SAVEDSINCE "{day}"': [],
        f"SAVEDON {day}": [],
    }
    for text, numbers in keys.items():
        values = client.ok(f"SEARCH {text}").one("SEARCH").values[1:]
        assert [int(value) for value in values] == numbers, text
    saved = client.ok("FETCH 1 (SAVEDATE)").fetched()[1]["SAVEDATE"].decode()[:11].strip()
    assert client.ok(f"SEARCH SAVEDON {saved} 1").one("SEARCH").values[1:] == ["1"]


def test_object_identifiers(mail: ImapBench) -> None:
    """RFC 8474 §6."""
    client = mail.select()
    fetched = client.ok("FETCH 1:3 (EMAILID THREADID)").fetched()
    for number, items in fetched.items():
        for name in ("EMAILID", "THREADID"):
            values = client.ok(f"SEARCH {name} {items[name][0]}").one("SEARCH").values[1:]
            assert values == [str(number)]
    assert client.ok("SEARCH EMAILID none").one("SEARCH").values[1:] == []
    for text in ("EMAILID", "THREADID x.y", 'EMAILID "x"', f"EMAILID {'x' * 256}"):
        client.bad(f"SEARCH {text}")


class Asked(All):
    """A key that has to look into messages, remembers into which, and takes even numbers."""

    def __init__(self) -> None:
        object.__setattr__(self, "cost", BODY)
        object.__setattr__(self, "asked", [])

    __slots__ = ("asked",)

    def sift(self, scope: Scope, seqs: array[int]) -> array[int]:
        return scope.each(self, seqs)

    def test(self, scope: Scope, seq: int) -> bool:
        self.asked.append(seq)
        return seq % 2 == 0


ENDS = [
    ("MIN", [1, 2]),
    ("MAX", [9, 8]),
    ("MIN MAX", [1, 2, 9, 8]),
    ("PARTIAL 1:2", [1, 2, 3, 4]),
    ("PARTIAL -2:-1", [9, 8, 7, 6]),
    ("PARTIAL 3:9", [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ("MAX PARTIAL 1:1", [1, 2, 9, 8]),
    ("MIN PARTIAL -9:-1", [1, 2, 9, 8, 7, 6, 5, 4, 3]),
    ("MIN COUNT", [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ("ALL", [1, 2, 3, 4, 5, 6, 7, 8, 9]),
]


@pytest.mark.parametrize(("options", "asked"), ENDS)
def test_no_more_than_twice_as_many_messages_are_looked_into_as_needed(
    mail: ImapBench, options: str, asked: list[int]
) -> None:
    mail.put("alice", *MESSAGES, *MESSAGES)
    client = mail.select()
    partial = options.split("PARTIAL ")[1:]
    places = tuple(map(int, partial[0].split(":"))) if partial else None
    items = tuple(word.encode() for word in options.split() if word.isalpha())
    returns = Returns(items, Partial(*places) if places else None)
    key = Asked()
    selection = client.running.session.selection
    found = evaluate(key, Scope(selection, lambda *_: None), returns.ends)
    assert set(asked) <= set(key.asked)
    assert len(key.asked) <= 2 * len(asked)
    everything = b"".join(esearch(b"", False, returns, [2, 4, 6, 8]))
    assert b"".join(esearch(b"", False, returns, found)) == everything


# -- parts of it -------------------------------------------------------------------------------


@rfc("9051", "7.3.4", 4)
@rfc("5267", "3.2", 1, 2)
@given(st.lists(st.integers(1, 30), max_size=40))
def test_sets_keep_the_order_and_ascend(numbers: list[int]) -> None:
    """RFC 5267 §3.2: results of SORT, too."""
    text = b"".join(set_pieces(numbers))
    assert text == sequence_set(numbers)
    spans = [tuple(map(int, piece.split(b":"))) for piece in text.split(b",") if piece]
    assert all(span == tuple(sorted(span)) for span in spans)
    assert [n for span in spans for n in range(span[0], span[-1] + 1)] == numbers


def test_long_sets_come_in_pieces() -> None:
    pieces = list(set_pieces(array("I", range(2, 60_000, 2))))
    assert len(pieces) > 5
    assert b"".join(pieces) == b",".join(b"%d" % number for number in range(2, 60_000, 2))
    assert list(set_pieces(range(1, 100_000))) == [b"1:99999"]


@given(st.integers(1, 12), st.integers(1, 12), st.booleans(), st.integers(0, 10))
def test_places_of_results(first: int, last: int, from_end: bool, count: int) -> None:
    found = list(range(100, 100 + count))
    places = range(min(first, last), max(first, last) + 1)
    wanted = [found[-place if from_end else place - 1] for place in places if place <= count]
    sign = -1 if from_end else 1
    assert list(Partial(sign * first, sign * last).cut(found)) == sorted(wanted)


def test_sorted_results() -> None:
    """RFC 5267 §3.1: MIN is the first, MAX the last, ALL in their order."""
    returns = Returns((b"MIN", b"MAX", b"ALL", b"COUNT"))
    line = b"".join(esearch(b'(TAG "a")', True, returns, [9, 4, 5, 6, 3, 2]))
    assert line == b'* ESEARCH (TAG "a") UID MIN 9 MAX 2 ALL 9,4:6,3,2 COUNT 6\r\n'
    assert all(a != b for a, b in pairwise(returns.items))
