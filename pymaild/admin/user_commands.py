"""`pymailctl user`: the users of the passwd-file."""

from __future__ import annotations

import getpass
import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager

from pymaild.admin.commands import Argument, Command
from pymaild.admin.exits import Exit, Failure
from pymaild.admin.output import Output
from pymaild.auth import passwd_edit
from pymaild.core.errors import Code, Refused
from pymaild.core.session import User
from pymaild.server import identity
from pymaild.server.config import Config, load_config

USER = Argument(("user",), "The name of the user.", {"metavar": "USER"})
STDIN = Argument(
    ("--stdin",),
    "Read the password from the first line of standard input; otherwise it is asked for twice.",
    {"action": "store_true"},
)
HOME = Argument(
    ("--home",),
    "The user's home directory; without it the mail lives where `auth.mail_path` says.",
    {"metavar": "DIRECTORY", "default": ""},
)

SCHEME = Argument(
    ("--scheme",),
    "How to store the password; without it as `auth.password_scheme` says.",
    {"choices": tuple(passwd_edit.NEW), "default": ""},
)


_REFUSALS = {
    Code.NONEXISTENT: Exit.NOUSER,
    Code.ALREADYEXISTS: Exit.CANTCREATE,
    Code.CANNOT: Exit.DATA,
}


@contextmanager
def _refusals() -> Iterator[None]:
    """End the command with what a refusal means for users rather than for mailboxes."""
    try:
        yield
    except Refused as error:
        code = _REFUSALS.get(error.code, Exit.TEMPFAIL) if error.code else Exit.TEMPFAIL
        raise Failure(code, error.text) from None


def add_user(config: Config, name: str, password: bytes, home: str = "", scheme: str = "") -> User:
    """Add a user; a passwd-file that is made new belongs to the user of the auth process."""
    new = not os.path.exists(config.auth.passwd_file)
    user = passwd_edit.add_user(config.auth, name, password, home, scheme)
    if new and identity.may_become():
        owner = identity.find(config.server.auth_user)
        os.chown(config.auth.passwd_file, owner.uid, owner.gid)
    return user


def _password(args: Namespace) -> bytes:
    if args.stdin:
        return passwd_edit.read_password(sys.stdin.buffer)
    if not sys.stdin.isatty():
        raise Failure(Exit.USAGE, "no terminal to ask for the password; use --stdin")
    first = getpass.getpass(f"New password for {args.user}: ")
    if getpass.getpass("Again: ") != first:
        raise Failure(Exit.DATA, "the two are not the same")
    return first.encode()


def _add(args: Namespace, out: Output) -> Exit:
    config = load_config(args.config)
    with _refusals():
        user = add_user(config, args.user, _password(args), args.home, args.scheme)
    out.result({"user": user.name, "mail": user.mail}, f"{user.name} may log in.")
    return Exit.OK


def _passwd(args: Namespace, out: Output) -> Exit:
    config = load_config(args.config)
    with _refusals():
        passwd_edit.set_password(config.auth, args.user, _password(args), args.scheme)
    out.result({"user": args.user}, f"The password of {args.user} is changed.")
    return Exit.OK


def _remove(args: Namespace, out: Output) -> Exit:
    config = load_config(args.config)
    with _refusals():
        passwd_edit.remove_user(config.auth, args.user)
    out.result({"user": args.user}, f"{args.user} can no longer log in; the mail is still there.")
    return Exit.OK


def _list(args: Namespace, out: Output) -> Exit:
    config = load_config(args.config)
    with _refusals():
        users, problems = passwd_edit.list_users(config.auth)
    found = [
        {"user": row.user.name, "scheme": row.scheme, "login": row.login, "mail": row.user.mail}
        for row in users
    ]
    rows = [[u["user"], u["scheme"], "yes" if u["login"] else "no", u["mail"]] for u in found]
    out.table(found, ["USER", "SCHEME", "LOGIN", "MAIL"], rows)
    for problem in problems:
        out.note(f"{config.auth.passwd_file}:{problem.line}: {problem.text}")
    return Exit.OK


COMMANDS = (
    Command(
        ("user", "add"),
        "Add a virtual user. The running server knows the user at once.",
        _add,
        (USER, STDIN, HOME, SCHEME),
    ),
    Command(
        ("user", "passwd"),
        "Change the password of a virtual user.",
        _passwd,
        (USER, STDIN, SCHEME),
    ),
    Command(("user", "list"), "List the virtual users.", _list),
    Command(("user", "remove"), "Remove a virtual user. The mail stays.", _remove, (USER,)),
)
