"""Settings of users and logins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pymaild.auth.exchanges import MECHANISMS, Connection
from pymaild.auth.names import placeholders, prepare_name
from pymaild.auth.oauth_settings import OAuthSettings
from pymaild.core.errors import ConfigError
from pymaild.core.settings import Duration, FilePath, Size, setting


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Users, their passwords and where their mail lives."""

    SECTION: ClassVar[str] = "auth"

    passwd_file: FilePath = setting(
        FilePath("/etc/pymaild/users"),
        "The virtual users, one a line: `user:{ARGON2ID}hash:uid:gid:gecos:home:shell:extra`. "
        "Written by `pymailctl user`, read again when it changes. Empty: there are none.",
    )
    system_users: bool = setting(
        False,
        "Let the users of this host log in with the passwords of /etc/shadow. Each of their "
        "sessions runs in a process that has become that user. Needs a server run by root.",
    )
    shadow_file: FilePath = setting(
        FilePath("/etc/shadow"), "The passwords of the users of this host, as shadow(5) has them."
    )
    system_uid_min: int = setting(
        1000, "Users of this host with a smaller uid are unknown to the server.", low=1
    )
    default_domain: str = setting(
        "",
        "The domain of users that name none: alice and alice@<this domain> are one user, "
        "whichever of the two is found.",
    )
    mail_path: FilePath = setting(
        FilePath("/var/mail/pymaild/{user}/Maildir"),
        "The Maildir of a user without a home directory. {user} is the whole name, {local} and "
        "{domain} are what stands before and behind its @.",
    )
    home_mail: str = setting(
        "Maildir",
        "The Maildir below the home directory, for users of this host and for lines of "
        "passwd_file that name a home. Empty: mail_path is used for them too.",
    )
    mail_format: Literal["maildir", "mbox"] = setting(
        "maildir",
        "How mail is stored: in Maildirs, or in files of many messages (mbox). Such files are "
        "served in place: mail_path and home_mail are then the directory of a user's folders, "
        "such as mail, and mbox_inbox is the file of new mail. For one user the passwd-file can "
        "say it: extra field `userdb_mail=mbox:~/mail:INBOX=/var/mail/alice` or "
        "`userdb_mail=maildir:~/Maildir`.",
    )
    mbox_inbox: FilePath = setting(
        FilePath("/var/mail/{local}"),
        "The file that a user's new mail is in, where it is stored as mbox; {user}, {local} and "
        "{domain} as in mail_path.",
    )
    mechanisms: tuple[str, ...] = setting(
        ("EXTERNAL", "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN"),
        "SASL mechanisms, the preferred one first; each is offered where it can work. Besides "
        "these there are SCRAM-SHA-256-PLUS, SCRAM-SHA-256, SCRAM-SHA-1-PLUS and SCRAM-SHA-1: "
        "they ask for passwords that are stored as SCRAM keys (see `password_scheme`) or as "
        "{PLAIN}, and clients that are offered one try nothing else, so add them once all users "
        "have such. Without PLAIN the commands that carry a password (LOGIN in IMAP, USER and "
        "PASS in POP3) are refused as well.",
    )
    masters: tuple[str, ...] = setting(
        (),
        "Users who may act as any other user: who names one as the authorization identity of a "
        "mechanism (RFC 4422 section 3.4.1) and proves to be a master gets that user's mail.",
    )
    allow_plaintext: bool = setting(
        False,
        "Let passwords be sent in clear text over connections without TLS. A user's entry in the "
        "passwd-file can forbid that to this user: extra field `require_tls`.",
    )
    cache_ttl: Duration = setting(
        Duration(3600.0),
        "How long a verified password is remembered (as a keyed digest, in memory only), so "
        "that the next login need not hash it. A changed password counts at once. 0: never.",
        low=0,
    )
    cache_size: int = setting(10_000, "How many verified passwords are remembered.", low=0)
    failure_delay: Duration = setting(
        Duration(2.0),
        "How long the answer to a failed login is held back. The time doubles with each "
        "further failure from the same address (IPv6: from the same /64). 0: never.",
        low=0,
    )
    failure_delay_max: Duration = setting(
        Duration(15.0), "The longest such delay.", low=0, high=300
    )
    failure_memory: Duration = setting(
        Duration(900.0),
        "When an address has behaved for so long its failures are forgotten.",
        low=1,
    )
    password_scheme: Literal["ARGON2ID", "SCRAM-SHA-256", "SCRAM-SHA-1"] = setting(
        "ARGON2ID",
        "How passwords are stored that are set from now on. ARGON2ID resists guessing best; the "
        "SCRAM forms serve PLAIN and the SCRAM mechanism of their name.",
    )
    scram_iterations: int = setting(
        4096,
        "Rounds of hashing for SCRAM keys that are made from now on (RFC 7677 section 4: at "
        "least 4096). Clients compute as many for each login.",
        low=4096,
        high=10_000_000,
    )
    hash_memory: Size = setting(
        Size(64 * 1024 * 1024),
        "Memory that checking one ARGON2ID password takes, for passwords set from now on.",
        low=64 * 1024,
        high=4 * 1024 * 1024 * 1024,
    )
    hash_time: int = setting(3, "Passes of ARGON2ID over that memory.", low=1, high=1000)
    hash_parallelism: int = setting(4, "Threads of one ARGON2ID computation.", low=1, high=64)
    hash_threads: int = setting(
        2, "How many passwords are checked at the same time.", low=1, high=256
    )
    hash_queue: int = setting(
        256, "How many logins may wait for that; more are told to try again later.", low=1
    )
    connections: int = setting(
        1024, "How many processes may be connected to the auth process.", low=1
    )
    timeout: Duration = setting(
        Duration(30.0), "How long a process waits for the answer of the auth process.", low=0.1
    )

    oauth: OAuthSettings = OAuthSettings()  # noqa: RUF009  # frozen as well

    def __post_init__(self) -> None:
        if self.hash_memory < 8192 * self.hash_parallelism:  # RFC 9106 §3.1
            raise ConfigError("hash_memory: must be at least 8 KiB for each of hash_parallelism")
        unknown = [name for name in self.mechanisms if name not in MECHANISMS]
        if unknown:
            raise ConfigError(f"mechanisms: {unknown[0]!r} is none of {', '.join(MECHANISMS)}")
        try:
            self.master_names()
        except ValueError as error:
            raise ConfigError(f"masters: {error}") from None
        for name in ("mail_path", "mbox_inbox"):
            named = placeholders(getattr(self, name))
            if not named & {"user", "local"} or named - {"user", "local", "domain"}:
                raise ConfigError(
                    f"{name}: needs {{user}} or {{local}}, and may have {{domain}} besides: "
                    "two users must not share their mail"
                )

    def offered(self, tls: bool, binding: bool, certificate: bool) -> list[str]:
        """Return the mechanisms that clients of a connection may use, the preferred one first.

        ``binding``: it has a value for channel binding; ``certificate``: the client showed one.
        """
        private = tls or self.allow_plaintext
        connection = Connection(private, binding, certificate, self.oauth.possible)
        return [name for name in self.mechanisms if MECHANISMS[name].possible(connection)]

    def master_names(self) -> frozenset[str]:
        """Return the names of masters in the form in which names are compared."""
        return frozenset(map(prepare_name, self.masters))
