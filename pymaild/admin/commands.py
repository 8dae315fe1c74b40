"""A program's commands as a table: the parser and the manual page are both made from it."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from pymaild.admin.exits import REFUSALS, Exit, Failure
from pymaild.admin.output import Output
from pymaild.core.errors import ConfigError, Refused, StorageFailure

DEFAULT_CONFIG = "/etc/pymaild/pymaild.toml"


@dataclass(frozen=True, slots=True)
class Argument:
    """One option or operand; ``more`` goes to argparse."""

    names: tuple[str, ...]
    doc: str
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def usage(self) -> str:
        """The argument as a manual page writes it: ``-c, --config FILE``."""
        names = ", ".join(self.names)
        if self.names[0].startswith("-"):
            return f"{names} {self.value}".rstrip()
        return self.value

    @property
    def value(self) -> str:
        """The placeholder of its value; "" for a switch."""
        if "action" in self.more:
            return ""
        if "choices" in self.more:
            return "{" + ",".join(self.more["choices"]) + "}"
        return str(self.more.get("metavar", self.names[-1].lstrip("-").upper()))


_OS_EXITS = {
    errno.EACCES: Exit.NOPERM,
    errno.EPERM: Exit.NOPERM,
    errno.ENOENT: Exit.NOINPUT,
    errno.EEXIST: Exit.CANTCREATE,
}

Run = Callable[[argparse.Namespace, Output], int]


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its words (``user add``), what it does, its arguments, its function."""

    words: tuple[str, ...]
    doc: str
    run: Run
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """A whole command line."""

    name: str
    summary: str
    description: str
    commands: tuple[Command, ...]
    groups: dict[str, str] = field(default_factory=dict)


CONFIG = Argument(
    ("-c", "--config"),
    f"The configuration file; otherwise the environment's PYMAILD_CONFIG, or {DEFAULT_CONFIG}.",
    {"metavar": "FILE", "default": os.environ.get("PYMAILD_CONFIG", DEFAULT_CONFIG)},
)
JSON = Argument(
    ("--json",),
    "Write the result as one JSON value, for programs; a failure is an object with `error`.",
    {"action": "store_true"},
)
COMMON = (CONFIG, JSON)


class _Parser(argparse.ArgumentParser):
    """Leaves with the exit code of a wrong command line."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(Exit.USAGE, f"{self.prog}: {message}\n")


def parser(program: Program) -> argparse.ArgumentParser:
    """Build the argument parser of ``program``."""
    top = _Parser(prog=program.name, description=program.description, allow_abbrev=False)
    _add_common(top)
    below: dict[tuple[str, ...], Any] = {(): _children(top)}
    for command in program.commands:
        group = command.words[:-1]
        if group not in below:
            doc = program.groups[group[0]]
            below[group] = _children(
                below[()].add_parser(group[0], help=doc, description=doc, allow_abbrev=False)
            )
        _add(below[group], command)
    return top


def _children(parent: argparse.ArgumentParser) -> Any:
    return parent.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)


def _add(group: Any, command: Command) -> None:
    first = command.doc.split(". ")[0].rstrip(".")
    child = group.add_parser(
        command.words[-1], help=first, description=command.doc, allow_abbrev=False
    )
    for argument in command.arguments:
        _add_argument(child, argument, argument.more)
    _add_common(child, default=argparse.SUPPRESS)
    child.set_defaults(run=command.run)


def _add_argument(to: argparse.ArgumentParser, argument: Argument, more: dict[str, Any]) -> None:
    to.add_argument(*argument.names, help=argument.doc.replace("%", "%%"), **more)


def _add_common(to: argparse.ArgumentParser, **instead: Any) -> None:
    """Common options may stand before the command or behind it; the one behind wins."""
    for argument in COMMON:
        _add_argument(to, argument, argument.more | instead)


def main(program: Program, argv: Sequence[str] | None = None) -> int:
    """Run one command line and return the exit code."""
    args = parser(program).parse_args(argv)
    output = Output(json=args.json)
    try:
        return int(args.run(args, output))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.IOERR
    except KeyboardInterrupt:
        return _fail(output, program, Exit.INTERRUPTED, "interrupted")
    except Exception as error:
        return _fail(output, program, *_outcome(error))


def _outcome(error: Exception) -> tuple[Exit, str]:
    """Say how an exception ends the command."""
    if isinstance(error, Failure):
        return error.exit_code, str(error)
    if isinstance(error, ConfigError):
        return Exit.CONFIG, str(error)
    if isinstance(error, StorageFailure):
        return REFUSALS.get(error.code, Exit.IOERR) if error.code else Exit.IOERR, str(error)
    if isinstance(error, Refused):
        return REFUSALS.get(error.code, Exit.TEMPFAIL) if error.code else Exit.TEMPFAIL, error.text
    if isinstance(error, OSError):
        code = _OS_EXITS.get(error.errno or 0, Exit.IOERR)
        return code, f"{error.filename}: {error.strerror}" if error.filename else str(error)
    traceback.print_exception(error)
    return Exit.SOFTWARE, f"internal error: {type(error).__name__}"


def _fail(output: Output, program: Program, code: Exit, text: str) -> int:
    output.failure(program.name, code, text)
    return code
