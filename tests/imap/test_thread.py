"""THREAD and UID THREAD (RFC 5256 §3, §4), against the RFC's steps taken one by one."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.imap.conftest import Client, ImapBench
from tests.support.rfc import rfc

START = datetime(2024, 1, 1, tzinfo=UTC)


def mail(
    identity: str = "",
    references: Sequence[str] = (),
    subject: str = "",
    date: int | None = None,
    parent: str = "",
) -> bytes:
    """A message, sent ``date`` hours after START; without a date it has none."""
    lines = ["From: ann@example.org"]
    lines += [f"Subject: {subject}"] if subject else []
    lines += [f"Message-ID: <{identity}@x>"] if identity else []
    lines += [f"References: {' '.join(f'<{name}@x>' for name in references)}"] if references else []
    lines += [f"In-Reply-To: <{parent}@x>"] if parent else []
    if date is not None:
        lines.append(f"Date: {format_datetime(START + timedelta(hours=date))}")
    return "\r\n".join([*lines, "", "text", ""]).encode()


def threaded(imap: ImapBench, *messages: bytes) -> Client:
    imap.put("alice", *messages)
    return imap.select()


def thread(client: Client, algorithm: str = "REFERENCES", keys: str = "ALL") -> str:
    """What stands behind "* THREAD"."""
    raw = client.ok(f"THREAD {algorithm} UTF-8 {keys}").one("THREAD").raw
    return raw[len(b"* THREAD") : -2].decode().lstrip(" ")


# -- the RFC's steps ---------------------------------------------------------------------------


@dataclass(eq=False)
class Node:
    """A message, a dummy or the root, as the RFC speaks of them."""

    number: int = 0  # 0: a dummy
    date: tuple[int, int] = (0, 0)
    subject: str = ""
    reply: bool = False
    arrived: int = 0
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)

    def unlink(self) -> None:
        if self.parent is not None:
            self.parent.children.remove(self)
            self.parent = None

    def adopt(self, child: Node) -> None:
        child.unlink()
        child.parent = self
        self.children.append(child)

    def is_below(self, other: Node) -> bool:
        node: Node | None = self
        while node is not None and node is not other:
            node = node.parent
        return node is other

    def key(self) -> tuple[int, int]:
        """A dummy is sorted by its first child, whose siblings are sorted by then."""
        return self.date if self.number else min(child.key() for child in self.children)

    def first(self) -> Node:
        return self if self.number else min(self.children, key=Node.key)


@dataclass(frozen=True)
class Mail:
    """A message as the oracle sees it: identity "" is none; ``reply``: its subject has "Re:"."""

    number: int
    identity: str
    references: tuple[str, ...]
    subject: str
    reply: bool
    date: int
    arrived: int

    def octets(self) -> bytes:
        subject = "Re: " * self.reply + self.subject
        return mail(self.identity, self.references, subject, self.date)


def linked(messages: Sequence[Mail]) -> Node:
    """Steps 1 to 4."""
    root = Node()
    for node in chained(messages):
        if node.parent is None:
            root.adopt(node)
    prune(root)
    for node in list(root.children):  # what is left of dummies with one child or none
        if not node.number and len(node.children) == 1:
            root.adopt(node.children[0])
        if not node.number and not node.children:
            node.unlink()
    root.children.sort(key=Node.key)
    return root


def chained(messages: Sequence[Mail]) -> list[Node]:
    """Step 1."""
    named: dict[str, Node] = {}
    for one in messages:
        node = named.get(one.identity) if one.identity else None
        if node is None or node.number:
            node = Node()
            if one.identity:
                named.setdefault(one.identity, node)
        node.number, node.date = one.number, (one.date, one.number)
        node.subject, node.reply, node.arrived = one.subject, one.reply, one.arrived
        chain = [named.setdefault(name, Node()) for name in one.references]
        for parent, child in pairwise(chain):
            if child.parent is None and not parent.is_below(child):
                parent.adopt(child)
        node.unlink()
        if chain and not chain[-1].is_below(node):
            chain[-1].adopt(node)
        if not one.identity or named[one.identity] is not node:
            named[f"unique {one.number}"] = node
    return list(named.values())


def prune(node: Node) -> None:
    """Step 3: bottom up, dummies give their children to their parents, except below the root."""
    for child in list(node.children):
        prune(child)
        if not child.number and node.parent is not None:
            for grandchild in list(child.children):
                node.adopt(grandchild)
            child.unlink()


def merged(root: Node) -> None:
    """Step 5."""
    heads = [head for head in root.children if head.first().subject]
    table: dict[str, Node] = {}
    for head in heads:
        held = table.setdefault(head.first().subject, head)
        if held.number and (not head.number or (held.reply and not head.reply)):
            table[head.first().subject] = head
    for head in heads:
        subject = head.first().subject
        if table[subject] is not head and head.parent is root:
            table[subject] = joined(root, head, table[subject])


def joined(root: Node, head: Node, held: Node) -> Node:
    """Step 5 (C): returns what the table holds then."""
    if not head.number and not held.number:
        for child in list(head.children):
            held.adopt(child)
        head.unlink()
    elif not held.number or (head.reply and not held.reply):
        held.adopt(head)
    else:
        dummy = Node()
        root.adopt(dummy)
        dummy.adopt(head)
        dummy.adopt(held)
        return dummy
    return held


def in_order(node: Node) -> None:
    """Step 6: the youngest siblings first."""
    for child in node.children:
        in_order(child)
    node.children.sort(key=Node.key)


def latest(node: Node) -> int:
    return max([node.arrived, *map(latest, node.children)])


def written(node: Node) -> str:
    """thread-list without its parentheses."""
    own = [str(node.number)] if node.number else []
    if len(node.children) == 1:
        return " ".join([*own, written(node.children[0])])
    below = "".join(f"({written(child)})" for child in node.children)
    return " ".join([*own, below] if below else own)


def references(messages: Sequence[Mail]) -> str:
    root = linked(messages)
    merged(root)
    in_order(root)
    return "".join(f"({written(head)})" for head in root.children)


def refs(messages: Sequence[Mail]) -> str:
    root = linked(messages)
    in_order(root)
    root.children.sort(key=latest)
    return "".join(f"({written(head)})" for head in root.children)


def ordered_subject(messages: Sequence[Mail]) -> str:
    groups: dict[str, list[tuple[int, int]]] = {}
    for one in messages:
        groups.setdefault(one.subject, []).append((one.date, one.number))
    root = Node()
    for group in sorted(map(sorted, groups.values())):
        (_, head), *others = group
        root.adopt(Node(head, children=[Node(number) for _, number in others]))
    return "".join(f"({written(head)})" for head in root.children)


ORACLES = {"ORDEREDSUBJECT": ordered_subject, "REFERENCES": references, "REFS": refs}


def pool(count: int) -> list[Mail]:
    """Messages that name each other, in loops, twice and with gaps."""
    chance = random.Random(5256)
    names = "abcdefghijklmnopqrst"
    return [
        Mail(
            number,
            chance.choice(names) if chance.random() < 0.8 else "",
            tuple(chance.choices(names, k=chance.randrange(5))),
            chance.choice(["", "one", "two", "three", "four"]),
            chance.random() < 0.4,
            chance.randrange(count // 2),
            chance.randrange(count // 2),
        )
        for number in range(1, count + 1)
    ]


def append(client: Client, one: Mail) -> None:
    arrived = (START + timedelta(hours=one.arrived)).strftime("%d-%b-%Y %H:%M:%S +0000")
    octets = one.octets()
    client.ok(f'APPEND INBOX "{arrived}" {{{len(octets)}+}}\r\n'.encode() + octets)


@rfc("5256", "3", 6)
def test_the_steps_of_the_rfc(imap: ImapBench) -> None:
    """Any messages of a mailbox are threaded as the steps say, taken one by one."""
    messages = pool(150)
    client = imap.select()
    for one in messages:
        append(client, one)
    client.ok("NOOP")

    @settings(max_examples=200, deadline=None, derandomize=True)
    @given(st.sets(st.sampled_from(range(150)), min_size=1, max_size=25))
    def check(chosen: set[int]) -> None:
        picked = [messages[place] for place in sorted(chosen)]
        keys = ",".join(str(one.number) for one in picked)
        for algorithm, oracle in ORACLES.items():
            assert thread(client, algorithm, keys) == oracle(picked), (algorithm, picked)

    check()
    for algorithm, oracle in ORACLES.items():
        assert thread(client, algorithm) == oracle(messages)


# -- shapes and particular cases ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ([], ""),
        ([mail("a", date=2), mail("b", date=1)], "(2)(1)"),
        ([mail("a"), mail("b", ["a"]), mail("c", ["a", "b"])], "(1 2 3)"),
        ([mail("a"), mail("b", ["a"], date=3), mail("c", ["a"], date=2)], "(1 (3)(2))"),
        ([mail("b", ["a"]), mail("c", ["a"])], "((1)(2))"),
        ([mail("b", ["a"])], "(1)"),
        ([mail("c", ["a", "b"]), mail("d", ["a"])], "((1)(2))"),
        ([mail("c", parent="a"), mail("a", date=0)], "(2 1)"),
        ([mail("a", ["a"])], "(1)"),
        ([mail("a", ["b"]), mail("b", ["a"])], "(2 1)"),
        ([mail("a", ["c"]), mail("b", ["a"]), mail("c", ["b"])], "(3 1 2)"),
        ([mail("a"), mail("a"), mail("b", ["a"])], "(1 3)(2)"),
        ([mail("", ["a"]), mail("", ["a"])], "((1)(2))"),
        ([mail("a"), mail("A"), mail("c", ["A"])], "(1)(2 3)"),
        ([mail("a", subject="x"), mail("b", subject="Re: x")], "(1 2)"),
        ([mail("a", subject="re: x"), mail("b", subject="X")], "(2 1)"),
        ([mail("a", subject="x"), mail("b", subject="x")], "((1)(2))"),
        ([mail("a", subject="Re:"), mail("b", subject="Re:")], "(1)(2)"),
        ([mail("a", subject="x (fwd)"), mail("b", subject="[fwd: x]")], "((1)(2))"),
        ([mail("b", ["a"], "x"), mail("c", ["a"]), mail("d", subject="x")], "((1)(2)(3))"),
        (
            [mail(name, [parent], "x") for name, parent in ("bA", "cA", "dB", "eB")],
            "((1)(2)(3)(4))",
        ),
    ],
)
def test_references(imap: ImapBench, messages: list[bytes], found: str) -> None:
    """Where no date says otherwise the mailbox's order counts."""
    assert thread(threaded(imap, *messages)) == found


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ([mail(subject="y", date=2), mail(subject="Re: x", date=1)], "(2)(1)"),
        ([mail(subject="x", date=3), mail(subject="Re: x", date=1)], "(2 1)"),
        ([mail(subject=subject) for subject in ("x", "fwd: X", "re: x")], "(1 (2)(3))"),
        ([mail("a"), mail("b", subject="Re: ")], "(1 2)"),
        ([mail("a", subject="x"), mail("b", ["a"], subject="y")], "(1)(2)"),
    ],
)
def test_ordered_subject(imap: ImapBench, messages: list[bytes], found: str) -> None:
    assert thread(threaded(imap, *messages), "ORDEREDSUBJECT") == found


def test_numbers_and_uids(imap: ImapBench) -> None:
    """What THREAD is given are search keys; what it tells are numbers, or UIDs."""
    client = threaded(imap, *(mail("a", date=1), mail("b", ["a"], "kept"), mail("c", ["b"])))
    client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    client.ok("EXPUNGE")
    assert thread(client) == "(1 2)"
    assert thread(client, keys="UID 2:3 SUBJECT kept") == "(1)"
    assert client.ok("UID THREAD REFS UTF-8 1:2").one("THREAD").raw == b"* THREAD (2 3)\r\n"
    client.no("THREAD REFERENCES X-UNKNOWN ALL")
    client.bad("THREAD REFERENCES UTF-8")
    client.bad("THREAD X-OTHER UTF-8 ALL")


def test_uidonly_refuses_numbers(imap: ImapBench) -> None:
    client = threaded(imap, mail("a"), mail("b", ["a"]))
    client.ok("ENABLE UIDONLY")
    client.bad("THREAD REFERENCES UTF-8 ALL")
    assert client.ok("UID THREAD REFERENCES UTF-8 ALL").one("THREAD").raw == b"* THREAD (1 2)\r\n"


def test_the_comparator_says_which_subjects_are_one(imap: ImapBench) -> None:
    """RFC 5255 §4.4."""
    client = threaded(imap, mail("a", subject="x"), mail("b", subject="Re: X"))
    assert thread(client) == thread(client, "ORDEREDSUBJECT") == "(1 2)"
    client.ok("COMPARATOR i;octet")
    assert thread(client) == thread(client, "ORDEREDSUBJECT") == "(1)(2)"


def test_a_mailbox_too_large_is_refused(imap: ImapBench) -> None:
    """RFC 9738 §3.3."""
    imap.settings = replace(imap.settings, message_limit=2)
    client = threaded(imap, mail("a"), mail("b"), mail("c"))
    assert client.no("THREAD REFERENCES UTF-8 ALL").code == "MESSAGELIMIT"
    assert thread(client, keys="2:3") == "(2)(3)"


def test_others_expunge_what_is_threaded(imap: ImapBench) -> None:
    """A message that is gone stands alone; its number is told to be free later."""
    client = threaded(imap, mail("a"), mail("b", ["a"]), mail("c", ["a"]))
    other = imap.select()
    other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
    other.ok("EXPUNGE")
    answer = client.ok("THREAD REFERENCES UTF-8 ALL")
    assert not answer.named("EXPUNGE")
    assert sorted(int(one) for one in re.findall(rb"[0-9]+", answer.one("THREAD").raw)) == [1, 2, 3]
    assert client.ok("NOOP").named("EXPUNGE")
