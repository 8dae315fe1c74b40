"""`pymaild`: the daemon's command line.

What only one command needs is loaded by that: all processes of a server have the master's modules.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from argparse import Namespace
from collections.abc import Sequence

import pymaild
from pymaild.admin import mda, start
from pymaild.admin.commands import Argument, Command, Program
from pymaild.admin.commands import main as run_program
from pymaild.admin.exits import Exit, Failure
from pymaild.admin.output import Output
from pymaild.server.config import load_config


def _serve(args: Namespace, out: Output) -> int:
    from pymaild.server import upgrade
    from pymaild.server.master import Master

    config = load_config(os.path.abspath(args.config))
    if args.pidfile:
        server = dataclasses.replace(config.server, pid_file=os.path.abspath(args.pidfile))
        config = dataclasses.replace(config, server=server)
    if args.foreground or upgrade.VARIABLE in os.environ:  # a master's heir is where it was
        return Master(config).run()
    if config.log.to == "stderr":
        raise Failure(Exit.CONFIG, 'log.to is "stderr", which needs --foreground')
    return start.in_background(Master(config).run)


def _check(args: Namespace, out: Output) -> Exit:
    from pymaild.admin import check

    problems = check.problems(args.config)
    report = {"file": args.config, "problems": [dataclasses.asdict(p) for p in problems]}
    if problems:
        out.result(report, *(problem.sentence(args.config) for problem in problems))
        return Exit.CONFIG
    out.result(report, f"{args.config}: no problem found")
    return Exit.OK


def _init(args: Namespace, out: Output) -> Exit:
    from pymaild.admin import instance

    return instance.init(args, out)


def _version(args: Namespace, out: Output) -> Exit:
    import platform
    import ssl

    facts = {
        "pymaild": pymaild.__version__,
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
    }
    out.result(facts, *(f"{name} {version}" for name, version in facts.items()))
    return Exit.OK


DIRECTORY = Argument(("directory",), "Where to make it.", {"metavar": "DIRECTORY"})

PROGRAM = Program(
    name="pymaild",
    summary="IMAP, POP3 and LMTP server",
    description="""`pymaild` serves mail that lies in Maildirs to IMAP and POP3 clients, and takes
mail from a mail transfer agent over LMTP or as its delivery agent.

One master process binds the sockets and starts the others: workers that serve a connection each,
processes that end TLS, and one that checks passwords. Started by root, each of them gives up what
rights it does not need; started by anybody else, all run as that user.""",
    commands=(
        Command(
            ("serve",),
            "Run the server. It goes into the background once it is ready to serve.",
            _serve,
            (
                Argument(
                    ("-F", "--foreground"),
                    "Stay in the foreground, for a terminal or a service manager.",
                    {"action": "store_true"},
                ),
                Argument(
                    ("--pidfile",),
                    "File for the master's process number, instead of `server.pid_file`.",
                    {"metavar": "FILE", "default": ""},
                ),
            ),
        ),
        Command(
            ("check-config",),
            "Check the configuration. Each problem is told with file, line and key.",
            _check,
        ),
        Command(
            ("init",),
            "Make a private instance: configuration, certificate, a user `demo` with password "
            "`demo`, and some mail. It serves on 127.0.0.1 and needs no rights.",
            _init,
            (
                DIRECTORY,
                Argument(
                    ("--no-ports",),
                    "Let the system choose free ports instead of 1143, 1993, 1110, 1995 and 1024.",
                    {"action": "store_true"},
                ),
                Argument(
                    ("--no-mail",), "Import no mail but a few messages.", {"action": "store_true"}
                ),
            ),
        ),
        mda.COMMAND,
        Command(("version",), "Show the versions of the program and what it runs on.", _version),
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; the return value is the exit code."""
    return run_program(PROGRAM, argv)


if __name__ == "__main__":
    sys.exit(main())
