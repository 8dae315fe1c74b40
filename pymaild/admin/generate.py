"""Writes the sample configuration and the manual pages: `make docs`."""

from __future__ import annotations

import sys
from pathlib import Path

from pymaild.admin import control, daemon
from pymaild.admin.exits import Exit
from pymaild.admin.manual import definitions, program_page, settings_page
from pymaild.admin.sample import sample
from pymaild.server.config import Config

_TITLE = (
    "The configuration of pymaild. Every setting is here with its default; remove the # in "
    "front of one to change it. `pymaild check-config` tells what is wrong, and "
    "`pymailctl reload` takes the file into use. See pymaild.toml(5)."
)

_FORMAT = """The configuration of `pymaild` is one TOML file, /etc/pymaild/pymaild.toml unless
a command names another. What is not in it has its default, and an empty file is a configuration.
Every setting is checked before anything is changed: a file that cannot be used is refused with
file, line, key and the nearest known key, and a running server goes on as before.

A size is a number of octets or a string with a unit: "64KiB", "100MiB", "2GiB". A duration is a
number of seconds or a string with a unit: "500ms", "60s", "30m", "1h", "7d". Paths that do not
begin with / start at the folder of the file."""

SIGNALS: dict[str, str] = {
    "SIGHUP": "Reload. The configuration is checked first; a broken one changes nothing and the "
    "log says which line. New workers take over; sessions go over to them between two commands, "
    "and no client is disconnected.",
    "SIGTERM": "Stop in peace: take no more connections, tell each client at its next idle "
    "moment, let POP3 sessions end, and leave after `server.drain_timeout` at the latest.",
    "SIGINT, SIGQUIT": "Stop now. A message that was accepted is not lost.",
    "SIGUSR1": "Open the log file again, after it was renamed.",
    "SIGUSR2": "Upgrade. The same command line is run again, as it is installed now, and the new "
    "master gets ready beside the old one. Then it takes the sockets and all sessions over, no "
    "client is disconnected, and the old one leaves. Where it is not ready within "
    "`server.upgrade_timeout`, or ends, the old one goes on and the log says why. Do not use it "
    "below a supervisor that watches the process itself; systemd is told.",
    "SIGTTIN": "One worker more, at the least.",
    "SIGTTOU": "One worker less, at the least.",
}

_FILES = {
    "/etc/pymaild/pymaild.toml": "The configuration, see pymaild.toml(5).",
    "/etc/pymaild/users": "The virtual users, written by `pymailctl user`.",
    "/run/pymaild": "Sockets between the processes, the control socket, the process number.",
    "/var/mail/pymaild": "The mail of virtual users.",
}


def documents() -> dict[str, str]:
    """Return the text of each generated document by its path in the source."""
    signals = ("SIGNALS", ["These are for the master process.", *definitions(SIGNALS.items())])
    files = ("FILES", list(definitions(_FILES.items())))
    return {
        "etc/pymaild.toml": sample(Config, _TITLE),
        "docs/man/pymaild.toml.5": settings_page(Config, "pymaild.toml", _FORMAT),
        "docs/man/pymaild.8": program_page(daemon.PROGRAM, [signals, files]),
        "docs/man/pymailctl.8": program_page(control.PROGRAM, [files]),
    }


def outdated(root: Path) -> list[str]:
    """Return the documents below ``root`` that are not what :func:`documents` makes."""
    return [name for name, text in documents().items() if _read(root / name) != text]


def _read(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else ""


def main() -> int:
    """Write the documents below the working directory; with ``--check``, only compare."""
    root = Path()
    stale = outdated(root)
    if "--check" in sys.argv[1:]:
        for name in stale:
            print(f"{name} is out of date: run make docs", file=sys.stderr)
        return Exit.DATA if stale else Exit.OK
    for name, text in documents().items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
