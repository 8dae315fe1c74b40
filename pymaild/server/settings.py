"""Settings of the processes, the listening sockets and the log."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from typing import ClassVar, Literal

from pymaild.core.errors import ConfigError
from pymaild.core.settings import Duration, FilePath, Size, setting

_SMTP_PORT = 25

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def checked_path(path: str) -> str:
    """Return ``path`` when it can be a socket's: room is for 107 octets (unix(7))."""
    if not path.startswith("/") or "\0" in path or len(os.fsencode(path)) > 107:
        raise ConfigError(f"a socket's path is absolute and has at most 107 octets: {path!r}")
    return path


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Processes, their number, and as whom they run.

    Users and groups matter only when the server is started as root. Started by anyone else it
    is a private instance: all processes run as that user.
    """

    SECTION: ClassVar[str] = "server"

    hostname: str = setting("", "The server's name in greetings. Empty: the host's own name.")
    user: str = setting("pymaild", "The user who owns the mail of virtual users; workers run as.")
    group: str = setting("pymaild", "The group of the workers.")
    tls_user: str = setting("nobody", "The user of the processes that hold the TLS keys.")
    auth_user: str = setting(
        "root", "The user of the process that checks passwords; it must be able to read them."
    )
    run_directory: FilePath = setting(
        FilePath("/run/pymaild"), "Directory for sockets between the processes; made at the start."
    )
    spool: FilePath = setting(
        FilePath("/var/spool/pymaild"),
        "Directory where a message waits while it is being delivered to several users.",
    )
    crash_directory: FilePath = setting(
        FilePath("/var/spool/pymaild/crashes"),
        "Directory for what a client had sent when it ended two processes; passwords are left out. "
        "Empty: nothing is kept.",
    )
    control: FilePath = setting(
        FilePath("/run/pymaild/control"),
        "Unix socket of pymailctl. Who may write to it may control the server.",
    )
    control_group: str = setting("", "Group that may use pymailctl besides the server's user.")
    pid_file: FilePath = setting(
        FilePath("/run/pymaild/pid"), "File for the master's process number. Empty: none."
    )
    workers_min: int = setting(
        4, "Workers that always run. Each serves one connection at a time.", low=1, high=2000
    )
    workers_spare: int = setting(
        2, "New workers are started when fewer than this many are idle.", low=1, high=500
    )
    workers_spare_max: int = setting(
        8, "Workers leave, one a second, when more than this many are idle.", low=1, high=2000
    )
    workers_max: int = setting(
        256,
        "The most workers, and so the most sessions that do something at the same time.",
        low=1,
        high=2000,
    )
    keeper: bool = setting(
        True,
        "Whether sessions outlive their worker: those that are silent wait without one, and those "
        "whose worker dies go on in another. If false, each keeps its worker and dies with it.",
    )
    sessions_max: int = setting(
        50_000,
        "The most sessions that can wait without a process, and so most of the connections at a "
        "time; more than that keep a worker each. Every one costs the keeper and the vault a "
        "descriptor, and the server about a KiB and a half of memory.",
        low=1,
        high=1_000_000,
    )
    park_after: Duration = setting(
        Duration(2.0),
        "After how long a silence a session leaves its worker. When fewer than workers_spare are "
        "idle it leaves sooner, when none is idle almost at once.",
        low=0,
    )
    worker_sessions: int = setting(
        0, "A worker is replaced after this many connections. 0: never.", low=0
    )
    user_processes: int = setting(
        256,
        "The most processes of system users: one for each of their sessions at work. Beyond "
        "that sessions wait for one to end.",
        low=0,
        high=2000,
    )
    tls_processes: int = setting(0, "Processes for TLS. 0: one for each processor.", low=0, high=64)
    deflate_processes: int = setting(
        1,
        "Processes that compress for clients that ask for it (COMPRESS=DEFLATE in IMAP). "
        "0: no client may ask.",
        low=0,
        high=64,
    )
    deflate_level: int = setting(
        3, "How hard they try: 1 is the quickest, 9 takes the most time.", low=1, high=9
    )
    deflate_window: int = setting(
        13,
        "How far back they look for repetitions, as a power of two. 13 takes 64 KiB of memory for "
        "each connection that is compressed, 15 takes 256 KiB.",
        low=9,
        high=15,
    )
    index_processes: int = setting(
        2,
        "The most processes that do in the background what sessions leave to be done, such as "
        "reading through a folder that another program has filled. They run at low priority, and "
        "only while there is something to do; system users have one of their own, too. 0: none, "
        "and clients wait for it.",
        low=0,
        high=64,
    )
    backlog: int = setting(
        512, "Connections that may wait to be accepted, per listening socket.", low=1
    )
    user_connections: int = setting(200, "The most connections of one user.", low=1)
    address_unauthenticated: int = setting(
        50, "The most connections of one address that are not logged in.", low=1
    )
    write_timeout: Duration = setting(
        Duration(120.0), "How long a client may take nothing of what is sent to it.", low=1
    )
    reply_spool: Size = setting(
        Size(64 * 2**20),
        "How much of what a client has yet to take may wait in the spool directory, so that "
        "no process does. 0: nothing.",
    )
    proxy_timeout: Duration = setting(
        Duration(5.0), "How long a trusted proxy may take to send its PROXY header.", low=0.1
    )
    drain_timeout: Duration = setting(
        Duration(30.0), "How long connections may take to end when the server is stopped.", low=0
    )
    upgrade_timeout: Duration = setting(
        Duration(30.0),
        "How long a new program may take to be ready when the server is upgraded; the old one goes "
        "on if it takes longer.",
        low=1,
    )
    hang_timeout: Duration = setting(
        Duration(60.0), "A process that shows no sign of life for so long is ended.", low=1
    )

    def __post_init__(self) -> None:
        if self.workers_max < self.workers_min:
            raise ConfigError("workers_max is less than workers_min")
        if self.workers_spare_max < self.workers_spare:
            raise ConfigError("workers_spare_max is less than workers_spare")
        for path in (self.control, self.private_socket):
            checked_path(path)

    @property
    def auth_socket(self) -> str:
        """The Unix socket on which the auth process answers."""
        return os.path.join(self.run_directory, "auth")

    @property
    def keeper_socket(self) -> str:
        """The Unix socket on which the keeper hears workers."""
        return os.path.join(self.run_directory, "keeper")

    @property
    def private_socket(self) -> str:
        """Where workers take what the tls role brings them."""
        return os.path.join(self.tls_directory, "worker")

    @property
    def empty_directory(self) -> str:
        """The root directory of processes that need no file."""
        return os.path.join(self.run_directory, "empty")

    @property
    def tls_directory(self) -> str:
        """The root directory of the tls processes; it holds the workers' private socket."""
        return os.path.join(self.run_directory, "tls")


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """One socket that clients connect to."""

    SECTION: ClassVar[str] = "listener"

    name: str = setting("", "Name for the log and for systemd. Empty: made of the address.")
    protocol: Literal["imap", "pop3", "lmtp"] = setting("imap", "What is spoken here.")
    address: str = setting(
        "[::]:143",
        'Where to listen: "host:port" with an IP address, or "unix:/path". "[::]:143" takes IPv4 '
        "as well.",
    )
    tls: bool = setting(False, "TLS from the first octet (ports 993 and 995).")
    client_certificate: Literal["never", "optional", "required"] = setting(
        "optional",
        "Whether clients are asked for a certificate when TLS begins, also by STARTTLS or STLS. "
        "Nobody is asked when `tls.client_ca` is not set.",
    )
    proxy_from: tuple[str, ...] = setting(
        (),
        "Networks of proxies that send a PROXY protocol header, version 1 or 2 "
        '("10.0.0.0/8", "::1"; "unix" on a Unix socket). They must send it; nobody else may.',
    )
    mode: str = setting("0660", "Rights of a Unix socket.")
    group: str = setting("", "Group of a Unix socket. Empty: the group of the workers.")
    hide_capabilities: tuple[str, ...] = setting(
        (), "Capabilities that are not announced here, besides those of the protocol's section."
    )

    def __post_init__(self) -> None:
        endpoint = self.endpoint()
        if self.protocol == "lmtp" and endpoint[1:] == (_SMTP_PORT,):
            raise ConfigError("LMTP must not be spoken on port 25 (RFC 2033 §5)")
        self.networks()
        try:
            os.fsencode(self.name)
            int(self.mode, 8)
        except ValueError:
            raise ConfigError(f"mode {self.mode!r} is not an octal number") from None

    @property
    def title(self) -> str:
        """What the log calls this listener."""
        return self.name or f"{self.protocol}{'s' if self.tls else ''}@{self.address}"

    def endpoint(self) -> str | tuple[str, int]:
        """Return the path of a Unix socket, or address and port. Raises ConfigError."""
        if self.address.startswith("unix:"):
            return checked_path(self.address.removeprefix("unix:"))
        host, _, port = self.address.rpartition(":")
        try:
            address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
            if not 0 <= int(port) <= 65535:
                raise ValueError
        except ValueError:
            raise ConfigError(
                f'address {self.address!r} is not "IP address:port" or "unix:/path"'
            ) from None
        return str(address), int(port)

    def networks(self) -> tuple[IpNetwork, ...]:
        """Return the networks of ``proxy_from``. Raises ConfigError."""
        try:
            return tuple(
                ipaddress.ip_network(item, strict=False)
                for item in self.proxy_from
                if item != "unix"
            )
        except ValueError as error:
            raise ConfigError(f"proxy_from: {error}") from None


DEFAULT_LISTENERS = (
    ListenerSettings("imap", "imap", "[::]:143"),
    ListenerSettings("imaps", "imap", "[::]:993", tls=True),
    ListenerSettings("pop3", "pop3", "[::]:110"),
    ListenerSettings("pop3s", "pop3", "[::]:995", tls=True),
    ListenerSettings("lmtp", "lmtp", "unix:/run/pymaild/lmtp"),
)

Level = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Where the log goes and how much of it there is."""

    SECTION: ClassVar[str] = "log"

    to: Literal["syslog", "file", "stderr"] = setting("syslog", "Where the log goes.")
    file: FilePath = setting(
        FilePath("/var/log/pymaild.log"),
        'The log file when `to` is "file". It is opened again on SIGUSR1.',
    )
    facility: Literal["mail", "daemon", "local0", "local1", "local2", "local3"] = setting(
        "mail", 'The facility when `to` is "syslog".'
    )
    level: Level = setting("info", "The least important messages that are logged.")
