"""Exit codes: those of sysexits.h, and what each means here; the man pages show this table."""

from __future__ import annotations

from enum import IntEnum

from pymaild.core.errors import Code


class Exit(IntEnum):
    """The code a command ends with."""

    OK = 0
    USAGE = 64
    DATA = 65
    NOINPUT = 66
    NOUSER = 67
    UNAVAILABLE = 69
    SOFTWARE = 70
    BOOT = 71
    CANTCREATE = 73
    IOERR = 74
    TEMPFAIL = 75
    NOPERM = 77
    CONFIG = 78
    INTERRUPTED = 130


MEANINGS: dict[Exit, str] = {
    Exit.OK: "The command has done what it was asked.",
    Exit.USAGE: "The command line is wrong.",
    Exit.DATA: "The data are damaged: a verification found faults, or an import is no mail.",
    Exit.NOINPUT: "A mailbox or an input file does not exist.",
    Exit.NOUSER: "The user does not exist.",
    Exit.UNAVAILABLE: "The server is not running or does not answer.",
    Exit.SOFTWARE: "An internal error; standard error has the traceback.",
    Exit.BOOT: "The server could not start (an address in use, a missing right).",
    Exit.CANTCREATE: "An output file or a mailbox could not be made.",
    Exit.IOERR: "The file system failed.",
    Exit.TEMPFAIL: "A temporary failure; trying again later may succeed.",
    Exit.NOPERM: "The caller may not do this.",
    Exit.CONFIG: "The configuration cannot be used.",
    Exit.INTERRUPTED: "Interrupted from the keyboard; what was finished stays.",
}

#: How the refusals of the mail layer end a command; all others are temporary failures.
REFUSALS: dict[Code, Exit] = {
    Code.NONEXISTENT: Exit.NOINPUT,
    Code.TRYCREATE: Exit.NOINPUT,
    Code.ALREADYEXISTS: Exit.CANTCREATE,
    Code.CANNOT: Exit.CANTCREATE,
    Code.HASCHILDREN: Exit.CANTCREATE,
    Code.LIMIT: Exit.CANTCREATE,
    Code.OVERQUOTA: Exit.IOERR,
    Code.TOOBIG: Exit.DATA,
    Code.CORRUPTION: Exit.DATA,
    Code.NOPERM: Exit.NOPERM,
}


class Failure(Exception):
    """A command ends here, with one sentence for the administrator."""

    def __init__(self, exit_code: Exit, text: str) -> None:
        super().__init__(text)
        self.exit_code = exit_code
