"""Reads the text of an RFC: pages unwrapped, sections, the sentences that state a requirement."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

#: RFC 2119 §1-§4. Before it capitals meant nothing, and all letters count.
_WORDS = r"(?:MUST|SHALL|SHOULD|REQUIRED|RECOMMENDED)"
_CAPITALS = re.compile(rf"\b{_WORDS}\b")
_ANY_CASE = re.compile(rf"\b{_WORDS}\b", re.IGNORECASE)
_FIRST_WITH_CAPITALS = 2119

_FOOTER = re.compile(r".*\[Page [0-9ivx]+\]\s*\Z", re.IGNORECASE)
_HEADER = re.compile(r"RFC \d+ .* \d{4}\s*\Z")
_HEADING = re.compile(r"(?:Appendix )?((?:\d+|[A-Z])(?:\.\d+)*)(?:\.|(?=\s))\s+\S")
_CONTENTS = re.compile(r"\.{3,}|(?:\. ){3,}|\s\d+\s*\Z")
_ITEM = re.compile(r"\s*(?:[-o*+]|\(?\d+[.)]|\(?[a-zA-Z][.)])\s+\S")
_COMMENT = re.compile(r".*?(?:^|\s);+(?:\s|\Z)(.*)")
_END = re.compile(r"""(?<![.\s][a-z])(?<!etc)(?<!vs)[.!?]["')\]]*\s+(?=["'(\[*\\]*[A-Z0-9])""")
_DEFINITION = re.compile(r"key ?words? |interpreted as described in|specification requirement term")


@dataclass(frozen=True)
class Sentence:
    """One sentence with a requirement: its section, its number there from 1, its words."""

    section: str
    number: int
    text: str

    @property
    def hash(self) -> str:
        """What tells it from other sentences, whatever its spaces and line ends are."""
        words = "".join(self.text.split())
        return hashlib.sha256(words.encode()).hexdigest()[:8]


def find(number: str, folders: Iterable[Path]) -> Path | None:
    """Return the file that holds the text, or None."""
    paths = (folder / f"rfc{int(number)}.txt" for folder in folders)
    return next((path for path in paths if path.is_file()), None)


def title(text: str) -> str:
    """Return the RFC's title: the first lines behind its head of two columns."""
    blocks = [block for block in re.split(r"\n\s*\n", text.lstrip("\ufeff \n")) if block.strip()]
    return " ".join(blocks[1].split())


def sentences(number: str, text: str) -> list[Sentence]:
    """Return the sentences that state a requirement, in their order."""
    words = _CAPITALS if int(number) >= _FIRST_WITH_CAPITALS else _ANY_CASE
    found: list[Sentence] = []
    counts: dict[str, int] = {}
    for section, paragraph in _paragraphs(_lines(text)):
        for sentence in _END.sub(lambda end: end[0].rstrip() + "\0", paragraph).split("\0"):
            if words.search(sentence) and not _DEFINITION.search(sentence):
                counts[section] = counts.get(section, 0) + 1
                found.append(Sentence(section, counts[section], sentence))
    return found


def _lines(text: str) -> list[str]:
    """The lines without the feet and heads of pages; a sentence goes on over a page's end."""
    lines: list[str] = []
    for page in text.lstrip("\ufeff").split("\f"):
        fresh = page.split("\n")
        _strip(fresh, 0, _HEADER)
        _strip(fresh, -1, _FOOTER)
        going_on = lines and fresh and not re.search(r"""[.:!?]["')]*\s*\Z""", lines[-1])
        lines += fresh if going_on else ["", *fresh]
    return lines


def _strip(lines: list[str], end: int, furniture: re.Pattern[str]) -> None:
    while lines and (not lines[end].strip() or furniture.match(lines[end])):
        lines.pop(end)


def _paragraphs(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Sections and the paragraphs in them; list items and comments of grammar are paragraphs."""
    section, pieces = "0", list[str]()
    commented = False
    for line in (*lines, ""):
        heading = _heading(line, section)
        comment = _COMMENT.match(line)
        ends = heading or not line.strip() or _ITEM.match(line) or commented != bool(comment)
        if ends and pieces:
            yield section, " ".join(" ".join(pieces).split())
            pieces = []
        section, commented = heading or section, bool(comment)
        if line.strip() and not heading and "....." not in line:
            pieces.append(comment[1] if comment else line)


def _heading(line: str, before: str) -> str | None:
    """The section that a line opens: the next one, a first one within, or one further up."""
    found = _HEADING.match(line)
    if not found or _CONTENTS.search(line):
        return None
    return found[1] if found[1] in _following(before) else None


def _following(section: str) -> set[str]:
    """The numbers that may come next; an appendix may follow anything."""
    parts = section.split(".")
    allowed = {f"{section}.1", f"{section}.0", "1", "A"}
    for length in range(1, len(parts) + 1):
        *head, last = parts[:length]
        after = str(int(last) + 1) if last.isdigit() else chr(ord(last) + 1)
        allowed.add(".".join([*head, after]))
    return allowed
