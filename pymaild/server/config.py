"""The whole configuration: one section of each package."""

from __future__ import annotations

from dataclasses import dataclass

from pymaild.auth.settings import AuthSettings
from pymaild.core.config_file import read_config
from pymaild.core.quirks import Quirks
from pymaild.imap.settings import ImapSettings
from pymaild.lmtp.settings import LmtpSettings
from pymaild.mail.settings import MailSettings
from pymaild.net.settings import TlsSettings
from pymaild.pop3.settings import Pop3Settings
from pymaild.server.settings import (
    DEFAULT_LISTENERS,
    ListenerSettings,
    LogSettings,
    ServerSettings,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What one file says. ``path`` is the file; :func:`load_config` reads it again."""

    server: ServerSettings
    listeners: tuple[ListenerSettings, ...] = DEFAULT_LISTENERS
    log: LogSettings
    tls: TlsSettings
    auth: AuthSettings
    mail: MailSettings
    imap: ImapSettings
    pop3: Pop3Settings
    lmtp: LmtpSettings
    quirks: Quirks
    path: str = ""


def load_config(path: str) -> Config:
    """Read a configuration file. Raises ConfigError with a line for each mistake."""
    return Config(path=path, **read_config(path, Config))
