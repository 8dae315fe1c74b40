"""`pymailctl` commands that ask the running master."""

from __future__ import annotations

import os
import time
import tomllib
from argparse import Namespace
from typing import Any

from pymaild.admin.client import PATIENCE, ask
from pymaild.admin.commands import Argument, Command
from pymaild.admin.exits import Exit, Failure
from pymaild.admin.output import Output
from pymaild.core.config_file import BadConfig
from pymaild.server.config import load_config
from pymaild.server.settings import ServerSettings

_STATES = {"running": "green", "drained": "yellow", "draining": "yellow", "stopping": "yellow"}


def _ask(args: Namespace, command: str, **arguments: Any) -> Any:
    return ask(_control(args.config), command, **arguments)


def _control(path: str) -> str:
    """Return the control socket. A server can be steered while its file is being mended."""
    try:
        return load_config(path).server.control
    except BadConfig as error:
        found = _said(path)
        if found is None:
            raise
        if not os.path.exists(found):
            raise Failure(Exit.CONFIG, str(error)) from None
        return found


def _said(path: str) -> str | None:
    """What a file with mistakes says of the control socket; None when it cannot be told."""
    try:
        with open(path, "rb") as file:
            said = tomllib.load(file)["server"]["control"]
    except KeyError:
        said = ServerSettings().control
    except (OSError, ValueError, TypeError):
        return None
    return os.path.join(os.path.dirname(os.path.abspath(path)), str(said))


def since(start: float, now: float) -> str:
    """Return how long ago ``start`` was, as people say it: 2d03h, 1h05m, 12s."""
    seconds = max(0, int(now - start))
    days, rest = divmod(seconds, 86400)
    hours, minutes = rest // 3600, rest // 60 % 60
    if days:
        return f"{days}d{hours:02}h"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{seconds % 60:02}s" if minutes else f"{seconds}s"


def _status(args: Namespace, out: Output) -> Exit:
    status = _ask(args, "status")
    if out.json:
        out.result(status)
        return Exit.OK
    now = time.time()
    state = out.colour(_STATES.get(status["state"], "red"), status["state"])
    workers, sessions = status["workers"], status["sessions"]
    out.result(
        status,
        f"pymaild {status['version']}, process {status['pid']}, {state}"
        f" for {since(status['started'], now)}",
        f"workers: {workers['busy']} busy, {workers['idle']} idle"
        f" ({workers['min']} to {workers['max']})",
        *(f"listening: {row['name']} on {row['address']}" for row in status["listeners"]),
        "sessions: " + ", ".join(f"{count} {name}" for name, count in sessions.items()),
        "parked: " + ", ".join(f"{count} {name}" for name, count in status["parked"].items()),
        *_rates(status["totals"], now - status["started"]),
        "",
    )
    rows = [[r["role"], r["pid"], r["state"], since(r["since"], now)] for r in status["roles"]]
    out.table(status["roles"], ["ROLE", "PID", "STATE", "SINCE"], rows)
    return Exit.OK


def _rates(totals: dict[str, int], seconds: float) -> list[str]:
    minutes = max(seconds, 1) / 60
    return [
        f"{name.replace('_', ' ')}: {count} ({count / minutes:.1f} a minute)"
        for name, count in totals.items()
    ]


_WHO = ("id", "protocol", "user", "mailbox", "state", "peer", "tls", "client", "pid")


def _who(args: Namespace, out: Output) -> Exit:
    sessions = [
        session
        for session in _ask(args, "who")
        if args.user in ("", session["user"]) and args.protocol in ("", session["protocol"])
    ]
    now = time.time()
    rows = [[*(s[key] for key in _WHO), since(s["since"], now)] for s in sessions]
    out.table(sessions, [*(key.upper() for key in _WHO), "SINCE"], rows)
    return Exit.OK


def _kick(args: Namespace, out: Output) -> Exit:
    chosen = {key: getattr(args, key) for key in ("id", "user", "address") if getattr(args, key)}
    if len(chosen) != 1:
        raise Failure(Exit.USAGE, "name one of ID, --user and --address")
    result = _ask(args, "kick", **chosen)
    out.result(result, f"{result['kicked']} disconnected.")
    return Exit.OK


def _simple(command: str, done: str) -> Any:
    def run(args: Namespace, out: Output) -> Exit:
        out.result(_ask(args, command), done)
        return Exit.OK

    return run


def _reload(args: Namespace, out: Output) -> Exit:
    control = load_config(args.config).server.control  # the file is checked here as well
    out.result(ask(control, "reload"), "The new configuration is in use.")
    return Exit.OK


def _upgrade(args: Namespace, out: Output) -> Exit:
    server = load_config(args.config).server  # the new program will read the file, too
    patience = server.upgrade_timeout + PATIENCE
    result = ask(server.control, "upgrade", patience)
    out.result(result, f"Process {result['pid']} is the server now.")
    return Exit.OK


def _stop(args: Namespace, out: Output) -> Exit:
    out.result(_ask(args, "stop", now=args.now), "Stopping.")
    return Exit.OK


def _level(args: Namespace, out: Output) -> Exit:
    out.result(_ask(args, "log-level", level=args.level), f"The log level is {args.level}.")
    return Exit.OK


COMMANDS = (
    Command(("status",), "Show processes, sessions, and what has been done so far.", _status),
    Command(
        ("who",),
        "List the sessions: who, from where, doing what.",
        _who,
        (
            Argument(("--user",), "Only this user's.", {"metavar": "USER", "default": ""}),
            Argument(
                ("--protocol",),
                "Only those of this protocol.",
                {"choices": ("imap", "pop3", "lmtp"), "default": ""},
            ),
        ),
    ),
    Command(
        ("kick",),
        "Disconnect sessions. An accepted message is never lost by it.",
        _kick,
        (
            Argument(
                ("id",),
                "The session's id, as `who` shows it.",
                {"metavar": "ID", "nargs": "?", "default": ""},
            ),
            Argument(("--user",), "All of this user.", {"metavar": "USER", "default": ""}),
            Argument(
                ("--address",), "All from this address.", {"metavar": "ADDRESS", "default": ""}
            ),
        ),
    ),
    Command(
        ("reload",),
        "Check the configuration and take it into use. A broken one changes nothing.",
        _reload,
    ),
    Command(
        ("upgrade",),
        "Start the installed program anew and leave all to it, sessions as well. If it is not "
        "ready within `server.upgrade_timeout`, the running one goes on.",
        _upgrade,
    ),
    Command(
        ("drain",),
        "Take no more connections, and let those that are there end. The server stays up.",
        _simple("drain", "Draining."),
    ),
    Command(
        ("resume",),
        "Take connections again after a drain.",
        _simple("resume", "Taking connections."),
    ),
    Command(
        ("stop",),
        "Stop the server. Connections may end within `server.drain_timeout`.",
        _stop,
        (
            Argument(
                ("--now",),
                "Do not wait for connections to end. No accepted message is lost.",
                {"action": "store_true"},
            ),
        ),
    ),
    Command(
        ("log", "level"),
        "Change what is logged until the next reload.",
        _level,
        (
            Argument(
                ("level",),
                "The least important messages that are logged.",
                {"choices": ("debug", "info", "warning", "error")},
            ),
        ),
    ),
)
