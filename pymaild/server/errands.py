"""What workers, keeper and vault say to each other: one octet of kind, then the body.

The descriptors that a message is about travel with it. All are of SOCK_SEQPACKET sockets, so
a message is whole or not there; numbers are in native order.
"""

from __future__ import annotations

import array
import os
import socket
import struct
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

from pymaild.core.session import Cause, Wait
from pymaild.net.protocols import PROTOCOLS

# From workers to the keeper
HELLO: Final = (
    b"H"  # JSON: slot, meeting, session (the id of the one under way, or ""), fresh, only
)
HOLD: Final = b"+"  # a key, a client's descriptor: it has begun; perhaps that of OVER besides
OVER: Final = b"-"  # a key: it has ended, or gone to the tls role
PARK: Final = b"P"  # a Parcel; all descriptors, where it is sent once more
NEXT: Final = b"?"  # asks for a session
MOVE: Final = b"M"  # a key, what is told of the session (moving.py), its descriptor, perhaps a file
# From the keeper to workers
WELCOME: Final = b"w"  # answers HELLO
HELD: Final = b"a"  # a key: keeper and vault have what was parked
RETURNED: Final = b"n"  # a key: nobody can keep it
SESSION: Final = b"W"  # a Parcel, the client's descriptor, that of a file
NOTHING: Final = b"0"
# Between keeper and vault
STORE: Final = b"+"  # entries, a descriptor each
DROP: Final = b"-"  # entries
ALL: Final = b"*"  # asks for all
STORED: Final = b"a"  # answers STORE
END: Final = b"."  # ends the answer to ALL, and what the keeper sends because of that

BUFFER = 8192  # octets; longer is no message here
MOST_FDS = 250  # below SCM_MAX_FD of Linux
KEY = 16  # octets of a session's id, padded
CLIENT, USERS, FILE, LOCK, BACKLOG = (
    b"c",
    b"u",
    b"f",
    b"l",
    b"b",
)  # an entry is a key and which descriptor
OF_CLIENT = (CLIENT, USERS)  # USERS: of a session whose process has become a system user
ENTRY = KEY + 1
_FDS = socket.CMSG_SPACE(MOST_FDS * 4)

CAUSES = ("", *Cause)
NAMES = tuple(PROTOCOLS)

PARCEL = struct.Struct("=c16sQQBBBI")  # kind, and a Parcel's fields
WAIT = struct.Struct("=5dBBHI6H")
TAG = 32  # octets of room for the tag of IDLE
SECONDS, EVERY, LONGEST, LOOKED, POLL, ENDS, CAUSE, WATCHES, COMMANDS = range(9)
FAREWELL, LEAVE, ALIVE, DONE, AGAIN, TAGGED = range(9, 15)

Got = tuple[bytes, list[int]]


class Parcel(NamedTuple):
    """A session on its way. ``user`` and ``address`` are the digests it counts under, 0 for none;
    ``cause`` is a place in CAUSES where it has something to do already. ``wait`` is the length of
    the wait, behind which ``text`` has the packed record. Where they lie in a file, ``text``
    is what is to be shown of the record, or, on the way back, the wait as it is now. Then it
    counts nowhere, and ``user`` is its row."""

    key: bytes
    user: int
    address: int
    protocol: int
    flags: int
    cause: int
    wait: int
    text: bytes

    def message(self, kind: bytes) -> bytes:
        """Return it as PARK or SESSION."""
        return PARCEL.pack(kind, *self[:-1]) + self.text

    @classmethod
    def read(cls, message: bytes) -> Parcel:
        """Read what :meth:`message` wrote. Raises struct.error."""
        return cls._make((*PARCEL.unpack_from(message)[1:], message[PARCEL.size :]))


def key_of(session: str) -> bytes:
    """Return an id as a key."""
    return session.encode()[:KEY].ljust(KEY, b"\0")


def id_of(key: bytes) -> str:
    """Return the id that a key stands for."""
    return key.rstrip(b"\0").decode(errors="replace")


def entries(message: bytes) -> list[bytes]:
    """Return the entries of STORE and DROP."""
    return [message[at : at + ENTRY] for at in range(1, len(message), ENTRY)]


def batches(kept: Iterable[tuple[bytes, int]]) -> Iterator[list[tuple[bytes, int]]]:
    """Cut entries and descriptors into what one message can take."""
    items = iter(kept)
    while batch := list(islice(items, MOST_FDS)):
        yield batch


# -- waits -----------------------------------------------------------------------------------------


def pack_wait(wait: Wait) -> bytes:
    """Write a wait: numbers, watches, the tag in its room, texts."""
    tag, done, again = (wait.idle or ["", "", ""])[:3]
    texts = [wait.farewell, wait.leave, wait.alive, done.encode(), again.encode()]
    numbers = WAIT.pack(
        wait.seconds,
        wait.every,
        wait.longest,
        wait.looked,
        wait.poll,
        wait.ends,
        CAUSES.index(wait.cause),
        len(wait.watches),
        wait.commands,
        *map(len, texts),
        len(tag[:TAG]),
    )
    room = tag.encode()[:TAG].ljust(TAG, b"\0") if wait.idle else b""
    return b"".join((numbers, array.array("I", wait.watches).tobytes(), room, *texts))


class Packed:
    """A packed wait, read where the keeper needs it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.numbers = list(WAIT.unpack_from(data))

    @property
    def size(self) -> int:
        """How long it is; what it was read from may go on."""
        texts = int(sum(self.numbers[FAREWELL:TAGGED]))
        return WAIT.size + 4 * int(self.numbers[WATCHES]) + (TAG if self.idles else 0) + texts

    @property
    def watches(self) -> array.array[int]:
        """Its watch descriptors."""
        end = WAIT.size + 4 * self.numbers[WATCHES]
        return array.array("I", self.data[WAIT.size : end])

    def text(self, which: int) -> bytes:
        """Return FAREWELL, LEAVE, ALIVE, DONE or AGAIN."""
        start = WAIT.size + 4 * self.numbers[WATCHES] + (TAG if self.idles else 0)
        start += sum(self.numbers[FAREWELL:which])
        return self.data[start : start + self.numbers[which]]

    @property
    def idles(self) -> bool:
        """Whether it is that of an IDLE command, or was."""
        return bool(self.numbers[DONE])

    @property
    def tag(self) -> bytes:
        """The tag of IDLE."""
        start = WAIT.size + 4 * self.numbers[WATCHES]
        return self.data[start : start + self.numbers[TAGGED]]

    def with_tag(self, tag: bytes) -> Packed:
        """Return one with another tag, as long as this."""
        start = WAIT.size + 4 * self.numbers[WATCHES]
        data = self.data[:start] + tag.ljust(TAG, b"\0") + self.data[start + TAG :]
        return Packed(data).having(TAGGED, len(tag))

    def having(self, which: int, number: float) -> Packed:
        """Return one with another number."""
        numbers = [*self.numbers[:which], number, *self.numbers[which + 1 :]]
        return Packed(WAIT.pack(*numbers) + self.data[WAIT.size :])

    def going_on(self, cause: int, left: float) -> bytes:
        """Return what a session is told that goes on; its watches are nothing to it any more."""
        numbers = [left, *self.numbers[1:]]
        numbers[CAUSE], numbers[WATCHES] = cause, 0
        return WAIT.pack(*numbers) + self.data[WAIT.size + 4 * self.numbers[WATCHES] :]


def unpack_wait(data: bytes) -> Wait:
    """Read what :func:`pack_wait` wrote. Raises struct.error and ValueError."""
    packed = Packed(data)
    numbers = packed.numbers
    tag, done, again = (
        part.decode() for part in (packed.tag, packed.text(DONE), packed.text(AGAIN))
    )
    return Wait(
        seconds=numbers[SECONDS],
        farewell=packed.text(FAREWELL),
        leave=packed.text(LEAVE),
        alive=packed.text(ALIVE),
        every=numbers[EVERY],
        longest=numbers[LONGEST],
        watches=packed.watches.tolist(),
        looked=numbers[LOOKED],
        poll=numbers[POLL],
        idle=[tag, done, again] if packed.idles else [],
        ends=bool(numbers[ENDS]),
        cause=CAUSES[numbers[CAUSE]],
        commands=numbers[COMMANDS],
    )


# -- records ---------------------------------------------------------------------------------------

#: What records are made of, the most frequent last: deflate finds it there, and leaves it out.
_COMMON: Final = (
    b'"notify":{"groups":[],"position":,"known":{},"denied":[]},"contexts":[],"saved":[[],'
    b'"comparator":"","language":"de","compressed":true,"read_only":true,"hidden":[],'
    b'"quota":{},"groups":[],"system":true,"master":"","bad":,"auth_failures":,'
    b'"state":"not authenticated","state":"authorization","state":"transaction",'
    b'"server_name":"mail.","server_name":"imap.","client_subject":"","client_name":"",'
    b'"listener":"imap","listener":"pop3s","protocol":"pop3","protocol":"lmtp",'
    b'"client":"name=\\"Thunderbird\\" version=\\"","enabled":["CONDSTORE","QRESYNC",'
    b'"UTF8=ACCEPT","IMAP4rev2"],"protocol":"imap","id":"","listener":"imaps",'
    b'"peer":{"address":"192.168.","port":},"local":{"address":"127.0.0.1","port":993},'
    b'"tls":{"version":"TLSv1.3","cipher":"TLS_AES_256_GCM_SHA384","exporter":{"b64":"="}},'
    b'"started":17,"user":{"name":"@example.org","uid":100,"gid":100,"home":"/home/",'
    b'"mail":"/var/mail//Maildir"},"greeted":true,"state":"authenticated","state":"selected",'
    b'"commands":1,"mailbox":"INBOX","uidvalidity":17,"snapshot":1,"recent":[[],'
    b'"idling":"a","version":1}'
)
_LEVEL, _WINDOW, _MEMORY = 6, -12, 5  # a 4 KiB window costs 9 microseconds, the default 40


def pack_record(record: bytes) -> bytes:
    """Make an encoded record small: to a third, where nothing is unusual."""
    deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY, zdict=_COMMON)
    return deflater.compress(record) + deflater.flush()


def unpack_record(data: bytes) -> bytes:
    """Undo :func:`pack_record`. Raises ValueError."""
    try:
        return zlib.decompressobj(_WINDOW, zdict=_COMMON).decompress(data)
    except zlib.error as error:
        raise ValueError(str(error)) from error


def read_file(fd: int) -> bytes:
    """Return what lies in a file in memory."""
    return os.pread(fd, os.fstat(fd).st_size, 0)


# -- sockets ---------------------------------------------------------------------------------------


def receive(sock: socket.socket) -> Got | None:
    """Return the next message with its descriptors, b"" at the end, None when there is none now.

    Descriptors that this process has no room for are missing.
    """
    while True:
        try:
            data, extra, _, _ = sock.recvmsg(BUFFER, _FDS)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            continue  # said once, when the other end left something unread; what it sent is there
        except OSError:
            return b"", []
        if not extra:
            return data, []
        fds = array.array("i")
        for _level, _kind, octets in extra:
            fds.frombytes(octets[: len(octets) - len(octets) % 4])
        return data, fds.tolist()


def send(sock: socket.socket, data: bytes, fds: list[int] | tuple[int, ...] = ()) -> bool:
    """Send a message. False when it cannot be taken now; raises OSError when it never will be."""
    try:
        if fds:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
            sock.sendmsg([data], [rights], socket.MSG_NOSIGNAL)
        else:
            sock.send(data, socket.MSG_NOSIGNAL)
    except BlockingIOError:
        return False
    return True
