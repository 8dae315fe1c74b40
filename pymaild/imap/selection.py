"""The selected mailbox as its client sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pymaild.core.errors import Refused
from pymaild.imap.modes import Modes
from pymaild.imap.responses import Say, runs, sequence_set, text, vanished
from pymaild.mail.flags import NAMES, Flags
from pymaild.mail.rights import Rights

if TYPE_CHECKING:
    from pymaild.imap.contexts import Contexts
    from pymaild.mail.selected import Changes, Selected

Write = Callable[[bytes], None]

GONE = "The selected mailbox was deleted or renumbered"
_MOST_CACHED = 4096  # combinations of flags whose wire form is kept
_NAMES = tuple((bit, name.encode()) for bit, name in NAMES)
_SYSTEM = b" ".join(name for _, name in _NAMES)


class Gone(Exception):
    """The selected mailbox was deleted or renumbered: its session cannot go on."""


class Selection:
    """What stands between the mail layer's :class:`Selected` and the wire.

    Nothing in here outlives a command but caches: the record holds what makes a Selection.
    ``modes`` are those of the session, ``say`` its language; ``numbered`` says that the command
    under way named messages by sequence numbers, where its row in the table does not say so.
    """

    def __init__(self, selected: Selected, modes: Modes, say: Say = text) -> None:
        self.selected = selected
        self.modes = modes
        self.say = say
        self.numbered = False
        self.quiet = False  # NOTIFY does not ask for changes of flags (RFC 5465 §5.1)
        self.mailbox = selected.mailbox
        self.contexts: Contexts | None = None
        self._wire: dict[int, bytes] = {}
        self._recent = selected.recent  # as the client was told
        self._told = selected.told  # all there is, by the command that selects
        self._rights = self._foreign_rights()
        self._take_keywords(self.mailbox.keyword_names()[: selected.keywords])

    @property
    def read_only(self) -> bool:
        """Whether the mailbox was opened by EXAMINE."""
        return self.selected.read_only

    def require_writable(self, rights: str = "") -> None:
        """Raise Refused where the mailbox was opened by EXAMINE (RFC 3501 §6.3.2).

        Also where the user lacks one of ``rights`` (RFC 4314 §4).
        """
        if self.selected.read_only:
            raise Refused(None, "The mailbox was opened read-only")
        if rights:
            self.mailbox.require(rights)

    def _take_keywords(self, keywords: list[str]) -> None:
        self.keywords = keywords
        self.keyword_octets = [keyword.encode() for keyword in keywords]
        self._wire.clear()

    # -- flags -----------------------------------------------------------------------------

    def flags(self, seq: int) -> bytes:
        """Return the flags of a message in parentheses (RFC 3501 §7.4.2)."""
        selected = self.selected
        view = selected.view
        recent = not self.modes.rev2 and selected.is_recent(seq)
        key = view.flags(seq) | recent << 5 | view.keywords(seq) << 6
        return self._wire.get(key) or self._compose(key)

    def _compose(self, key: int) -> bytes:
        mail_flags = self.mailbox.flag_names(Flags(key & 31, key >> 6))
        found = [*mail_flags, "\\Recent"] if key & 32 else mail_flags
        if len(self._wire) >= _MOST_CACHED:
            self._wire.clear()
        wire = self._wire[key] = b"(%b)" % " ".join(found).encode()
        return wire

    def flag_list(self) -> bytes:
        """The flags that messages here can have (RFC 3501 §7.2.6)."""
        return b"(%b)" % b" ".join([_SYSTEM, *self.keyword_octets])

    def permanent_flags(self) -> bytes:
        """The flags that a client can change for good (RFC 3501 §7.1, PERMANENTFLAGS)."""
        if self.read_only:
            return b"()"
        allowed = self.mailbox.allowed()
        found = [name for bit, name in _NAMES if allowed.system & bit]
        if allowed.keywords:
            found += self.keyword_octets
            found += [b"\\*"] if self.mailbox.may_create_keywords() else []
        return b"(%b)" % b" ".join(found)

    def tell_keywords(self, write: Write) -> None:
        """Announce keywords that came up since the client was last told."""
        keywords = self.mailbox.keyword_names()
        if keywords != self.keywords:
            self._take_keywords(keywords)
            self._tell_flags(write)

    def _tell_flags(self, write: Write) -> None:
        write(b"* FLAGS %b\r\n" % self.flag_list())
        kept = self.say("Flags kept")
        write(b"* OK [PERMANENTFLAGS %b] %b\r\n" % (self.permanent_flags(), kept))

    def _foreign_rights(self) -> Rights | None:
        """The user's rights where the mailbox is another's, else None."""
        access = self.mailbox.access
        return None if access is None or access.own else self.mailbox.rights()

    def _tell_rights(self, write: Write) -> None:
        """Tell what flags can be changed now (RFC 4314 §5.1.1). Raises Gone without "r"."""
        rights = self._foreign_rights()
        if rights is not None and "r" not in rights:
            raise Gone
        if rights != self._rights:
            self._rights = rights
            self._tell_flags(write)

    # -- what others did -------------------------------------------------------------------

    def tell(self, write: Write, expunge: bool) -> None:
        """Tell what changed since the last time (RFC 3501 §5.2, §7.4.1). Raises Gone."""
        told, self._told = self._told, False
        if told:
            return
        expunge = expunge and not self.numbered
        self.numbered = False
        if self._rights is not None:
            self._tell_rights(write)
        changes = self.selected.changes(expunge)
        if changes:
            self._tell(changes, write)
        if self.modes.qresync and not expunge and self._behind():
            write(self.highest("Expunges are still to be told"))

    def _tell(self, changes: Changes, write: Write) -> None:
        if changes.gone:
            raise Gone
        if self.contexts is not None:
            self.contexts.before(changes)
        if changes.expunged:
            self._tell_expunged(changes, write)
        if changes.exists is not None:
            write(b"* %d EXISTS\r\n" % changes.exists)
        if changes.expunged or changes.exists is not None:
            self._tell_recent(write, changes.exists is not None)
        if changes.keywords:
            self.tell_keywords(write)
        for seq in changes.flags if not self.quiet else ():
            write(self.update(seq))
        if self.contexts is not None:
            self.contexts.behind(changes)

    def _tell_expunged(self, changes: Changes, write: Write) -> None:
        """EXPUNGE, or VANISHED instead (RFC 7162 §3.2.10, RFC 9586 §3.3)."""
        if self.modes.qresync or self.modes.uidonly:
            for response in vanished(runs(changes.vanished)):
                write(response)
        else:
            write(b"".join([b"* %d EXPUNGE\r\n" % seq for seq in changes.expunged]))

    def _behind(self) -> bool:
        """Whether the view waits for a command that may tell of an expunge.

        Mod-sequences told meanwhile can be higher than that of the expunge: a client that is cut
        off now must not take them for all it knows (RFC 7162 §3.2).
        """
        return self.mailbox.index.snapshot > self.selected.view.snapshot

    def highest(self, text: str = "Highest") -> bytes:
        """An untagged OK with HIGHESTMODSEQ: all up to it has been told (RFC 7162 §3.1.2.1)."""
        return b"* OK [HIGHESTMODSEQ %d] %b\r\n" % (self.modseq, self.say(text))

    @property
    def modseq(self) -> int:
        """The mod-sequence of the mailbox as its client knows it."""
        return self.selected.view.snapshot

    def _tell_recent(self, write: Write, grown: bool) -> None:
        """RFC 3501 §7.3.2: told with new mail, and when an expunge has changed it.

        IMAP4rev2 knows nothing of it (RFC 9051 appendix E).
        """
        if self.modes.rev2:
            return
        recent = self.selected.recent
        if grown or recent != self._recent:
            write(b"* %d RECENT\r\n" % recent)
        self._recent = recent

    def head(self, seq: int) -> bytes:
        """The start of a FETCH response up to its items, or of UIDFETCH (RFC 9586 §3.3)."""
        if self.modes.uidonly:
            return b"* %d UIDFETCH (" % self.selected.view.uid(seq)
        return b"* %d FETCH (" % seq

    def update(self, seq: int, uid: bool = True, flags: bool = True) -> bytes:
        """A FETCH response nobody asked for: flags and mod-sequence of a message.

        Clients that know mod-sequences get UID and MODSEQ always (RFC 7162 §3.2.4).
        """
        view, modes = self.selected.view, self.modes
        items = []
        if (uid or modes.condstore) and not modes.uidonly:
            items.append(b"UID %d" % view.uid(seq))
        if flags:
            items.append(b"FLAGS " + self.flags(seq))
        if modes.condstore:
            items.append(b"MODSEQ (%d)" % view.modseq(seq))
        return b"%b%b)\r\n" % (self.head(seq), b" ".join(items))

    def recent_spans(self) -> list[list[int]]:
        """Ranges of the UIDs that are \\Recent here."""
        selected = self.selected
        if self.modes.rev2:
            return []
        if not selected.read_only:
            return selected.state()[3]
        if not selected.recent:
            return []
        view = selected.view
        return [[view.uid(s)] * 2 for s in range(1, len(view) + 1) if view.in_new(s)]

    # -- numbers ---------------------------------------------------------------------------

    def uids(self, seqs: Sequence[int]) -> list[int]:
        """The UIDs of messages."""
        uid = self.selected.view.uid
        return [uid(seq) for seq in seqs]

    def copyuid(self, uidvalidity: int, pairs: list[tuple[int, int]]) -> bytes:
        """The COPYUID response code (RFC 4315 §3) for pairs of source and new UID."""
        return b"[COPYUID %d %b %b]" % (
            uidvalidity,
            sequence_set(source for source, _ in pairs),
            sequence_set(new for _, new in pairs),
        )
