"""A private Debian Dovecot: its own configuration, folder and ports, no privileges."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from .imap import Imap
from .place import (
    become,
    environment,
    free_port,
    give,
    group_name,
    identity,
    place,
    user_name,
    write,
)

PROGRAM = shutil.which("dovecot", path="/usr/sbin:/usr/bin:/usr/local/sbin")
needs_dovecot = pytest.mark.skipif(
    PROGRAM is None, reason="Debian's dovecot-imapd is not installed"
)

_CONFIG = """
base_dir = {base}/run
state_dir = {base}/run
log_path = {base}/dovecot.log
instance_name = test
protocols = imap pop3 lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
mail_uid = {uid}
mail_gid = {gid}
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:{base}/mail/%u/Maildir
mail_home = {base}/mail/%u
mail_plugins =
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {base}/passwd
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={base}/mail/%u
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  process_min_avail = {spare}
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  chroot =
  process_min_avail = {spare}
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service lmtp {{
  chroot =
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
service stats {{
  chroot =
}}
mail_max_userip_connections = 200
lda_mailbox_autocreate = no
protocol lmtp {{
  postmaster_address = postmaster@example.org
}}
"""


#: Dovecot looks at a passwd-file once a second; tests that add users take this password instead.
ANYBODY = "pw"
_STATIC = """
passdb {
  driver = static
  args = password=pw
}
"""


class Dovecot:
    """A running Dovecot. ``home`` is a user's Maildir below ``base``/mail/<user>/Maildir."""

    def __init__(
        self,
        base: Path,
        users: dict[str, str],
        spare: int = 0,
        anybody: bool = False,
        more: str = "",
    ) -> None:
        self.base = base
        self.users = users
        self.imap, self.pop3, self.lmtp = (("127.0.0.1", free_port()) for _ in range(3))
        self.config = write(base / "dovecot.conf", self._config(spare) + _STATIC * anybody + more)
        write(base / "passwd", "".join(f"{u}:{{PLAIN}}{p}::::::\n" for u, p in users.items()))
        for user in users:
            home = base / "mail" / user
            home.mkdir(parents=True, exist_ok=True)
        (base / "run").mkdir(exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None

    def add_user(self, name: str) -> str:
        """A new user of a server that was made for anybody."""
        self.users[name] = ANYBODY
        return name

    def _config(self, spare: int) -> str:
        uid, gid = identity()
        names = {"base": self.base, "user": user_name(), "group": group_name()}
        ports = {"imap": self.imap[1], "pop3": self.pop3[1], "lmtp": self.lmtp[1]}
        return _CONFIG.format(**names, **ports, uid=uid, gid=gid, spare=spare)

    def maildir(self, user: str) -> Path:
        """The user's Maildir (made at the first login)."""
        return self.base / "mail" / user / "Maildir"

    def start(self) -> None:
        """Start in the foreground and wait until a client is greeted."""
        assert PROGRAM
        self.process = subprocess.Popen(
            [PROGRAM, "-F", "-c", str(self.config)],
            cwd=self.base,
            env=environment(self.base),
            **become(),
        )
        deadline = time.monotonic() + 20
        while not self._greets():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()

    def _greets(self) -> bool:
        try:
            Imap(self.imap).close()
        except OSError:
            return False
        return True

    def log(self) -> str:
        """What Dovecot wrote to its log."""
        path = self.base / "dovecot.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self) -> None:
        """Stop it with all its children."""
        if self.process is None:
            return
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        psutil.wait_procs(children, 10)
        self.process = None

    def client(self, user: str, timeout: float = 20.0) -> Imap:
        """A client that is logged in."""
        return Imap(self.imap, timeout).login(user, self.users[user])


@contextmanager
def dovecot(
    users: dict[str, str], spare: int = 0, anybody: bool = False, more: str = ""
) -> Iterator[Dovecot]:
    """A Dovecot in a folder of its own; prepare mail before ``start`` is called.

    ``more`` is put behind its configuration.
    """
    with place("dc") as base:
        server = Dovecot(base, users, spare, anybody, more)
        give(base)
        try:
            yield server
        finally:
            server.stop()
