"""Reads a transcript into steps; tests/support/transcript.py tells the format and plays them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

SERVERS = ("pymaild", "dovecot")
MORE = "..."

Pieces = list[str | bytes]

_ONLY = re.compile(r"\[(pymaild|dovecot)\] ")
_SPOKEN = re.compile(r"(\w+)([<>])(?: (.*)|\Z)")
_ESCAPED = re.compile(rb"\\x([0-9a-fA-F]{2})")


class BadScript(ValueError):
    """A transcript that cannot be read; its text says the line and why."""


@dataclass
class Step:
    """One step: ``verb`` is "<", ">" or a word of the set-up; ``words`` are its arguments.

    ``who`` names the connection of "<" and ">"; ``pieces`` is what is sent or expected there, or
    the message of "mail": texts, and octets for literals. ``only`` names one server, or is "".
    """

    line: int
    verb: str
    who: str = ""
    words: list[str] = field(default_factory=list)
    pieces: Pieces = field(default_factory=list)
    only: str = ""

    @property
    def text(self) -> str:
        """What is sent or expected, without literals."""
        return "".join(piece for piece in self.pieces if isinstance(piece, str))


@dataclass
class Script:
    """A transcript that was read. ``without``: servers it is not for, with the reasons."""

    needs: list[str] = field(default_factory=list)
    without: dict[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    def steps_for(self, server: str) -> list[Step]:
        """The steps that one server is to take."""
        return [step for step in self.steps if step.only in ("", server)]


_ARGUMENTS = {
    "connect": (1, 3),
    "close": (1, 1),
    "deflate": (1, 1),
    "mailbox": (1, 2),
    "mail": (1, 9),
}


def parse(text: str) -> Script:
    """Read a transcript. Raises BadScript."""
    script, noted = Script(), False
    for number, line in enumerate(text.splitlines(), 1):
        try:
            noted = _take(script, number, line, noted)
        except (ValueError, IndexError) as error:
            raise BadScript(f"line {number}: {error}: {line}") from error
    if not script.steps:
        raise BadScript("no step")
    return script


def _take(script: Script, number: int, line: str, noted: bool) -> bool:
    """Take in one line; returns whether the next one may be for one server alone."""
    if not line.strip() or line.startswith("#"):
        return False
    if line.startswith(("|", ">")):
        _continue(script.steps[-1], line)
        return noted
    only = _ONLY.match(line)
    if only and not noted:
        raise ValueError("a line for one server needs a note that says why")
    verb, *words = line.split() if not only else [""]
    if verb in _HEADS:
        _HEADS[verb](script, words)
        return verb == "note"
    script.steps.append(_step(number, line[only.end() :] if only else line))
    script.steps[-1].only = only[1] if only else ""
    return noted and bool(only)


def _step(number: int, line: str) -> Step:
    spoken = _SPOKEN.match(line)
    if spoken:
        return Step(number, spoken[2], spoken[1], pieces=[spoken[3] or ""])
    verb, *words = line.split()
    if verb not in _ARGUMENTS:
        raise ValueError("unknown verb")
    least, most = _ARGUMENTS[verb]
    if not least <= len(words) <= most:
        raise ValueError("wrong number of words")
    return Step(number, verb, words=words)


def _continue(step: Step, line: str) -> None:
    """``| line of a literal`` or ``> what follows the literal``."""
    if line.startswith(">"):
        if not isinstance(step.pieces[-1], bytes):
            raise ValueError("only a literal is continued")
        step.pieces.append(line[2:])
        return
    octets = _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), line[2:].encode())
    if step.pieces and isinstance(step.pieces[-1], bytes):
        step.pieces[-1] += b"\r\n" + octets
    elif step.verb == "mail" or step.text.endswith(("{}", "{+}")):
        step.pieces.append(octets)
    else:
        raise ValueError("no literal was announced")


def _needs(script: Script, words: list[str]) -> None:
    script.needs += words


def _without(script: Script, words: list[str]) -> None:
    if words[0] not in SERVERS or len(words) < 3:
        raise ValueError("without SERVER and the reason")
    script.without[words[0]] = " ".join(words[1:])


def _said(script: Script, words: list[str]) -> None:
    """What other readers need: `proves` is read by tools.rfc, `note` by people."""
    if len(words) < 3:
        raise ValueError("say more")


_HEADS = {"needs": _needs, "without": _without, "proves": _said, "note": _said}


def blocks(steps: list[Step]) -> Iterator[list[Step]]:
    """Steps one by one, but what stands between ``A< {`` and ``A< }`` together."""
    block: list[Step] = []
    for step in steps:
        opens, closes = (step.verb == "<" and step.text == sign for sign in "{}")
        if opens or block:
            block.append(step)
        if closes and block:
            yield block[1:-1]
            block = []
        elif not block:
            yield [step]
    if block:
        raise BadScript(f"line {block[0].line}: the block has no end")
