"""The registers, tests/rfc/NUMBER.toml: what is known of an RFC without its text."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .texts import Sentence

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "rfc"

_TOLD_A_CLIENT = re.compile(
    r"\b(?:clients?|client implementations?)\b[^.;:]{0,60}?"
    r"\b(?:MUST|SHALL|SHOULD|RECOMMENDED|REQUIRED)\b",
    re.IGNORECASE,
)

Place = tuple[str, int]


@dataclass
class Entry:
    """One sentence: the hash of its words; why it is not applicable; words of our own on it."""

    hash: str
    reason: str = ""
    about: str = ""


@dataclass
class Register:
    """One RFC. ``supports``: what of it the server does, for the public table."""

    number: str
    title: str
    supports: str = ""
    entries: dict[Place, Entry] = field(default_factory=dict)

    @property
    def bound(self) -> set[Place]:
        """The sentences a test has to prove."""
        return {place for place, entry in self.entries.items() if not entry.reason}

    def renew(self, sentences: Iterable[Sentence]) -> None:
        """Take in the sentences of the text; what was said of a sentence stays with its words."""
        known: dict[str, list[Entry]] = {}
        for entry in self.entries.values():
            known.setdefault(entry.hash, []).append(entry)
        self.entries = {}
        for sentence in sentences:
            before = known.get(sentence.hash)
            entry = before.pop(0) if before else Entry(sentence.hash, guess(sentence))
            self.entries[sentence.section, sentence.number] = entry

    def save(self, folder: Path = FOLDER) -> None:
        """Write the register."""
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(self._lines())
        (folder / f"{self.number}.toml").write_text(text, "utf-8")

    def _lines(self) -> Iterator[str]:
        yield f"title = {_quoted(self.title)}\nsupports = {_quoted(self.supports)}\n"
        section = ""
        for (where, number), entry in self.entries.items():
            if where != section:
                section = where
                yield f'\n["{section}"]\n'
            parts = {"hash": entry.hash, "reason": entry.reason, "about": entry.about}
            said = ", ".join(f"{name} = {_quoted(text)}" for name, text in parts.items() if text)
            yield f"{number} = {{ {said} }}\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def guess(sentence: Sentence) -> str:
    """A first opinion: a sentence that speaks of clients alone binds no server."""
    told = _TOLD_A_CLIENT.search(sentence.text)
    return "client" if told and "server" not in sentence.text.lower() else ""


def load(number: str, folder: Path = FOLDER) -> Register:
    """Read one register."""
    data = tomllib.loads((folder / f"{number}.toml").read_text("utf-8"))
    made = Register(number, data.pop("title"), data.pop("supports"))
    for section, entries in data.items():
        for name, parts in entries.items():
            made.entries[section, int(name)] = Entry(**parts)
    return made


def load_all(folder: Path = FOLDER) -> dict[str, Register]:
    """Read all registers, by number."""
    numbers = sorted((path.stem for path in folder.glob("*.toml")), key=int)
    return {number: load(number, folder) for number in numbers}
