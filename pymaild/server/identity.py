"""Who a process is: users and groups by name, and giving up root for good."""

from __future__ import annotations

import grp
import os
import pwd
import time
from dataclasses import dataclass

from pymaild.core.errors import ConfigError
from pymaild.core.session import User

PRIVATE = 0o077  # umask of every process that writes mail


@dataclass(frozen=True, slots=True)
class Identity:
    """Numbers of a user; ``groups`` are the supplementary ones."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


def find(user: str, group: str = "") -> Identity:
    """Look a user up, with another primary group where one is named. Raises ConfigError."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise ConfigError(f"there is no user {user!r} on this host") from None
    gid = find_group(group) if group else entry.pw_gid
    return Identity(entry.pw_uid, gid, tuple(os.getgrouplist(user, gid)))


def find_group(name: str) -> int:
    """Return the number of a group. Raises ConfigError."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigError(f"there is no group {name!r} on this host") from None


def of_system_user(user: User) -> Identity:
    """Return the identity of a logged-in user of this host. Raises ValueError for root."""
    if user.uid <= 0 or user.gid <= 0:
        raise ValueError("no session runs as root")
    try:
        name = pwd.getpwuid(user.uid).pw_name
    except KeyError:
        return Identity(user.uid, user.gid)
    return Identity(user.uid, user.gid, tuple(os.getgrouplist(name, user.gid)))


def may_become() -> bool:
    """Whether this process can change its identity at all."""
    return os.geteuid() == 0


def become(identity: Identity) -> None:
    """Turn this process into ``identity``, with no way back. Raises OSError."""
    os.setgroups(identity.groups or (identity.gid,))
    os.setresgid(identity.gid, identity.gid, identity.gid)
    os.setresuid(identity.uid, identity.uid, identity.uid)


def confine(directory: str) -> None:
    """Make ``directory`` the root of this process's file system. Needs root."""
    os.environ["TZ"] = ":/etc/localtime"  # libc looks at the file no more once TZ names it
    time.tzset()
    os.chroot(directory)
    os.chdir("/")
