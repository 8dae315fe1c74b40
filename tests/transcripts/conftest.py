"""The two servers that transcripts are played with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.dovecot import Dovecot, dovecot

#: What Debian's Dovecot has, but only when it is told so.
_MORE = """
mail_plugins = $mail_plugins acl quota zlib
mail_attribute_dict = file:%h/dovecot-attributes
plugin {
  acl = vfile
  quota = maildir:User quota
  quota_rule = *:storage=1G
}
namespace inbox {
  inbox = yes
  mailbox Trash {
    special_use = \\Trash
  }
}
protocol imap {
  mail_plugins = $mail_plugins imap_acl imap_quota imap_zlib
  imap_metadata = yes
}
"""


@pytest.fixture(scope="session")
def peer() -> Iterator[Dovecot]:
    """A running Dovecot that lets anybody in."""
    with dovecot({}, anybody=True, more=_MORE) as server:
        server.start()
        yield server
