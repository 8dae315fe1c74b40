"""What ends a start, and the exit codes that say so (sysexits.h)."""

from __future__ import annotations

from typing import Final

EXIT_OK: Final = 0
EXIT_BUG: Final = 70  # EX_SOFTWARE: a process ended with an exception nobody expected
EXIT_BOOT: Final = 71  # EX_OSERR: the server, or one of its processes, could not start
EXIT_CONFIG: Final = 78  # EX_CONFIG: the configuration cannot be used


class CannotStart(Exception):
    """Something the server needs is not to be had; the message is one line."""
