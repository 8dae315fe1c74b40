"""`pymailctl fulltext`: the index of the full text, as the mail's owner."""

from __future__ import annotations

from argparse import Namespace

from pymaild.admin.commands import Command
from pymaild.admin.exits import Exit
from pymaild.admin.mail_commands import MAILBOXES, USER, chosen
from pymaild.admin.output import Output
from pymaild.admin.people import open_account
from pymaild.core.units import human_size
from pymaild.mail import fulltext

_SHOWN = ("messages", "indexed", "left", "gone", "segments", "size")


def _quiet() -> None:
    """For those who need no signs of life."""


def _status(args: Namespace, out: Output) -> Exit:
    found = [
        {"mailbox": box.name, **fulltext.report(box)._asdict()}
        for box in chosen(open_account(args), args.mailboxes)
    ]
    rows = [
        [f["mailbox"], *(human_size(f[key]) if key == "size" else f[key] for key in _SHOWN)]
        for f in found
    ]
    out.table(found, ["MAILBOX", *(key.upper() for key in _SHOWN)], rows)
    return Exit.OK


def _build(args: Namespace, out: Output) -> Exit:
    names = []
    for box in chosen(open_account(args), args.mailboxes):
        if fulltext.wanted(box):
            while fulltext.extend(box, _quiet):
                pass
            names.append(box.name)
    out.result(names, f"The full text of {len(names)} mailboxes is indexed.")
    return Exit.OK


def _optimise(args: Namespace, out: Output) -> Exit:
    names = []
    for box in chosen(open_account(args), args.mailboxes):
        if fulltext.report(box).segments:
            fulltext.extend(box, _quiet, whole=True)
            names.append(box.name)
    out.result(names, f"The full text of {len(names)} mailboxes was written anew.")
    return Exit.OK


def _drop(args: Namespace, out: Output) -> Exit:
    names = []
    for box in chosen(open_account(args), args.mailboxes):
        fulltext.drop(box)
        names.append(box.name)
    out.result(names, f"{len(names)} mailboxes have no index of their full text any more.")
    return Exit.OK


COMMANDS = (
    Command(
        ("fulltext", "status"),
        "Show how much of a user's mailboxes is in the index of the full text: LEFT are messages "
        "with too much text, which every search reads, GONE those that were removed since.",
        _status,
        (USER, MAILBOXES),
    ),
    Command(
        ("fulltext", "build"),
        "Index the full text of mailboxes that are large enough (mail.fulltext), as is done in the "
        "background when somebody searches in them.",
        _build,
        (USER, MAILBOXES),
    ),
    Command(
        ("fulltext", "optimise"),
        "Write the index of the full text anew, in one piece, without what has gone.",
        _optimise,
        (USER, MAILBOXES),
    ),
    Command(
        ("fulltext", "drop"),
        "Remove the index of the full text. Searches read all mail then, or have it made anew.",
        _drop,
        (USER, MAILBOXES),
    ),
)
