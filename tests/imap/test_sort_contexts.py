"""SORT whose changes are told: RFC 5267 §4.3 with positions in the order asked for."""

from __future__ import annotations

import random

import pytest

from tests.imap.conftest import Answer, Client, ImapBench, Reply
from tests.support.rfc import rfc


def message(subject: str, date: str = "1 Jan 2020 10:00:00 +0000") -> bytes:
    return f"Subject: {subject}\r\nDate: {date}\r\n\r\n".encode()


@pytest.fixture
def three(imap: ImapBench) -> ImapBench:
    """Alice has three messages, the last of which comes first by its subject."""
    imap.put("alice", *(message(subject) for subject in "bda"))
    return imap


def watch(client: Client, program: str, by_uid: bool = True) -> str:
    """Begin a context; returns its correlator."""
    tag = client.start(f"{'UID ' if by_uid else ''}SORT RETURN (UPDATE) {program}")
    answer = client.finish(tag)
    assert answer.status == "OK"
    assert not answer.codes()
    return f'ESEARCH (TAG "{tag}"){" UID" if by_uid else ""}'


def told(answer: Answer) -> list[str]:
    """What is told of contexts, and of numbers that change."""
    lines = [reply.raw[2:-2].decode() for reply in answer.untagged]
    return [line for line in lines if "RECENT" not in line and "FETCH" not in line]


@rfc("5267", "4.3", 3)
@rfc("5267", "4.3.2", 2)
@rfc("5267", "4.3.4", 2)
def test_what_comes_and_goes_has_a_position(three: ImapBench) -> None:
    client, other = three.select(), three.select()
    sorted_ = watch(client, "(SUBJECT) UTF-8 ALL")
    unseen = watch(client, "(REVERSE SUBJECT) UTF-8 UNSEEN", by_uid=False)
    three.put("alice", message("c"), message("e"), message("bb"), message("f"))
    assert told(client.ok("NOOP")) == [
        "7 EXISTS",
        f"{sorted_} ADDTO (3 6,4 6 5,7)",
        f"{unseen} ADDTO (1 7,5 4 4,6)",
    ]
    other.ok("NOOP")
    other.ok("STORE 2,5 +FLAGS.SILENT (\\Seen)")
    assert told(client.ok("NOOP")) == [f"{unseen} REMOVEFROM (2 5,2)"]
    other.ok("STORE 5 -FLAGS.SILENT (\\Seen)")
    assert told(client.ok("NOOP")) == [f"{unseen} ADDTO (2 5)"]
    other.ok("STORE 3:4 +FLAGS.SILENT (\\Deleted)")
    other.ok("EXPUNGE")
    assert told(client.ok("NOOP")) == [
        f"{sorted_} REMOVEFROM (1 3 3 4)",
        f"{unseen} REMOVEFROM (3 4 5 3)",
        *("4 EXPUNGE", "3 EXPUNGE"),
    ]


@rfc("5267", "4.3.1", 1, 2)
def test_searches_and_sorts_are_counted_together(three: ImapBench) -> None:
    three.configure(contexts=2)
    client = three.select()
    client.ok("SEARCH RETURN (UPDATE) ALL")
    first = watch(client, "(SUBJECT) UTF-8 SEEN")
    answer = client.ok("SORT RETURN (UPDATE COUNT) (DATE) UTF-8 ALL")
    assert told(answer) == [
        f'ESEARCH (TAG "{answer.tagged.tag}") COUNT 3',
        f'NO [NOUPDATE "{answer.tagged.tag}"] Too many searches are updated',
    ]
    client.ok(f'CANCELUPDATE "{first.split(chr(34))[1]}"')
    watch(client, "(DATE) UTF-8 ALL")


@rfc("5267", "4.3", 2)
def test_a_tag_names_one_context(three: ImapBench) -> None:
    client = three.select()
    client.send(b"x SORT RETURN (UPDATE) (DATE) UTF-8 ALL\r\n")
    assert client.finish("x").status == "OK"
    for line in (b"x SEARCH RETURN (UPDATE) ALL\r\n", b"x SORT RETURN (UPDATE) (DATE) UTF-8 1\r\n"):
        client.send(line)
        assert client.finish("x").status == "BAD"


def test_contexts_go_on_in_another_process(three: ImapBench) -> None:
    """The record has no order: it is that of the criteria and the comparator of then."""
    client, other = three.select(), three.select()
    client.ok("COMPARATOR i;octet")
    cased = watch(client, "(REVERSE SUBJECT) UTF-8 ALL")
    client.ok("COMPARATOR default")
    folded = watch(client, "(SUBJECT DATE) UTF-8 SUBJECT {1+}\r\na 1:*", by_uid=False)
    client = three.resume(client)
    other.ok("UID STORE 3 +FLAGS.SILENT (\\Deleted)")
    other.ok("EXPUNGE")
    three.put("alice", message("A"), message("C"), message("a"))
    lines = told(client.ok("NOOP"))
    assert lines == [
        f"{cased} REMOVEFROM (3 3)",
        f"{folded} REMOVEFROM (1 3)",
        "3 EXPUNGE",
        "5 EXISTS",
        f"{cased} ADDTO (3 6,5,4)",
    ]


def test_a_program_that_cannot_be_read_again_is_given_up(three: ImapBench) -> None:
    client = three.select()
    tag = watch(client, "(DATE) UTF-8 (SEEN (SEEN (SEEN (SEEN (SEEN (SEEN))))))").split('"')[1]
    three.configure(nesting=5)
    client = three.resume(client)
    given_up = f'NO [NOUPDATE "{tag}"] This search is no longer possible'
    assert told(client.ok("NOOP")) == [given_up]
    assert told(client.ok("STORE 1 +FLAGS.SILENT (\\Seen)")) == []


# -- a client that believes what it is told ----------------------------------------------------

PROGRAMS = (
    "UID SORT RETURN (UPDATE ALL) (SUBJECT) UTF-8 ALL",
    "SORT RETURN (UPDATE ALL) (REVERSE DATE SUBJECT) UTF-8 UNSEEN",
    "UID SORT RETURN (UPDATE ALL) (SIZE REVERSE ARRIVAL) UTF-8 NOT FLAGGED",
    "SORT RETURN (UPDATE ALL) (DISPLAYFROM REVERSE SUBJECT) UTF-8 ALL",
)


class Believer:
    """Keeps sorted results, as UIDs, by what is told alone."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.uids = self.present()
        self.results: dict[str, tuple[str, list[int]]] = {}

    def present(self) -> list[int]:
        """The UIDs that the session has told its client of, in their order."""
        view = self.client.running.session.selection.selected.view
        return [view.uid(number) for number in range(1, len(view) + 1)]

    def watch(self, program: str) -> None:
        reply = self.client.ok(program).one("ESEARCH")
        found = self.named(reply, reply.values[-1]) if "ALL" in reply.values else []
        self.results[reply.values[1][1].decode()] = (program.partition(") ")[2], found)

    def named(self, reply: Reply, text: str) -> list[int]:
        """The UIDs of a set, in its order."""
        spans = [tuple(map(int, piece.split(":"))) for piece in text.split(",")]
        numbers = [n for span in spans for n in range(span[0], span[-1] + 1)]
        return numbers if "UID" in reply.values else [self.uids[n - 1] for n in numbers]

    def follow(self, replies: list[Reply]) -> None:
        now = self.present()
        for reply in replies:
            if reply.name == "EXPUNGE":
                gone = self.uids.pop(reply.number - 1)
                assert not [program for program, found in self.results.values() if gone in found]
            elif reply.name == "EXISTS":
                self.uids += now[len(self.uids) : reply.number]
            elif reply.name == "ESEARCH":
                self.update(reply, self.results[reply.values[1][1].decode()][1])
        assert self.uids == now

    def update(self, reply: Reply, results: list[int]) -> None:
        """Each pair of position and set after the other (RFC 5267 §4.3.3, §4.3.4)."""
        words = reply.values[-1]
        for position, text in zip(words[::2], words[1::2], strict=True):
            uids, start = self.named(reply, text), int(position) - 1
            if reply.values[-2] == "ADDTO":
                assert 0 <= start <= len(results)
                results[start:start] = uids
            else:
                assert results[start : start + len(uids)] == uids
                del results[start : start + len(uids)]

    def check(self) -> None:
        self.follow(self.client.ok("NOOP").untagged)
        for program, results in self.results.values():
            found = self.client.ok(f"UID SORT {program}").one("SORT").values[1:]
            assert results == [int(uid) for uid in found], program


CHANGES = ["+FLAGS (\\Seen)", "-FLAGS (\\Seen)", "+FLAGS (\\Flagged)", "FLAGS ()"]


def mail(chance: random.Random) -> bytes:
    author = chance.choice(("Ann <x@y>", "z@y", "Carl <c@y>"))
    date = f"{chance.randrange(1, 4)} Jan 2020 10:00:00 +0000"
    subject = chance.choice(("Re: ", "", "[list] ")) + chance.choice("abcde")
    return f"From: {author}\r\n".encode() + message(subject, date) + b"x" * chance.randrange(4)


def act(actor: Client, chance: random.Random) -> Answer:
    """Something that changes the mailbox."""
    kind = chance.random()
    if kind < 0.3:
        return actor.append("INBOX", mail(chance), chance.choice(("", "(\\Seen)")))
    if kind < 0.4:
        return actor.ok("EXPUNGE")
    verb = chance.choice(CHANGES) if kind < 0.8 else "+FLAGS (\\Deleted)"
    low = chance.randrange(1, 25)
    return actor.ok(f"UID STORE {low}:{low + chance.randrange(5)} {verb}")


@rfc("5267", "4.3", 3)
@rfc("5267", "4.3.2", 2)
@pytest.mark.parametrize("seed", range(6))
def test_what_is_told_adds_up_to_the_results(imap: ImapBench, seed: int) -> None:
    chance = random.Random(seed)
    imap.put("alice", *(mail(chance) for _ in range(10)))
    client, other = imap.select(), imap.select()
    believer = Believer(client)
    for program in PROGRAMS:
        believer.watch(program)
    for step in range(50):
        if step in (20, 40):
            client = believer.client = imap.resume(client)
        actor = chance.choice((client, other))
        answer = act(actor, chance)
        if actor is client:
            believer.follow(answer.untagged)
        if chance.random() < 0.4:
            believer.check()
    believer.check()
