"""Noise: commands that are half right, made of those that the transcripts and tests give."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from random import Random

from .imap import Closed, Imap, Reply

TRANSCRIPTS = Path(__file__).resolve().parents[1] / "transcripts"
_SAID = re.compile(r"^(?:\[pymaild\] )?\w+> \w+ ([A-Z].*)$", re.MULTILINE)
_VARIABLE = re.compile(r"\{[a-z]\w*(?:\+\d+)?\}")
_MESSAGE = b"A: b\r\n\r\nbody"
_MOST = 4096  # octets of a literal that is sent; longer ones are to be refused
_LITERAL = re.compile(rb"\{(\d+)(\+?)\}\r\n")
_TOKEN = re.compile(
    rb"~?\{(?:12|3)\+?\}\r\n(?:A: b\r\n\r\nbody|a b)"
    rb'|"(?:[^"\\]|\\.)*"|\r\n|[()\[\] ]|[^()\[\] "\r\n]+'
)

#: What may stand in any place: edges of numbers, sets, strings, names, dates and lists.
ODD = (
    *(b"0", b"1", b"2:*", b"*", b"$", b"4294967295", b"4294967296", b"9" * 30, b"-1:-2", b"1:2"),
    *(b'""', b'"', b"(", b")", b"()", b"[", b"]", b"<0.1>", b" ", b"  ", b"NIL", b"\\", b"\\Seen"),
    *(b"\0", b"\x01", b"\x7f", b"\xff", "ü".encode(), b"&", b"&APw-", b"&APw", b"%", b"{", b"{3}"),
    *(b"{3}\r\na b", b"{3+}\r\na b", b"~{3+}\r\na b", b"{0+}\r\n", b"{99999999999}"),
    *(
        b"{200000000}",
        b"\r",
        b"\n",
        b"\r\n",
        b"DONE",
        b"../../x",
        b"/",
        b".",
        b"a/b",
        b"cur",
        b"INBOX",
        b"inbox",
    ),
    *(b"1-Jan-2020", b'"31-Feb-2020"', b"UTF-8", b"(" * 60, b"NOT " * 60),
    *(b"x" * 3000, b"1," * 900),
)
#: What follows where the server asks for more: ends of IDLE and AUTHENTICATE, and others.
LINES = (b"DONE", b"done", b"*", b"", b"=", b"AGFsaWNlAHNlY3JldA==", b"YWxpY2U=", b"x NOOP")


@cache
def spoken() -> dict[str, list[bytes]]:
    """What clients say in the transcripts: the arguments, by the first word in capitals.

    A variable's place is taken by a number, that of a literal by a small message.
    """
    found: dict[str, list[bytes]] = {}
    for path in sorted(TRANSCRIPTS.glob("*/*.txt")):
        for line in _SAID.findall(path.read_text()):
            name, _, rest = _VARIABLE.sub("1", line).partition(" ")
            wire = re.sub(rb"\{(\+?)\}\Z", rb"{12\1}\r\n" + _MESSAGE, rest.encode())
            found.setdefault(name.upper(), []).append(wire)
    return found


def tokens(arguments: bytes) -> list[bytes]:
    """Cut arguments: spaces, brackets, strings and literals are tokens of their own."""
    return _TOKEN.findall(arguments)


class Noise:
    """Draws commands from good arguments of each, by the command's name."""

    def __init__(self, good: dict[str, list[bytes]]) -> None:
        self._good = {name: sorted(set(texts)) for name, texts in good.items()}
        self._own = {name: _words(texts) for name, texts in good.items()}
        self._all = _words([text for texts in good.values() for text in texts])

    def command(self, chance: Random, name: str) -> bytes:
        """The command with good arguments, or with such as have been spoilt in a few places."""
        words = tokens(chance.choice(self._good[name]))
        for _ in range(chance.choice((0, 0, 1, 1, 1, 2, 4))):
            own = self._own[name] or ODD
            self._spoil(chance, words, chance.choice((own, own, own, self._all, ODD)))
        return name.encode() + b"".join(words)

    def _spoil(self, chance: Random, words: list[bytes], others: Sequence[bytes]) -> None:
        """One word becomes another, comes or goes, or something is squeezed in."""
        other, how = chance.choice(others), chance.random()
        places = [place for place, word in enumerate(words) if word not in b" ()"] or [0]
        place = chance.choice(places)
        if how < 0.7:
            words[place : place + 1] = [other] if words else [b" ", other]
        elif how < 0.85:
            words[place:place] = [other, b" "] if words else [b" ", other]
        elif how < 0.95:
            del words[place : place + 1]
        else:
            words.insert(chance.randrange(len(words) + 1), other)


def _words(texts: Iterable[bytes]) -> list[bytes]:
    return sorted({word for text in texts for word in tokens(text)} - {b" "})


def _pieces(wire: bytes) -> Iterator[bytes]:
    """Cut a command behind each announcement of a literal that waits; what lacks is filled up."""
    start = place = 0
    while found := _LITERAL.search(wire, place):
        place = found.end()
        missing = place + min(int(found[1]), _MOST) + 2 - len(wire)
        if missing > 0:
            wire += b" " * missing + b"\r\n"
        if not found[2]:
            yield wire[start:place]
            start = place
        place += int(found[1])
    yield wire[start:]


def tell(client: Imap, chance: Random, command: bytes) -> bool:
    """Send noise and read what it is answered; false when that was the end of the session.

    Whatever has become of it, a NOOP behind it is answered under its own tag.
    """
    tag = client.tag()
    try:
        status = _told(client, chance, tag, _pieces(b"%b %b\r\n" % (tag.encode(), command)))
        if status == "OK" and command.startswith((b"LOGOUT", b"STARTTLS")):
            return False
        return _heard(client, client.start("NOOP")).name == "OK"
    except ConnectionError:
        return False


def _told(client: Imap, chance: Random, tag: str, pieces: Iterator[bytes]) -> str:
    """Send the pieces as they are asked for, and lines of all kinds behind them."""
    reply = None
    for piece in pieces:
        client.send(piece)
        reply = _heard(client, tag, "+")
        if reply.tag == tag:
            return reply.name
    while reply is not None and reply.tag == "+":
        client.send(chance.choice(LINES) + b"\r\n")
        reply = _heard(client, tag, "+")
    return reply.name if reply else ""


def _heard(client: Imap, *tags: str) -> Reply:
    """Read up to a reply with one of these tags. Raises Closed behind a BYE."""
    bye = False
    while True:
        try:
            reply = client.read()
        except Closed:
            assert bye, "closed without a BYE"
            raise
        if reply.tag in tags:
            return reply
        bye = reply.name == "BYE"
