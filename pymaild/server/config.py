"""The whole configuration: one section of each package."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

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

log = logging.getLogger("pymaild.server")

#: Settings that are used once, when the server starts.
FIXED = (
    *("user", "group", "tls_user", "run_directory", "spool", "control", "pid_file"),
    "sessions_max",
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


def with_fixed(new: Config, old: Config) -> Config:
    """Keep the settings that only a start can change, and say so."""
    kept = {name: getattr(old.server, name) for name in FIXED}
    for name, value in kept.items():
        if getattr(new.server, name) != value:
            log.warning("server.%s: the new value counts from the next start on", name)
    return replace(new, server=replace(new.server, **kept))
