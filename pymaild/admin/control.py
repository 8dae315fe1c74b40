"""`pymailctl`: the administrator's command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pymaild.admin import (
    access_commands,
    fulltext_commands,
    mail_commands,
    server_commands,
    transfer_commands,
    user_commands,
)
from pymaild.admin.commands import Program
from pymaild.admin.commands import main as run_program

PROGRAM = Program(
    name="pymailctl",
    summary="administration of pymaild",
    description="""`pymailctl` shows and steers the running server over its control socket
(`server.control`), whose rights decide who may; keeps the passwd-file; and works on mailboxes.

Commands on mail need no running server, and do no harm while it runs. Root becomes the owner of the
mail before it is touched; anybody else needs the rights on it.""",
    commands=(
        *server_commands.COMMANDS,
        *user_commands.COMMANDS,
        *mail_commands.COMMANDS,
        *fulltext_commands.COMMANDS,
        *transfer_commands.COMMANDS,
        *access_commands.COMMANDS,
    ),
    groups={
        "log": "Change what is logged.",
        "user": "Add, change, list and remove virtual users.",
        "mailbox": "List and change the mailboxes of a user.",
        "acl": "Say who may use the mailboxes of a user.",
        "quota": "Show and set how much mail a user may have.",
        "fulltext": "Show, make and remove the index that text searches use.",
        "index": "Verify and rebuild what is derived from the mail.",
    },
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; the return value is the exit code."""
    return run_program(PROGRAM, argv)


if __name__ == "__main__":
    sys.exit(main())
