"""A Postfix of our own hands mail to the server over LMTP."""

from __future__ import annotations

import os
import pwd
import smtplib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.support import corpus
from tests.support.place import free_port, place
from tests.support.served import Served

from .conftest import needs

pytestmark = [
    needs("postfix"),
    pytest.mark.skipif(os.getuid() != 0, reason="Postfix's master must be started by root"),
]

MAIN = """
compatibility_level = 3.6
queue_directory = {base}/queue
data_directory = {base}/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mta.example.org
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
virtual_mailbox_domains = example.org
virtual_mailbox_maps = static:all
virtual_transport = lmtp:inet:127.0.0.1:{lmtp}
lmtp_destination_recipient_limit = 50
smtpd_recipient_restrictions = permit_mynetworks, reject
maillog_file = {base}/mail.log
maillog_file_prefixes = {base}
"""
MASTER = """
127.0.0.1:{smtp} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass
class Mta:
    """A Postfix: its SMTP port, and what it logged."""

    port: int
    log: str = ""


@contextmanager
def postfix(lmtp: int) -> Iterator[Mta]:
    """A Postfix in a folder of its own; its log is whole once it has ended."""
    with place("pf") as base:
        smtp = free_port()
        (base / "etc").mkdir()
        for name in ("queue", "data"):
            (base / name).mkdir()
        os.chown(base, 0, 0)
        os.chown(base / "data", pwd.getpwnam("postfix").pw_uid, 0)
        (base / "etc" / "main.cf").write_text(MAIN.format(base=base, lmtp=lmtp))
        (base / "etc" / "master.cf").write_text(MASTER.format(smtp=smtp))
        command = ["/usr/sbin/postfix", "-c", str(base / "etc")]
        subprocess.run([*command, "start"], check=True, capture_output=True, timeout=60)
        try:
            yield (mta := Mta(smtp))
        finally:
            subprocess.run([*command, "stop"], check=True, capture_output=True, timeout=60)
            mta.log = (base / "mail.log").read_text()


def test_delivered_while_the_client_idles(server: Served) -> None:
    """Postfix delivers through LMTP and the idling client is told of it."""
    assert isinstance(server.lmtp, tuple)
    with server.client("carol@example.org") as imap, postfix(server.lmtp[1]) as mta:
        imap.ok("SELECT INBOX")
        tag = imap.idle()
        with smtplib.SMTP("127.0.0.1", mta.port, local_hostname="client.example") as smtp:
            smtp.sendmail("sender@example.org", ["carol@example.org"], corpus.simple(42))
        imap.until("EXISTS")
        imap.done(tag)
        found = imap.ok('SEARCH SUBJECT "simple 42"').one("SEARCH").values[1:]
        fetched = imap.ok(f"FETCH {found[0]} BODY.PEEK[HEADER]").fetched()
        header = next(iter(fetched.values()))["BODY[HEADER]"]
        assert header.startswith(b"Return-Path: <sender@example.org>\r\n")
        assert b"\r\nDelivered-To: carol@example.org\r\n" in b"\r\n" + header
    assert "status=sent" in mta.log
