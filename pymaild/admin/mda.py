"""`pymaild deliver`: one message from standard input, for procmail, .forward and MTAs."""

from __future__ import annotations

import sys
from argparse import Namespace

from pymaild.admin.commands import Argument, Command
from pymaild.admin.exits import Exit, Failure
from pymaild.admin.identity import become_owner
from pymaild.admin.output import Output
from pymaild.admin.people import look_up
from pymaild.auth.names import prepare_name
from pymaild.core.errors import Code, ConfigError, Refused
from pymaild.core.session import User
from pymaild.lmtp.mda import Order, Place, deliver_command
from pymaild.mail.account import Account
from pymaild.server import logs
from pymaild.server.config import Config, load_config
from pymaild.server.settings import LogSettings


def _deliver(args: Namespace, out: Output) -> int:
    try:
        config = load_config(args.config)
    except ConfigError as error:  # the MTA shall keep the message until it is mended
        raise Failure(Exit.TEMPFAIL, str(error)) from None
    _log(config.log)
    order = Order(user=args.user, sender=args.sender, folder=args.folder, address=args.address)
    code = deliver_command(sys.stdin.buffer, order, _place(config))
    if code:
        raise Failure(Exit(code), "the message was not delivered; the log says why")
    out.result({"delivered": True})
    return code


def _log(settings: LogSettings) -> None:
    """Log where the server does; to standard error where the caller may not."""
    try:
        logs.set_up(settings)
    except ConfigError:
        logs.set_up(LogSettings(to="stderr", level=settings.level))


def _place(config: Config) -> Place:
    return Place(
        lookup=lambda name: _lookup(config, name),
        open_account=lambda user: Account(user, config.mail),
        become=lambda user: become_owner(user, config.server),
        message_size=config.mail.message_size,
        settings=config.lmtp,
    )


def _lookup(config: Config, name: str) -> User | None:
    try:
        return look_up(config, prepare_name(name))
    except ValueError:
        return None
    except Failure as error:
        raise Refused(Code.UNAVAILABLE, "Users cannot be looked up now", str(error)) from None


COMMAND = Command(
    ("deliver",),
    "Deliver the message on standard input. An exit status of 0 says that it is on disk; 75 asks "
    "the mail transfer agent to try again.",
    _deliver,
    (
        Argument(
            ("-d", "--user"),
            "Whose mail it is: a user name or an address. Otherwise the user who calls.",
            {"metavar": "USER", "default": None},
        ),
        Argument(
            ("-f", "--sender"),
            "The envelope sender, for Return-Path; empty for bounces.",
            {"metavar": "ADDRESS", "default": None},
        ),
        Argument(
            ("-m", "--folder"),
            "The folder to deliver to, if there is one of that name; otherwise the address "
            "decides, or it is INBOX.",
            {"metavar": "FOLDER", "default": None},
        ),
        Argument(
            ("-a", "--address"),
            "The address the message was sent to, for Delivered-To and for user+folder.",
            {"metavar": "ADDRESS", "default": None},
        ),
    ),
)
