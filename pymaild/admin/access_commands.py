"""`pymailctl acl` and `pymailctl quota`: who may use mailboxes, and how much they may hold."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from pymaild.admin.commands import Argument, Command
from pymaild.admin.exits import Exit, Failure
from pymaild.admin.identity import become_owner
from pymaild.admin.mail_commands import MAILBOX, USER
from pymaild.admin.output import Output
from pymaild.admin.people import grants_of, open_account
from pymaild.auth import quota as quota_words
from pymaild.auth.passwd_file import PasswdFile
from pymaild.core.session import User
from pymaild.core.units import human_size
from pymaild.mail.account import Account
from pymaild.mail.quota import RESOURCES, STORAGE
from pymaild.mail.rights import NONE, Acl, Rights, parse, prepare, tell
from pymaild.server.config import load_config

IDENTIFIER = Argument(
    ("identifier",),
    "A user, `anyone`, or `$group`; with `-` in front the rights are taken away.",
    {"metavar": "IDENTIFIER"},
)
RIGHTS = Argument(
    ("rights",),
    "Letters of RFC 4314; `+` in front adds them. To take rights away, give what is left.",
    {"metavar": "RIGHTS"},
)
LIMITS = Argument(
    ("limits",),
    "`2G`, `storage=2G:messages=5000:mailboxes=100`, `none`, or `default` for what the settings "
    "and the passwd-file say.",
    {"metavar": "LIMITS"},
)


def _checked(read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except ValueError as error:
        raise Failure(Exit.USAGE, f"{text!r}: {error}") from None


# -- access control lists ------------------------------------------------------------------------


def _told(account: Account, mailbox: str, out: Output) -> Exit:
    acl: Acl = account.controlled(mailbox).acl()
    rows = [[identifier, tell(rights)] for identifier, rights in acl.items()]
    out.table(dict(rows), ["IDENTIFIER", "RIGHTS"], rows)
    return Exit.OK


def _get(args: Namespace, out: Output) -> Exit:
    return _told(open_account(args), args.mailbox, out)


def _set(args: Namespace, out: Output) -> Exit:
    how = args.rights[:1] if args.rights[:1] == "+" else ""
    return _change(args, out, how, _checked(parse, args.rights[len(how) :]))


def _delete(args: Namespace, out: Output) -> Exit:
    return _change(args, out, "", NONE)


def _change(args: Namespace, out: Output, how: str, rights: Rights) -> Exit:
    identifier = _checked(prepare, args.identifier)
    account = open_account(args)
    account.controlled(args.mailbox).change(identifier, how, rights)
    return _told(account, args.mailbox, out)


def _rebuild(args: Namespace, out: Output) -> Exit:
    config = load_config(args.config)
    users = [entry.user for entry in PasswdFile(config.auth).table().entries.values()]
    become_owner(User(), config.server)
    accounts = (Account(user, config.mail) for user in users if os.path.isdir(user.mail))
    granted = [(account.user.name, account.granted()) for account in accounts]
    granted = [(name, identifiers - {name}) for name, identifiers in granted]
    grants_of(config).rebuild(granted)
    opened = {name: sorted(identifiers) for name, identifiers in granted if identifiers}
    out.result(opened, f"{len(opened)} users have opened mailboxes to others.")
    return Exit.OK


# -- quotas --------------------------------------------------------------------------------------


def _show(args: Namespace, out: Output) -> Exit:
    return _quota(open_account(args), out)


def _quota(account: Account, out: Output) -> Exit:
    limits, usage = account.quota.limits(), account.quota.usage()
    rows = [
        [name, _shown(name, usage[name]), _shown(name, limits[name]) if name in limits else "none"]
        for name in RESOURCES
    ]
    result = {"root": account.quota.name, "usage": usage, "limits": limits}
    out.table(result, ["RESOURCE", "USED", "LIMIT"], rows)
    return Exit.OK


def _shown(name: str, number: int) -> str:
    """STORAGE is counted in units of 1024 octets (RFC 9208 §5.1)."""
    return human_size(number * 1024) if name == STORAGE else str(number)


def _set_quota(args: Namespace, out: Output) -> Exit:
    account = open_account(args)
    account.quota.set(_checked(_limits, args.limits))
    return _quota(account, out)


def _limits(text: str) -> dict[str, int] | None:
    if text == "default":
        return None
    limits = {} if text == "none" else quota_words.parse(text)
    return {name: limit for name, limit in limits.items() if limit}


def _recalculate(args: Namespace, out: Output) -> Exit:
    account = open_account(args)
    account.quota.recalculate()
    return _quota(account, out)


COMMANDS = (
    Command(
        ("acl", "get"),
        "Show who may use a mailbox, and how. The user `#shared` has the mailboxes of "
        "`mail.shared_directory`; the list of its INBOX says who may make mailboxes there.",
        _get,
        (USER, MAILBOX),
    ),
    Command(
        ("acl", "set"),
        "Say how somebody may use a mailbox.",
        _set,
        (USER, MAILBOX, IDENTIFIER, RIGHTS),
    ),
    Command(
        ("acl", "delete"),
        "Take somebody out of a mailbox's list.",
        _delete,
        (USER, MAILBOX, IDENTIFIER),
    ),
    Command(
        ("acl", "rebuild"),
        "Make the index anew by which LIST finds the mailboxes that other users have opened: "
        "after a restore from a backup, or when lists were changed by hand.",
        _rebuild,
    ),
    Command(("quota", "show"), "Show what a user has and may have.", _show, (USER,)),
    Command(
        ("quota", "set"),
        "Set the limits of a user, in place of those of the settings and the passwd-file.",
        _set_quota,
        (USER, LIMITS),
    ),
    Command(
        ("quota", "recalculate"),
        "Count anew what a user has. The server does so by itself where it has to.",
        _recalculate,
        (USER,),
    ),
)
