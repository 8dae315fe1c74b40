"""SORT and UID SORT (RFC 5256 §3), DISPLAYFROM and DISPLAYTO (RFC 5957), ESORT (RFC 5267 §3)."""

from __future__ import annotations

import random
from array import array
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymaild.imap import _sort
from pymaild.mime.order import sort_keys
from tests.imap.conftest import Client, ImapBench
from tests.support.rfc import rfc

SUBJECTS = (
    (None, ""),
    ("", ""),
    ("Re:", ""),
    ("alpha", "alpha"),
    ("Re: ALPHA", "ALPHA"),
    ("Fwd: [list] Re: alpha (fwd)", "alpha"),
    ("[fwd: re: [a] Alpha]", "Alpha"),
    ("[list]", "[list]"),
    ("beta\r\n gamma", "beta gamma"),
    ("=?utf-8?q?Re=3A_=C3=84pfel?=", "Äpfel"),
    ("=?utf-8?b?w4RwZmVs?= =?iso-8859-1?q?_=E4rger?=", "Äpfel ärger"),
    ("=?utf-8?q?broken", "=?utf-8?q?broken"),
    ("Ärger", "Ärger"),
    ("a" * 700, "a" * 700),
    ("a" * 400 + "b" * 300, "a" * 400 + "b" * 300),
)

#: Headers of addresses: the field, addr-mailbox, what RFC 5957 §3 sorts by.
ADDRESSES = (
    (None, "", ""),
    ("", "", ""),
    ("ann@example.org", "ann", "ann@example.org"),
    ("Zoe <ann@example.org>, bob@example.org", "ann", "Zoe"),
    ('"" <Ann@example.org>', "Ann", "Ann@example.org"),
    ("=?utf-8?q?=C3=96sten?= <x@example.org>", "x", "Östen"),
    ("Friends: carl@example.org, dan@example.org;", "Friends", "Friends"),
    ("nobody:;", "nobody", "nobody"),
    ("BOB <bob@example.org>", "bob", "BOB"),
)

#: Date fields and the moment they tell; None leaves it to INTERNALDATE.
DATES = (
    (None, None),
    ("some day", None),
    ("31 Feb 2020 10:00:00 +0000", None),
    ("Wed, 1 Jan 2020 10:00:00 +0100", 1577869200),
    ("Wed, 1 Jan 2020 09:00:00 +0000", 1577869200),
    ("1 Jan 2020 09:00:00 nowhere", 1577869200),
    ("1 Jan 2020 25:00", 1577836800),
    ("1 Jan 1950 00:00:00 +0000", -631152000),
)

CRITERIA = ("ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO")


@dataclass
class Mail:
    """A message, and its value for each criterion."""

    octets: bytes
    arrival: int
    values: dict[str, int | bytes]


def casemap(text: str) -> bytes:
    """i;unicode-casemap of a character at a time (RFC 5051 §2)."""
    titles = (c.title() if len(c.title()) == 1 else c for c in text)
    return b"".join(normalize("NFKD", c).encode() for c in titles)


def make(chance: random.Random) -> Mail:
    subject, date = chance.choice(SUBJECTS), chance.choice(DATES)
    author, to, copied = (chance.choice(ADDRESSES) for _ in range(3))
    arrival = 1_577_836_800 + chance.randrange(4) * 3600
    fields = {
        "Subject": subject[0],
        "Date": date[0],
        "From": author[0],
        "To": to[0],
        "Cc": copied[0],
    }
    lines = [f"{name}: {text}\r\n" for name, text in fields.items() if text is not None]
    octets = ("".join(lines) + "\r\n").encode() + b"x" * chance.randrange(3)
    texts = {
        "SUBJECT": subject[1],
        "FROM": author[1],
        "TO": to[1],
        "CC": copied[1],
        "DISPLAYFROM": author[2],
        "DISPLAYTO": to[2],
    }
    values: dict[str, int | bytes] = {name: casemap(text) for name, text in texts.items()}
    values |= {"ARRIVAL": arrival, "SIZE": len(octets)}
    values["DATE"] = arrival if date[1] is None else date[1]
    return Mail(octets, arrival, values)


def append(client: Client, mail: Mail) -> int:
    hours = (mail.arrival - 1_577_836_800) // 3600
    return client.appended("INBOX", mail.octets, f'"01-Jan-2020 0{hours}:00:00 +0000"')


def in_order(mails: dict[int, Mail], criteria: list[tuple[bool, str]]) -> list[int]:
    """The numbers of messages as RFC 5256 §3 orders them: one criterion after the other decides."""
    found = sorted(mails)
    for reverse, name in reversed(criteria):  # equals stay in their order, in reverse too
        found.sort(key=lambda number: mails[number].values[name], reverse=reverse)
    return found


def written(criteria: list[tuple[bool, str]]) -> str:
    return " ".join(f"REVERSE {name}" if reverse else name for reverse, name in criteria)


def found(client: Client, command: str) -> list[int]:
    return [int(number) for number in client.ok(command).one("SORT").values[1:]]


@rfc("5256", "1", 1)
@rfc("5256", "7", 1)
@rfc("5957", "4", 1)
@rfc("5957", "7", 1)
@pytest.mark.parametrize("seed", range(3))
def test_messages_come_in_the_order_of_the_criteria(imap: ImapBench, seed: int) -> None:
    chance = random.Random(seed)
    client = imap.select()
    mails = {append(client, mail): mail for mail in (make(chance) for _ in range(60))}

    @settings(deadline=None, max_examples=60)
    @given(
        st.lists(st.tuples(st.booleans(), st.sampled_from(CRITERIA)), min_size=1, max_size=6),
        st.sets(st.sampled_from(sorted(mails)), min_size=1),
    )
    def check(criteria: list[tuple[bool, str]], chosen: set[int]) -> None:
        program = f"({written(criteria)}) UTF-8 UID {','.join(map(str, chosen))}"
        wanted = in_order({uid: mails[uid] for uid in chosen}, criteria)
        assert found(client, f"UID SORT {program}") == wanted
        assert found(client, f"SORT {program}") == wanted

    check()


@pytest.fixture
def three(imap: ImapBench) -> ImapBench:
    """Alice has three messages, the last of which comes first by its subject."""
    for subject in (b"b", b"c", b"a"):
        imap.put("alice", b"Subject: %b\r\nDate: %b\r\n\r\n" % (subject, b"1 Jan 2020"))
    return imap


@rfc("5256", "7", 2)
def test_it_is_announced(imap: ImapBench) -> None:
    """RFC 5267 §4.1: CONTEXT=SORT comes with SORT; RFC 5957 §1: SORT=DISPLAY with both criteria."""
    told = set(imap.login().ok("CAPABILITY").one("CAPABILITY").values)
    assert {"SORT", "SORT=DISPLAY", "ESORT", "CONTEXT=SORT", "I18NLEVEL=1"} <= told


def test_replies(three: ImapBench) -> None:
    """RFC 5256 §4: told even when nothing is found, and under IMAP4rev2 too."""
    client = three.select()
    client.ok("UID STORE 1 +FLAGS.SILENT (\\Deleted)")
    client.ok("EXPUNGE")
    assert client.told(client.ok("SORT (SUBJECT) UTF-8 ALL")) == ["SORT 2 1"]
    assert client.told(client.ok("UID SORT (SUBJECT) UTF-8 ALL")) == ["SORT 3 2"]
    assert client.told(client.ok("UID SORT (REVERSE SUBJECT) UTF-8 1:2")) == ["SORT 2 3"]
    assert client.told(client.ok("SORT (SUBJECT) UTF-8 FLAGGED")) == ["SORT"]
    client.ok("ENABLE IMAP4rev2")
    assert client.told(client.ok("SORT (SUBJECT) UTF-8 ALL")) == ["SORT 2 1"]


def test_the_order_of_equals_is_that_of_the_mailbox(three: ImapBench) -> None:
    """RFC 5256 §3, REVERSE: of equals in reverse too."""
    client = three.select()
    for criteria in ("DATE", "REVERSE DATE", "CC", "REVERSE CC DATE", "ARRIVAL ARRIVAL", "SIZE"):
        assert found(client, f"SORT ({criteria}) UTF-8 ALL") == [1, 2, 3]
    assert found(client, "SORT (DATE REVERSE SUBJECT) UTF-8 ALL") == [2, 1, 3]
    assert found(client, "SORT (SUBJECT REVERSE SUBJECT) UTF-8 ALL") == [3, 1, 2]


@pytest.mark.parametrize(
    "arguments",
    [
        *("", "()", "() UTF-8 ALL", "(SUBJECT)", "(SUBJECT) UTF-8", "(SUBJECT) ALL", "SUBJECT"),
        *("(REVERSE) UTF-8 ALL", "(SUBJECT REVERSE) UTF-8 ALL", "(SUBJEC) UTF-8 ALL"),
        *("(REVERSE REVERSE DATE) UTF-8 ALL", "(SUBJECT  DATE) UTF-8 ALL", "(DATE)UTF-8 ALL"),
        *("((DATE)) UTF-8 ALL", "(DATE) (UTF-8) ALL", "(DATE) UTF-8 ALL ", '("DATE") UTF-8 ALL'),
        *("RETURN (DATE) (DATE) UTF-8 ALL", "RETURN () UTF-8 ALL", "RETURN ALL (DATE) UTF-8 ALL"),
        *("(DATE) CHARSET UTF-8 ALL", "(DATE) UTF-8 CHARSET UTF-8 ALL"),
    ],
)
def test_what_the_grammar_does_not_have_is_refused(three: ImapBench, arguments: str) -> None:
    client = three.select()
    tag = client.start(f"SORT {arguments}".strip(" ") if not arguments else f"SORT {arguments}")
    answer = client.finish(tag)
    assert answer.status == "BAD" or answer.code == "BADCHARSET"


@rfc("5256", "3", 1, 2)
def test_character_sets(imap: ImapBench) -> None:
    """RFC 6855 §3 forbids CHARSET in SEARCH alone."""
    imap.put("alice", b"Subject: =?utf-8?q?=C3=84pfel?=\r\n\r\n", b"Subject: apfel\r\n\r\n")
    client = imap.select()
    assert found(client, "SORT (SUBJECT) US-ASCII SUBJECT APF") == [2]
    assert found(client, 'SORT (SUBJECT) "UTF-8" SUBJECT pf') == [2, 1]
    for charset, text in (("UTF-8", "äpf".encode()), ("ISO-8859-1", "äpf".encode("latin-1"))):
        client.send(b"%b SORT (DATE) %b SUBJECT {%d+}\r\n" % (b"x", charset.encode(), len(text)))
        client.send(text + b"\r\n")
        assert client.finish("x").one("SORT").values[1:] == ["1"]
    assert client.no("SORT (SUBJECT) X-NONE ALL").code == "BADCHARSET"
    client.no("SORT (SUBJECT) US-ASCII SUBJECT {2+}\r\nä")
    client.ok("ENABLE UTF8=ACCEPT")
    assert found(client, "SORT (SUBJECT) UTF-8 ALL") == [2, 1]


def test_the_active_comparator_sorts(imap: ImapBench) -> None:
    """RFC 5255 §4.4; what a client asked for in reverse is in reverse, dates are not."""
    for subject in ("b", "A", "a", "ä"):
        imap.put("alice", f"Subject: {subject}\r\nDate: 1 Jan 2020\r\n\r\n".encode())
    client = imap.select()
    orders = {
        "i;unicode-casemap": [2, 3, 4, 1],
        "i;ascii-casemap": [2, 3, 1, 4],
        "i;octet": [2, 3, 1, 4],
        "-i;octet": [4, 1, 3, 2],
        "-i;unicode-casemap": [1, 4, 2, 3],
    }
    for name, order in orders.items():
        client.ok(f"COMPARATOR {name}")
        assert found(client, "SORT (DATE SUBJECT) UTF-8 ALL") == order
        assert found(imap.resume(client), "SORT (DATE SUBJECT) UTF-8 ALL") == order
        client = imap.select()


def test_messages_that_others_expunged_are_still_there(three: ImapBench) -> None:
    """Nothing of them is known that was not asked for before: RFC 5256 §3 wants no EXPUNGE."""
    client, other = three.select(), three.select()
    other.ok("UID STORE 1:2 +FLAGS.SILENT (\\Deleted)")
    other.ok("EXPUNGE")
    for criteria in ("SUBJECT", "SIZE", "DATE", "DISPLAYFROM"):
        answer = client.ok(f"SORT ({criteria}) UTF-8 ALL")
        assert sorted(answer.one("SORT").values[1:]) == ["1", "2", "3"]
        assert not answer.named("EXPUNGE")
    answer = client.ok("UID SORT (SUBJECT) UTF-8 ALL")
    assert len(answer.named("EXPUNGE")) == 2


def test_a_damaged_cache_is_as_good_as_none(three: ImapBench, tmp_path: Path) -> None:
    """Nor does what was damaged lead out of the cache."""
    program = "SORT (SUBJECT CC) UTF-8 ALL"
    wanted = found(three.select(), program)
    chance = random.Random(5)
    for _ in range(30):
        view = three.select().running.session.current.selected.view
        entries = [view.index.cached(view.row(seq)) for seq in (1, 2, 3)]
        (path,) = (p for p in tmp_path.rglob("pymaild.cache") if entries[0] in p.read_bytes())
        whole = path.read_bytes()
        with path.open("r+b") as file:
            for entry in entries:
                for place in chance.sample(range(len(entry)), 30):
                    file.seek(whole.rindex(entry) + place)
                    file.write(chance.choice((b"\0", b"\1", b"\xff")))
        assert found(three.select(), program) == wanted


# -- RETURN ------------------------------------------------------------------------------------


@rfc("5267", "3.2", 1, 2)
@pytest.mark.parametrize(
    ("returns", "told"),
    [
        ("", "ALL 3,1:2"),
        ("ALL", "ALL 3,1:2"),
        ("MIN", "MIN 3"),
        ("MAX", "MAX 2"),
        ("COUNT MAX MIN", "COUNT 3 MAX 2 MIN 3"),
        ("PARTIAL 1:2", "PARTIAL (1:2 3,1)"),
        ("PARTIAL -1:-2", "PARTIAL (-1:-2 1:2)"),
        ("PARTIAL 4:9", "PARTIAL (4:9 NIL)"),
        ("CONTEXT", ""),
    ],
)
def test_results_can_be_told_in_parts(three: ImapBench, returns: str, told: str) -> None:
    """RFC 5267 §3.1: the first in the order asked for is MIN."""
    client = three.select()
    for uid in ("", "UID "):
        answer = client.ok(f"{uid}SORT RETURN ({returns}) (SUBJECT) UTF-8 ALL")
        head = f'ESEARCH (TAG "{answer.tagged.tag}") {uid}{told}'
        assert client.told(answer) == [head.strip()]


def test_ranges_ascend_always(three: ImapBench) -> None:
    client = three.select()
    answer = client.ok("SORT RETURN () (REVERSE SIZE REVERSE SUBJECT) UTF-8 ALL")
    assert answer.one("ESEARCH").values[2:] == ["ALL", "2,1,3"]


def test_results_can_be_saved(three: ImapBench) -> None:
    """RFC 5182 §2.1: "$" has no order; what MIN names is the first one here."""
    client = three.select()
    for returns, saved in (("SAVE", "1 2 3"), ("SAVE MIN", "3"), ("SAVE PARTIAL 1:2", "1 3")):
        client.ok(f"SORT RETURN ({returns}) (SUBJECT) UTF-8 ALL")
        assert client.told(client.ok("SEARCH $")) == [f"SEARCH {saved}"]
    assert found(client, "SORT (SUBJECT) UTF-8 $") == [3, 1]
    assert client.no("SORT RETURN (SAVE) (SUBJECT) X-NONE ALL").code == "BADCHARSET"
    assert client.told(client.ok("SEARCH $")) == ["SEARCH"]


@rfc("7162", "3.1.9", 1)
@rfc("7162", "3.1.10", 2)
def test_the_highest_mod_sequence_is_told(three: ImapBench) -> None:
    client = three.select()
    client.ok("STORE 1 +FLAGS.SILENT (\\Seen)")
    top = int(client.ok("FETCH 1 MODSEQ").one("FETCH").values[2][1][0])
    program = f"(SUBJECT) UTF-8 MODSEQ {top - 1}"
    (reply,) = client.told(client.ok(f"SORT {program} 1"))
    assert reply == f"SORT 1 (MODSEQ {top})"
    assert client.told(client.ok(f"UID SORT (DATE) UTF-8 MODSEQ {top}"))[0] == reply
    assert client.told(client.ok(f"SORT (DATE) UTF-8 MODSEQ {top + 1}")) == ["SORT"]
    answer = client.ok(f"SORT RETURN (ALL) {program} 1")
    assert answer.one("ESEARCH").values[2:] == ["ALL", "1", "MODSEQ", str(top)]
    answer = client.ok(f"SORT RETURN (ALL) (DATE) UTF-8 MODSEQ {top + 1}")
    assert answer.one("ESEARCH").values[2:] == []


def test_uids_only(three: ImapBench) -> None:
    """RFC 9586 §3."""
    client = three.select()
    client.ok("ENABLE UIDONLY")
    assert client.bad("SORT (SUBJECT) UTF-8 ALL").code == "UIDREQUIRED"
    assert client.bad("UID SORT (SUBJECT) UTF-8 1").code == "UIDREQUIRED"
    assert found(client, "UID SORT (SUBJECT) UTF-8 UID 1:*") == [3, 1, 2]


def test_it_is_all_or_nothing(three: ImapBench) -> None:
    """RFC 9738 §3.3."""
    three.configure(message_limit=2)
    client = three.select()
    assert client.no("SORT (SUBJECT) UTF-8 ALL").code == "MESSAGELIMIT"
    assert found(client, "SORT (SUBJECT) UTF-8 2:3") == [3, 2]


def test_too_much_text_is_refused(three: ImapBench) -> None:
    """The memory for one SORT has an end."""
    view = three.select().running.session.current.selected.view
    long = b"Subject: %b\r\nFrom: %b\r\nTo: %b\r\n\r\n" % ((b"x" * 600,) * 3)
    keys = sort_keys(long)
    criteria = [(_sort.STRING + place, False) for place in range(6)]
    arguments = (criteria, lambda seq: keys, lambda seq: 1, lambda done, goal: None, False)
    assert _sort.order(view, array("I", [1, 2]), *arguments).tolist() == [1, 2]
    with pytest.raises(_sort.TooMuch):
        _sort.order(view, array("I", [1]) * 90_000, *arguments)


def test_encoded_words_of_any_charset(imap: ImapBench) -> None:
    """RFC 5255 §4.6: what cannot be decoded stands behind all that can."""
    broken = b"=?utf-8?b?" + b64encode(b"\xff\xfe") + b"?="
    imap.put("alice", b"Subject: %b\r\n\r\n" % broken)
    imap.put("alice", b"Subject: \xef\xbf\xbd\r\n\r\n", b"Subject: z\r\n\r\n")
    client = imap.select()
    assert found(client, "SORT (SUBJECT) UTF-8 ALL") == [3, 2, 1]
