"""What the server says it can do (RFC 3501 §6.1.1): one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymaild.imap import limits
from pymaild.imap.states import ANY, AUTH, NONAUTH

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


_LARGEST_NUMBER = 0xFFFFFFFF  # RFC 3501 §9


@dataclass(frozen=True, slots=True)
class Capability:
    """One row: the name, the states in which it is announced, and whether it is at all.

    Without ``given`` it always is. ``value`` makes a name such as ``APPENDLIMIT=1`` from a
    session; ``enable`` says that a client may name it in ENABLE (RFC 5161).
    """

    name: str
    states: frozenset[str]
    rfc: str
    given: Callable[[ImapSession], bool] | None = None
    value: Callable[[ImapSession], list[str]] | None = None
    enable: bool = False


def _mechanisms(session: ImapSession) -> list[str]:
    return [f"AUTH={name}" for name in session.services.auth.mechanisms(session.record.tls)]


def _login_disabled(session: ImapSession) -> bool:
    return not session.services.auth.plaintext_allowed(session.tls)


def append_limit(session: ImapSession) -> int:
    """The largest message of APPEND, as the number that can be told (RFC 7889 §5)."""
    return min(session.services.mail.message_size, _LARGEST_NUMBER)


def unauthenticate_possible(session: ImapSession) -> bool:
    """Whether the session can lose its user: a process that became one cannot become another.

    Hidden, it is switched off (RFC 8437 §8). Compression would have to end with it (§3), at an
    octet that the hop in between cannot find.
    """
    user = session.record.user
    fixed = session.record.compressed or (user is not None and user.system)
    return "UNAUTHENTICATE" not in _hidden(session) and not fixed


def _append_limit(session: ImapSession) -> list[str]:
    return [f"APPENDLIMIT={append_limit(session)}"]


CAPABILITIES: tuple[Capability, ...] = (
    Capability("IMAP4rev1", ANY, "RFC 3501 §6.1.1"),
    Capability("IMAP4rev2", ANY, "RFC 9051 §6.1.1", enable=True),
    Capability("LITERAL+", ANY, "RFC 7888 §3", lambda s: s.settings.literal == "plus"),
    Capability("LITERAL-", ANY, "RFC 7888 §5", lambda s: s.settings.literal == "minus"),
    Capability("ID", ANY, "RFC 2971 §3"),
    Capability("UTF8=ACCEPT", AUTH, "RFC 6855 §3", enable=True),
    Capability("INPROGRESS", AUTH, "RFC 9585 §3"),
    Capability("ENABLE", ANY, "RFC 5161 §3.1"),
    Capability("LANGUAGE", ANY, "RFC 5255 §3.1"),
    Capability("SASL-IR", NONAUTH, "RFC 4959 §3"),
    Capability("STARTTLS", NONAUTH, "RFC 3501 §6.2.1", lambda s: s.starttls_possible),
    Capability("LOGINDISABLED", NONAUTH, "RFC 3501 §6.2.3", _login_disabled),
    Capability("AUTH=", NONAUTH, "RFC 3501 §6.2.2", value=_mechanisms),
    Capability("NOTIFY", AUTH, "RFC 5465 §3"),
    Capability("IDLE", AUTH, "RFC 2177 §3"),
    Capability("NAMESPACE", AUTH, "RFC 2342 §5"),
    Capability("ACL", AUTH, "RFC 4314 §2"),
    Capability("LIST-MYRIGHTS", AUTH, "RFC 8440 §2"),
    Capability("RIGHTS=texk", AUTH, "RFC 4314 §5.1.1"),
    Capability("QUOTA", AUTH, "RFC 9208 §4"),
    Capability("QUOTASET", AUTH, "RFC 9208 §4.1.3"),
    Capability("QUOTA=RES-STORAGE", AUTH, "RFC 9208 §5.1"),
    Capability("QUOTA=RES-MESSAGE", AUTH, "RFC 9208 §5.2"),
    Capability("QUOTA=RES-MAILBOX", AUTH, "RFC 9208 §5.3"),
    Capability("CHILDREN", AUTH, "RFC 3348 §3"),
    Capability("UIDPLUS", AUTH, "RFC 4315 §1"),
    Capability("UNSELECT", AUTH, "RFC 3691 §2"),
    Capability("MOVE", AUTH, "RFC 6851 §3"),
    Capability("ESEARCH", AUTH, "RFC 4731 §3"),
    Capability("SEARCHRES", AUTH, "RFC 5182 §2.1"),
    Capability("CONTEXT=SEARCH", AUTH, "RFC 5267 §4"),
    Capability("SORT", AUTH, "RFC 5256 §3"),
    Capability("SORT=DISPLAY", AUTH, "RFC 5957 §4"),
    Capability("ESORT", AUTH, "RFC 5267 §3.1"),
    Capability("CONTEXT=SORT", AUTH, "RFC 5267 §4"),
    Capability("THREAD=ORDEREDSUBJECT", AUTH, "RFC 5256 §3"),
    Capability("THREAD=REFERENCES", AUTH, "RFC 5256 §3"),
    Capability("THREAD=REFS", AUTH, "draft-ietf-morg-inthread"),
    Capability("PARTIAL", AUTH, "RFC 9394 §3"),
    Capability("MULTISEARCH", AUTH, "RFC 7377 §2"),
    Capability("FILTERS", AUTH, "RFC 5466 §3"),
    Capability("WITHIN", AUTH, "RFC 5032 §2"),
    Capability("I18NLEVEL=1", AUTH, "RFC 5255 §4.3"),  # for clients that know no other level
    Capability("I18NLEVEL=2", AUTH, "RFC 5255 §4.4"),
    Capability("LIST-EXTENDED", AUTH, "RFC 5258 §1"),
    Capability("LIST-STATUS", AUTH, "RFC 5819 §2"),
    Capability("LIST-METADATA", AUTH, "RFC 9590 §1"),
    Capability("SPECIAL-USE", AUTH, "RFC 6154 §2"),
    Capability("CREATE-SPECIAL-USE", AUTH, "RFC 6154 §3"),
    Capability("METADATA", AUTH, "RFC 5464 §1"),
    Capability("CONDSTORE", AUTH, "RFC 7162 §3.1.1", enable=True),
    Capability("QRESYNC", AUTH, "RFC 7162 §3.2.2", enable=True),
    Capability("UIDONLY", AUTH, "RFC 9586 §3.1", enable=True),
    Capability("UIDBATCHES", AUTH, "RFC 10022 §3"),
    Capability("MESSAGELIMIT=", AUTH, "RFC 9738 §3", value=limits.announced),
    Capability("STATUS=SIZE", AUTH, "RFC 8438 §2"),
    Capability("COMPRESS=DEFLATE", AUTH, "RFC 4978 §3", lambda s: s.compress_possible),
    Capability("UNAUTHENTICATE", AUTH, "RFC 8437 §3", unauthenticate_possible),
    Capability("BINARY", AUTH, "RFC 3516 §4.1"),
    Capability("CATENATE", AUTH, "RFC 4469 §1"),
    Capability("URL-PARTIAL", AUTH, "RFC 5550 §5.7.1"),
    Capability("MULTIAPPEND", AUTH, "RFC 3502"),
    Capability("REPLACE", AUTH, "RFC 8508 §3.1"),
    Capability("OBJECTID", AUTH, "RFC 8474 §3"),
    Capability("PREVIEW", AUTH, "RFC 8970 §1"),
    Capability("SAVEDATE", AUTH, "RFC 8514 §4.1"),
    Capability("APPENDLIMIT", AUTH, "RFC 7889 §2", value=_append_limit),
)

_TO_ENABLE = {row.name.upper(): row.name for row in CAPABILITIES if row.enable}


_MOST_KEPT = 64  # lines
_told: dict[tuple[object, ...], bytes] = {}


def announced(session: ImapSession) -> bytes:
    """Return "CAPABILITY IMAP4rev1 ..." for the state the session is in."""
    around = _surroundings(session)
    line = _told.get(around)
    if line is None:
        if len(_told) >= _MOST_KEPT:
            _told.clear()
        line = _told[around] = _line(session)
    return line


def _surroundings(session: ImapSession) -> tuple[object, ...]:
    """Return all that rows look at; what is the same in two sessions is announced to both."""
    record, services = session.record, session.services
    tls, user = record.tls, record.user
    return (
        *(record.state, record.compressed, tuple(record.hidden)),
        tls and (bool(tls.exporter), bool(tls.client_name)),
        user and (user.system, tuple(user.hidden)),
        *(services.starttls, services.deflate is None),
        *(session.settings, services.mail, services.auth),
    )


def _line(session: ImapSession) -> bytes:
    state, hidden, names = session.record.state, _hidden(session), ["CAPABILITY"]
    for row in CAPABILITIES:
        if state in row.states:
            names += [name for name in _names(row, session) if name.upper() not in hidden]
    return " ".join(names).encode()


def _names(row: Capability, session: ImapSession) -> list[str]:
    if row.given is not None and not row.given(session):
        return []
    return row.value(session) if row.value else [row.name]


def to_enable(session: ImapSession, asked: list[str]) -> list[str]:
    """Return those of the names in ENABLE that it switches on, as they are written.

    What is hidden from a client cannot be enabled by it either.
    """
    hidden = _hidden(session)
    known = [name for name in dict.fromkeys(asked) if name in _TO_ENABLE and name not in hidden]
    return [_TO_ENABLE[name] for name in known]


def _hidden(session: ImapSession) -> set[str]:
    """What the server, the listener or the user's entry does not want announced."""
    user = session.record.user
    names = [*session.settings.hide_capabilities, *session.record.hidden]
    return {name.upper() for name in (*names, *(user.hidden if user else ()))}
