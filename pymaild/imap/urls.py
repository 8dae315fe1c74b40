"""URLs of messages and of their parts, relative to the session (RFC 5092 §11, RFC 4469 §3)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from pymaild.core.errors import Code, Refused, StorageFailure

if TYPE_CHECKING:
    from pymaild.mail.account import Account
    from pymaild.mail.mailbox import Mailbox
    from pymaild.mail.message import Message, What

_NUMBER = rb"[1-9][0-9]{0,9}"
_URL = re.compile(
    rb"/(?P<mailbox>[^/;?#][^;?#]*)(?:;UIDVALIDITY=(?P<validity>%b))?/;UID=(?P<uid>%b)"
    rb"(?:/;SECTION=(?P<section>[^;?#]+))?"
    rb"(?:/;PARTIAL=(?P<offset>[0-9]{1,10})(?:\.(?P<count>%b))?)?" % (_NUMBER, _NUMBER, _NUMBER),
    re.IGNORECASE,
)
_SECTION = re.compile(
    rb"(?P<path>%b(?:\.%b)*)?(?P<dot>\.)?"
    rb"(?:(?P<what>HEADER|TEXT|MIME)|(?P<fields>HEADER\.FIELDS(?P<negate>\.NOT)?)"
    rb" \((?P<names>[^\x00-\x20:()]+(?: [^\x00-\x20:()]+)*)\))?" % (_NUMBER, _NUMBER),
    re.IGNORECASE,
)
_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})|%")
_UNSAFE = re.compile(rb"[^!#-Z^-~\[\\]")
_LONGEST_SHOWN = 1000  # octets of a URL in a response code
_LONGEST_PATH = 200  # octets; no part lies this deep


@dataclass(frozen=True, slots=True)
class Url:
    """A message, or a share of it: what FETCH calls BODY[section]<offset.count>."""

    mailbox: str
    uidvalidity: int
    uid: int
    path: tuple[int, ...] = ()
    what: What = ""
    names: frozenset[bytes] = frozenset()
    negate: bool = False
    offset: int = 0
    count: int | None = None


def parse(text: bytes) -> Url:
    """Read a URL without server: an absolute path. Raises ValueError.

    A relative path is none that may be accepted (RFC 5092 §7.2), and other servers, users and
    authorized URLs are not ours to resolve (RFC 4469 §3).
    """
    match = _URL.fullmatch(text)
    section = _SECTION.fullmatch(_decoded(match["section"] or b"")) if match else None
    if match is None or section is None or len(section["path"] or b"") > _LONGEST_PATH:
        raise ValueError("not a URL of a message")
    path = tuple(int(number) for number in (section["path"] or b"").split(b".") if number)
    what = (section["what"] or section["fields"] or b"").upper()
    if bool(section["dot"]) != bool(path and what) or (what == b"MIME" and not path):
        raise ValueError("malformed section")
    return Url(
        _decoded(match["mailbox"]).decode("utf-8"),
        int(match["validity"] or 0),
        int(match["uid"]),
        path,
        cast("What", "" if section["fields"] else what.decode("ascii")),
        frozenset((section["names"] or b"").upper().split()),
        section["negate"] is not None,
        int(match["offset"] or 0),
        int(match["count"]) if match["count"] else None,
    )


def _decoded(text: bytes) -> bytes:
    """Undo %XX. Raises ValueError for a "%" that stands alone."""
    return _ENCODED.sub(lambda found: bytes((int(found[1] or b"-", 16),)), text)


def shown(url: bytes) -> str:
    """Return a URL as it can stand in a response code (RFC 4469 §5, url-resp-text)."""
    safe = _UNSAFE.sub(lambda found: b"%%%02X" % found[0][0], url[:_LONGEST_SHOWN])
    return safe.decode("ascii") or "%"


class Share:
    """The octets that a URL names; ``size`` of them."""

    def __init__(self, message: Message, url: Url) -> None:
        self._lines: bytes | None = None
        self._source = None
        if url.names:
            self._lines = message.part_header_fields(url.path, url.names, url.negate)
            whole = -1 if self._lines is None else len(self._lines)
        else:
            self._source = message.section(url.path, url.what)
            whole = -1 if self._source is None else self._source.size
        if whole < 0:
            raise ValueError("no such part")
        self._offset = min(url.offset, whole)
        self.size = whole - self._offset if url.count is None else url.count
        self.size = min(self.size, whole - self._offset)

    def pieces(self) -> Iterator[bytes]:
        """Yield the octets in bounded pieces."""
        if self._lines is not None:
            yield self._lines[self._offset : self._offset + self.size]
        elif self._source is not None and self.size:
            yield from self._source.pieces(self._offset, self.size)


class Resolver:
    """Finds what URLs name for one user. The mailbox of the last one is kept open."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._open: tuple[str, Mailbox] | None = None

    def resolve(self, text: bytes) -> Share:
        """Return what a URL names. Raises Refused (BADURL) for all that is wrong with it."""
        try:
            return self._find(parse(text))
        except StorageFailure:
            raise
        except (ValueError, Refused):
            refused = Refused(Code.BADURL, "This URL names no message or part")
            refused.argument = shown(text)
            raise refused from None

    def _find(self, url: Url) -> Share:
        mailbox = self._mailbox(url.mailbox)
        mailbox.refresh()
        view = mailbox.view()
        seq = view.seq(url.uid)
        if not seq or url.uidvalidity not in (0, mailbox.uidvalidity):
            raise ValueError("no such message")
        return Share(mailbox.message(view, seq), url)

    def _mailbox(self, name: str) -> Mailbox:
        if self._open is not None and self._open[0] == name:
            return self._open[1]
        self.close()
        self._open = name, self._account.open(name, "r")
        return self._open[1]

    def close(self) -> None:
        """Close the mailbox that is kept open."""
        if self._open is not None:
            self._open[1].close()
            self._open = None
