"""`pymailctl` commands on a user's mailboxes, as the mail's owner, with or without a server."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict

from pymaild.admin.commands import Argument, Command
from pymaild.admin.exits import Exit
from pymaild.admin.output import Output
from pymaild.admin.people import open_account
from pymaild.core.units import human_size
from pymaild.mail import check
from pymaild.mail.account import Account
from pymaild.mail.export import export_dovecot
from pymaild.mail.mailbox import Mailbox

USER = Argument(("user",), "Whose mail it is.", {"metavar": "USER"})
MAILBOX = Argument(
    ("mailbox",), "The name of the mailbox, as clients see it.", {"metavar": "MAILBOX"}
)
MAILBOXES = Argument(
    ("mailboxes",), "Only these; otherwise all.", {"metavar": "MAILBOX", "nargs": "*"}
)

_STATUS = ("messages", "unseen", "recent", "deleted", "size", "uidnext", "uidvalidity")


def chosen(account: Account, names: list[str]) -> Iterator[Mailbox]:
    """Yield the mailboxes of these names, or all there are, open one after the other."""
    everything = (entry.name for entry in account.entries() if entry.selectable)
    for name in names or list(everything):
        with closing(account.open(name)) as mailbox:
            yield mailbox


def _list(args: Namespace, out: Output) -> Exit:
    entries = open_account(args).entries()
    rows = [
        [e.name, "yes" if e.subscribed else "no", e.special, "yes" if e.selectable else "no"]
        for e in entries
    ]
    out.table([asdict(e) for e in entries], ["MAILBOX", "SUBSCRIBED", "USE", "SELECTABLE"], rows)
    return Exit.OK


def _status(args: Namespace, out: Output) -> Exit:
    found = [
        {"mailbox": mailbox.name, **mailbox.status(size=True)._asdict()}
        for mailbox in chosen(open_account(args), args.mailboxes)
    ]
    rows = [
        [f["mailbox"], *(human_size(f[key]) if key == "size" else f[key] for key in _STATUS)]
        for f in found
    ]
    out.table(found, ["MAILBOX", *(key.upper() for key in _STATUS)], rows)
    return Exit.OK


def _create(args: Namespace, out: Output) -> Exit:
    account = open_account(args)
    account.create(args.mailbox)
    account.subscribe(args.mailbox)
    out.result({"mailbox": args.mailbox}, f"Made {args.mailbox}.")
    return Exit.OK


def _rename(args: Namespace, out: Output) -> Exit:
    open_account(args).rename(args.mailbox, args.new)
    out.result({"mailbox": args.new}, f"{args.mailbox} is now {args.new}.")
    return Exit.OK


def _delete(args: Namespace, out: Output) -> Exit:
    account = open_account(args)
    account.delete(args.mailbox)
    account.unsubscribe(args.mailbox)
    out.result({"mailbox": args.mailbox}, f"Deleted {args.mailbox} and the mail in it.")
    return Exit.OK


def _export_dovecot(args: Namespace, out: Output) -> Exit:
    names = export_dovecot(open_account(args))
    out.result(names, f"Dovecot can take over {len(names)} mailboxes of {args.user}.")
    return Exit.OK


def _verify(args: Namespace, out: Output) -> Exit:
    boxes = chosen(open_account(args), args.mailboxes)
    found = {box.name: check.faults(box) for box in boxes}
    lines = [f"{name}: {fault}" for name, faults in found.items() for fault in faults]
    out.result(found, *(lines or [f"{len(found)} verified, no fault found."]))
    return Exit.DATA if lines else Exit.OK


def _rebuild(args: Namespace, out: Output) -> Exit:
    names = []
    for mailbox in chosen(open_account(args), args.mailboxes):
        mailbox.rebuild()
        names.append(mailbox.name)
    out.result(names, f"{len(names)} rebuilt; no UID has changed.")
    return Exit.OK


COMMANDS = (
    Command(("mailbox", "list"), "List the mailboxes of a user.", _list, (USER,)),
    Command(
        ("mailbox", "status"),
        "Show how many messages the mailboxes of a user have, and how large they are.",
        _status,
        (USER, MAILBOXES),
    ),
    Command(("mailbox", "create"), "Make a mailbox and subscribe it.", _create, (USER, MAILBOX)),
    Command(
        ("mailbox", "rename"),
        "Rename a mailbox and those below it.",
        _rename,
        (USER, MAILBOX, Argument(("new",), "The new name.", {"metavar": "NEW"})),
    ),
    Command(("mailbox", "delete"), "Delete a mailbox with all its mail.", _delete, (USER, MAILBOX)),
    Command(
        ("mailbox", "export-dovecot"),
        "Write `dovecot-uidlist`, `dovecot-keywords` and `subscriptions` for all folders of a "
        "user, so that Dovecot can serve them with the same UIDs. Stop the server first.",
        _export_dovecot,
        (USER,),
    ),
    Command(
        ("index", "verify"),
        "Compare the indexes of a user with the mail. Faults are listed, nothing is changed.",
        _verify,
        (USER, MAILBOXES),
    ),
    Command(
        ("index", "rebuild"),
        "Make the indexes of a user again from the mail. UIDs and flags stay.",
        _rebuild,
        (USER, MAILBOXES),
    ),
)
