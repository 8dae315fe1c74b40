"""The log: one write per line, to a file, to standard error or to syslog.

The descriptor a process writes to never changes its number: reopening puts a new file behind
it. So a process that may not open the file any more (it has given up its rights) is handed the
open file by the master.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import time
from functools import lru_cache
from typing import Final

from pymaild.core.errors import ConfigError
from pymaild.server.settings import LogSettings

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_FACILITIES: Final = {
    "mail": 2,
    "daemon": 3,
    "local0": 16,
    "local1": 17,
    "local2": 18,
    "local3": 19,
}
_SEVERITIES: Final = (  # RFC 5424 §6.2.1
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
    (logging.NOTSET, 7),
)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
SYSLOG = "/dev/log"
LONGEST = 8000  # characters of a line; what clients say is cut shorter before

ROOT = logging.getLogger("pymaild")

# What no line shows is not looked for (the logging HOWTO, "Optimization").
logging._srcfile = None
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


class LineFormatter(logging.Formatter):
    """One line a record; control characters are escaped, so that nobody can forge a line.

    A traceback follows on lines of its own that begin with a tab.
    """

    def __init__(self, stamped: bool) -> None:
        super().__init__()
        self._stamped = stamped

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of ``record`` without the newline at its end."""
        text = _CONTROLS.sub(_escaped, record.getMessage())[:LONGEST]
        line = f"{record.levelname.lower()}: {record.name.removeprefix('pymaild.')}: {text}"
        if self._stamped:
            line = f"{_stamp(record.created)} pymaild[{os.getpid()}] {line}"
        if record.exc_info:
            trace = self.formatException(record.exc_info).splitlines()
            line = "\n\t".join([line, *trace])
        return line


def _escaped(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02x}"


def _stamp(seconds: float) -> str:
    """Local time with milliseconds and offset (RFC 3339)."""
    whole, zone = _second(int(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}{zone}"


@lru_cache(maxsize=1)
def _second(seconds: int) -> tuple[str, str]:
    moment = time.localtime(seconds)
    zone = time.strftime("%z", moment)
    return time.strftime("%Y-%m-%dT%H:%M:%S", moment), f"{zone[:3]}:{zone[3:]}"


class FdHandler(logging.Handler):
    """Writes each record with a single write to descriptor ``fd``."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self.fd = fd
        self.setFormatter(LineFormatter(stamped=True))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; a log that cannot be written stops nobody."""
        try:
            os.write(self.fd, (self.format(record) + "\n").encode("utf-8", "backslashreplace"))
        except OSError:
            return


class SyslogHandler(logging.Handler):
    """Sends each record, and each line of a traceback, to the local syslog (RFC 3164 §4.1)."""

    def __init__(self, facility: int, address: str = SYSLOG) -> None:
        super().__init__()
        self._facility = facility
        self._address = address
        self._sock: socket.socket | None = None
        self.setFormatter(LineFormatter(stamped=False))
        self._connect()

    def _connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            sock.connect(self._address)
        except OSError:
            sock.close()
            return
        sock.settimeout(1.0)
        self._sock = sock

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record; a syslog that was restarted is found again."""
        severity = next(value for level, value in _SEVERITIES if record.levelno >= level)
        stamp = time.strftime("%b %e %H:%M:%S", time.localtime(record.created))
        head = f"<{self._facility * 8 + severity}>{stamp} pymaild[{os.getpid()}]: "
        for line in self.format(record).splitlines():
            data = (head + line).encode("utf-8", "backslashreplace")
            if not self._send(data):
                self._connect()
                self._send(data)

    def _send(self, data: bytes) -> bool:
        if self._sock is None:
            return False
        try:
            self._sock.send(data)
        except OSError:
            self._sock.close()
            self._sock = None
            return False
        return True

    def close(self) -> None:
        """Close the socket."""
        if self._sock is not None:
            self._sock.close()
        super().close()


def open_log(settings: LogSettings) -> int:
    """Open the log file for appending. Raises ConfigError when it cannot be."""
    try:
        return os.open(settings.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise ConfigError(f"log.file: {settings.file}: {error.strerror}") from None


def set_up(settings: LogSettings) -> None:
    """Begin to log as the settings say. Raises ConfigError when the file cannot be opened."""
    handler = _handler(settings)
    for old in list(ROOT.handlers):
        ROOT.removeHandler(old)
        if isinstance(old, FdHandler) and old.fd > 2:
            os.close(old.fd)
        old.close()
    ROOT.addHandler(handler)
    ROOT.propagate = False
    set_level(settings.level)


def _handler(settings: LogSettings) -> logging.Handler:
    if settings.to == "syslog":
        return SyslogHandler(_FACILITIES[settings.facility])
    return FdHandler(2 if settings.to == "stderr" else open_log(settings))


def set_level(level: str) -> None:
    """Log messages of ``level`` and above. Raises ValueError for an unknown one."""
    if level not in _LEVELS:
        raise ValueError(f"unknown log level {level!r}: {', '.join(_LEVELS)}")
    ROOT.setLevel(_LEVELS[level])


def replace(fd: int) -> None:
    """Write to the file behind ``fd`` from now on; ``fd`` itself is closed."""
    for handler in ROOT.handlers:
        if isinstance(handler, FdHandler) and handler.fd > 2:
            os.dup2(fd, handler.fd, inheritable=False)
    os.close(fd)
