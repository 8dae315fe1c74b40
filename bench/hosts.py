"""The servers that a crowd comes to: pymaild with eight workers, Dovecot with imap-hibernate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support import certs
from tests.support.dovecot import dovecot
from tests.support.instance import instance
from tests.support.place import free_port, place

from .mail import PASSWORD
from .raw import Address

USERS = 200  # whose mailboxes the crowd idles on
WATCHERS = 100  # who are told of new mail

_HIBERNATE = """
imap_hibernate_timeout = 1s
mail_max_userip_connections = 0
service imap-hibernate {
  chroot =
  client_limit = 20000
  unix_listener imap-hibernate {
    mode = 0666
  }
}
service imap {
  process_limit = 20000
  unix_listener imap-master {
    mode = 0666
  }
}
service imap-login {
  client_limit = 20000
  process_limit = 64
  service_count = 0
}
service lmtp {
  process_min_avail = 2
}
service anvil {
  client_limit = 60000
}
service auth {
  client_limit = 60000
}
"""
_TLS = """
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
service imap-login {{
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
"""


def watchers() -> list[str]:
    return [f"watcher{number}" for number in range(WATCHERS)]


def users() -> dict[str, str]:
    """All that log in, and their password."""
    names = [f"user{number}" for number in range(USERS)]
    return dict.fromkeys([*names, *watchers(), "watched", "large", "active"], PASSWORD)


@contextmanager
def _pymaild() -> Iterator[Any]:
    with instance(users()) as server:
        server.settings["server"].update(
            workers_min=8,
            workers_max=8,
            user_connections=20_000,
            address_unauthenticated=20_000,
            tls_processes=0,
        )
        (server.base / "mail").mkdir(exist_ok=True)
        yield server


@contextmanager
def _instances() -> Iterator[None]:
    """Let a user have many inotify instances for this time: a hibernated client keeps its own.

    Without one Dovecot looks every 30 seconds. Where the limit may not be raised this shows.
    """
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    before = limit.read_text()
    with suppress(OSError):
        limit.write_text(str(max(int(before), 1 << 16)))
    try:
        yield
    finally:
        with suppress(OSError):
            limit.write_text(before)


@contextmanager
def _dovecot() -> Iterator[Any]:
    with (
        _instances(),
        dovecot_tls() as (more, addresses),
        dovecot(users(), spare=4, more=_HIBERNATE + more) as server,
    ):
        server.addresses = {"imap": server.imap} | addresses  # type: ignore[attr-defined]
        yield server


@contextmanager
def dovecot_tls() -> Iterator[tuple[str, dict[str, Address]]]:
    """What Dovecot's configuration needs for IMAP with TLS, and the address of that."""
    port = free_port()
    with place("ct") as folder:
        certificate, key = certs.make(folder)
        more = _TLS.format(imaps=port, certificate=certificate, key=key)
        yield more, {"imaps": ("127.0.0.1", port)}


KINDS: dict[str, Callable[[], Any]] = {"pymaild": _pymaild, "dovecot": _dovecot}
