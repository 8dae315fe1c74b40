"""Whose mail a command is about: looks users up without a login."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import replace

from pymaild.admin.exits import Exit, Failure
from pymaild.admin.identity import become_owner
from pymaild.auth.client import AuthClient
from pymaild.auth.names import prepare_name
from pymaild.auth.passwd_file import PasswdFile
from pymaild.auth.system import SystemUsers
from pymaild.auth.users import Directory, Source, SourceUnavailable, mail_root
from pymaild.core.session import User
from pymaild.mail.account import Account
from pymaild.mail.grants import DIRECTORY, Grants
from pymaild.mail.sharing import Foreign
from pymaild.server.config import Config, load_config

#: Stands for a user in the commands on the mailboxes of ``mail.shared_directory``.
SHARED = "#shared"


def valid_name(name: str) -> str:
    """Return the prepared form of a user name. Raises Failure for what cannot be one."""
    try:
        return prepare_name(name)
    except ValueError as error:
        raise Failure(Exit.USAGE, f"{name!r} is no user name: {error}") from None


def find_user(config: Config, name: str) -> User:
    """Return a user. Raises Failure for an unknown one.

    Reads the users' files where the caller may, and asks the running auth process otherwise.
    """
    user = look_up(config, valid_name(name))
    if user is None:
        raise Failure(Exit.NOUSER, f"there is no user {name}")
    return user


def look_up(config: Config, prepared: str) -> User | None:
    """Return the user of a prepared name, None when there is none of that name."""
    files = [config.auth.passwd_file, config.auth.shadow_file if config.auth.system_users else ""]
    readable = all(os.access(path, os.R_OK) for path in files if path)
    return _read(config, prepared) if readable else _ask(config, prepared)


def _read(config: Config, name: str) -> User | None:
    sources: list[Source] = [PasswdFile(config.auth)]
    if config.auth.system_users:
        sources.append(SystemUsers(config.auth))
    try:
        entry = Directory(config.auth, sources).find(name)
    except SourceUnavailable as error:
        raise Failure(Exit.IOERR, f"users cannot be read: {error}") from None
    return entry.user if entry else None


def _ask(config: Config, name: str) -> User | None:
    return AuthClient(config.server.auth_socket, config.auth).lookup(name)


def open_account(args: Namespace) -> Account:
    """Return the account that a command line names, as the owner of its mail.

    From here on this process has no other rights than the owner's.
    """
    config = load_config(args.config)
    if args.user == SHARED:
        return _shared(config)
    user = find_user(config, args.user)
    become_owner(user, config.server)
    account = Account(user, config.mail)
    account.grants = None if user.system else grants_of(config)
    return account


def _shared(config: Config) -> Account:
    """Return the mailboxes that belong to nobody."""
    root = config.mail.shared_directory
    if not root:
        raise Failure(Exit.NOUSER, "mail.shared_directory is not set")
    become_owner(User(), config.server)
    os.makedirs(root, mode=0o700, exist_ok=True)
    settings = replace(config.mail, prefix="")
    return Foreign(User(mail=root), settings, None, config.mail.shared)


def grants_of(config: Config) -> Grants:
    """Return the index of who has opened mailboxes to whom."""
    return Grants(os.path.join(mail_root(config.auth), DIRECTORY))
