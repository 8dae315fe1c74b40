"""Registers and markers side by side: the table, the faults, the public page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from . import texts
from .markers import Marker
from .register import Place, Register

PAGE = "docs/rfc.md"

_HEAD = """\
# What is supported, and what shows it

For each RFC: what of it the server does; how many of its sentences ask something of a server
(MUST, SHALL, REQUIRED, SHOULD, RECOMMENDED and their negations; in older RFCs these words in any
letters); how many of those a test proves; and how many do not apply: they bind clients or authors
of other documents, or something the server does not have. `python -m tools.rfc list NUMBER` names
the tests, sentence by sentence. This page is generated (`make docs`).

| RFC | Title | What is supported | Bound | Proven | Not applicable |
|---|---|---|---:|---:|---:|
"""


class Report:
    """All registers, and for each sentence the tests that prove it."""

    def __init__(self, registers: dict[str, Register], markers: Iterable[Marker]) -> None:
        self.registers = registers
        self.markers = list(markers)
        self.proofs: dict[tuple[str, Place], list[str]] = {}
        for marker in self.markers:
            for sentence in marker.sentences:
                place = marker.section, sentence
                self.proofs.setdefault((marker.number, place), []).append(marker.test)

    def proven(self, register: Register) -> set[Place]:
        """The sentences of an RFC that a test proves."""
        return {place for place in register.bound if (register.number, place) in self.proofs}

    def unproven(self, register: Register) -> list[Place]:
        """The sentences that bind the server and that nothing proves yet, in their order."""
        proven = self.proven(register)
        return [place for place in register.entries if place in register.bound - proven]

    def faults(self) -> Iterator[str]:
        """What is wrong: markers that point nowhere, or at what is said not to apply."""
        for (number, place), tests in self.proofs.items():
            where = f"RFC {number} section {place[0]} sentence {place[1]}"
            register = self.registers.get(number)
            if register is None:
                yield f"{tests[0]}: RFC {number} has no register"
            elif place not in register.entries:
                yield f"{tests[0]}: {where} does not exist"
            elif reason := register.entries[place].reason:
                yield f"{tests[0]}: {where} is proven and said not to apply: {reason}"

    def outdated(self, folders: list[Path]) -> Iterator[str]:
        """Registers that differ from the texts, where these are there."""
        for number, register in self.registers.items():
            if path := texts.find(number, folders):
                found = texts.sentences(number, path.read_text("utf-8"))
                hashes = {(one.section, one.number): one.hash for one in found}
                if hashes != {place: entry.hash for place, entry in register.entries.items()}:
                    yield f"the register of RFC {number} is out of date"

    def table(self) -> Iterator[str]:
        """The lines of the report for the terminal."""
        yield f"{'RFC':>5} {'sentences':>9} {'bound':>6} {'proven':>6} {'open':>5}  not applicable"
        for number, register in self.registers.items():
            bound, proven = len(register.bound), len(self.proven(register))
            yield (
                f"{number:>5} {len(register.entries):9} {bound:6} {proven:6} {bound - proven:5}  "
                + _reasons(register)
            )

    def page(self) -> str:
        """The text of docs/rfc.md."""
        return _HEAD + "".join(map(self._row, self.registers.values()))

    def _row(self, register: Register) -> str:
        bound, every = len(register.bound), len(register.entries)
        number = register.number
        link = f"[{number}](https://www.rfc-editor.org/rfc/rfc{number})"
        counts = f"{bound} | {len(self.proven(register))} | {every - bound}"
        return f"| {link} | {register.title} | {register.supports} | {counts} |\n"


def _reasons(register: Register) -> str:
    counts: dict[str, int] = {}
    for entry in register.entries.values():
        if entry.reason:
            counts[entry.reason] = counts.get(entry.reason, 0) + 1
    ordered = sorted(counts.items(), key=lambda row: -row[1])
    return ", ".join(f"{count} {reason}" for reason, count in ordered)
