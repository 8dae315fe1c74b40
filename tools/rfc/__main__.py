"""The commands; see the package for what they are for."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tools.rfc

from . import markers, register, texts
from .register import ROOT, Place, Register
from .report import PAGE, Report


def _report() -> Report:
    return Report(register.load_all(), markers.find())


def _words(number: str, folders: list[Path]) -> dict[Place, str]:
    path = texts.find(number, folders)
    found = texts.sentences(number, path.read_text("utf-8")) if path else []
    return {(one.section, one.number): one.text for one in found}


def _show(report: Report, known: Register, places: list[Place], folders: list[Path]) -> None:
    words = _words(known.number, folders)
    for place in places:
        entry = known.entries[place]
        tests = report.proofs.get((known.number, place), [])
        state = f"[{entry.reason}]" if entry.reason else ", ".join(tests) or "OPEN"
        print(f"{known.number} {place[0]} {place[1]}: {state}")
        if text := words.get(place, entry.about):
            print(f"    {text}")


def list_(options: argparse.Namespace) -> int:
    """Print an RFC's sentences, of one section or of all."""
    report = _report()
    known = report.registers.get(options.number)
    if known is None:
        known = Register(options.number, "")
        known.renew(_sentences(options.number, options.folders))
    wanted = [place for place in known.entries if options.section in ("", place[0])]
    _show(report, known, wanted, options.folders)
    return 0


def _sentences(number: str, folders: list[Path]) -> list[texts.Sentence]:
    path = texts.find(number, folders)
    if path is None:
        sys.exit(f"There is no text of RFC {number}; name its folder with --texts or PYMAILD_RFC")
    return texts.sentences(number, path.read_text("utf-8"))


def register_(options: argparse.Namespace) -> int:
    """Make or refresh registers."""
    for number in options.numbers:
        found = _sentences(number, options.folders)
        if (register.FOLDER / f"{number}.toml").exists():
            known = register.load(number)
        else:
            path = texts.find(number, options.folders)
            assert path
            known = Register(number, texts.title(path.read_text("utf-8")))
        known.renew(found)
        known.save()
    return 0


def reason(options: argparse.Namespace) -> int:
    """Say why sentences are not applicable."""
    known = register.load(options.number)
    for number in options.sentences.split(","):
        known.entries[options.section, int(number)].reason = options.why
    known.save()
    return 0


def open_(options: argparse.Namespace) -> int:
    """Print what is not proven yet."""
    report = _report()
    for number in options.numbers:
        known = report.registers[number]
        _show(report, known, report.unproven(known), options.folders)
    return 0


def report_(options: argparse.Namespace) -> int:
    """Print the table; with --check also fail as `check` does."""
    print(*_report().table(), sep="\n")
    return check(options) if options.check else 0


def check(options: argparse.Namespace) -> int:
    """Fail when a marker or a register is wrong."""
    report = _report()
    faults = [*report.faults(), *report.outdated(options.folders)]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def docs(options: argparse.Namespace) -> int:
    """Write the public table, or compare it."""
    text, path = _report().page(), ROOT / PAGE
    if options.check and path.read_text("utf-8") != text:
        print(f"{PAGE} is out of date: run make docs", file=sys.stderr)
        return 1
    if not options.check:
        path.write_text(text, "utf-8")
    return 0


_Command = Callable[[argparse.Namespace], int]
_Argument = tuple[str, dict[str, Any]]

_CHECK: _Argument = ("--check", {"action": "store_true"})
_NUMBERS: _Argument = ("numbers", {"nargs": "+"})
_SECTION: _Argument = ("section", {"nargs": "?", "default": ""})
_ONE: _Argument = ("number", {})

_COMMANDS: dict[str, tuple[_Command, tuple[_Argument, ...]]] = {
    "list": (list_, (_ONE, _SECTION)),
    "register": (register_, (_NUMBERS,)),
    "reason": (reason, (_ONE, ("section", {}), ("sentences", {}), ("why", {}))),
    "open": (open_, (_NUMBERS,)),
    "report": (report_, (_CHECK,)),
    "check": (check, ()),
    "docs": (docs, (_CHECK,)),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    parser = argparse.ArgumentParser(
        "tools.rfc", description=tools.rfc.__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--texts", default=os.environ.get("PYMAILD_RFC", ""))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (run, options) in _COMMANDS.items():
        command = commands.add_parser(name, help=run.__doc__)
        command.set_defaults(run=run)
        for option, details in options:
            command.add_argument(option, **details)
    chosen = parser.parse_args(arguments)
    chosen.folders = [Path(folder) for folder in chosen.texts.split(os.pathsep) if folder]
    return int(chosen.run(chosen))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (markers.Malformed, BrokenPipeError) as fault:
        sys.exit(str(fault))
