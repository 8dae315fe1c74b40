"""Each step of the storage fails in turn: the refusal names why, and nothing is lost or doubled.

The same objects go on afterwards: a session does not open its mailbox anew because of a full disk.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pymaild.core.errors import Code, Refused, StorageFailure
from pymaild.core.session import User
from pymaild.mail.account import Account
from pymaild.mail.check import faults
from pymaild.mail.delivery import deliver
from pymaild.mail.flags import FLAGGED, SEEN, Flags
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.settings import MailSettings
from pymaild.storage import atomic
from pymaild.storage.maildir import Draft

from .disk import memory

CODES = {
    errno.ENOSPC: Code.OVERQUOTA,
    errno.EDQUOT: Code.OVERQUOTA,
    errno.EIO: Code.UNAVAILABLE,
    errno.EMFILE: Code.UNAVAILABLE,
    errno.EROFS: Code.UNAVAILABLE,
}
COUNT = 4
NEW = b"Subject: new\r\n\r\nnew\r\n"


def kept(number: int) -> bytes:
    return b"Subject: kept %d\r\n\r\nbody\r\n" % number


class Scene:
    """An account with four messages in INBOX; both mailboxes stay open all the time."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.account = Account(User(name="u", mail=str(path)), MailSettings())
        self.account.prepare()
        self.account.create("Sent/Below")
        self.inbox = stack.enter_context(self.account.open("INBOX"))
        self.archive = stack.enter_context(self.account.open("Archive"))
        drafts = [self.inbox.write([kept(number)]) for number in range(COUNT)]
        self.inbox.commit([(draft, Flags(SEEN), None) for draft in drafts])


def append(scene: Scene) -> None:
    """APPEND of a message without flags, as a delivery is."""
    draft = scene.inbox.write([NEW])
    try:
        scene.inbox.commit([(draft, Flags(), None)])
    except BaseException:
        draft.discard()
        raise


def append_many(scene: Scene) -> None:
    """Several messages at once, all or none."""
    drafts: list[Draft] = []
    try:
        for _ in range(3):
            drafts.append(scene.inbox.write([NEW]))
        scene.inbox.commit([(draft, Flags(FLAGGED), None) for draft in drafts])
    except BaseException:
        for draft in drafts:
            draft.discard()
        raise


def deliver_one(scene: Scene) -> None:
    """What LMTP does."""
    deliver(scene.account, [NEW], None)


def copy(scene: Scene) -> None:
    """COPY of three."""
    scene.inbox.copy(scene.inbox.view(), [1, 2, 3], scene.archive)


def move(scene: Scene) -> None:
    """MOVE of three."""
    scene.inbox.copy(scene.inbox.view(), [1, 2, 3], scene.archive, move=True)


def store(scene: Scene) -> None:
    """STORE with a keyword nobody knew."""
    flags = scene.inbox.flags(["\\Flagged", "$Todo"])
    scene.inbox.store(scene.inbox.view(), [1, 2, 3, 4], "add", flags)


def create(scene: Scene) -> None:
    """CREATE."""
    scene.account.create("Work/Deep")


def rename(scene: Scene) -> None:
    """RENAME of a folder and the one below it."""
    scene.account.rename("Sent", "Gone out")


def subscribe(scene: Scene) -> None:
    """UNSUBSCRIBE writes the list anew."""
    scene.account.unsubscribe("Sent")


#: The work, and what is in INBOX and Archive when it succeeded: (kept ones, new ones).
WORKS: dict[Callable[[Scene], None], tuple[tuple[int, int], tuple[int, int]]] = {
    append: ((COUNT, 1), (0, 0)),
    append_many: ((COUNT, 3), (0, 0)),
    deliver_one: ((COUNT, 1), (0, 0)),
    copy: ((COUNT, 0), (3, 0)),
    move: ((COUNT - 3, 0), (3, 0)),
    store: ((COUNT, 0), (0, 0)),
    create: ((COUNT, 0), (0, 0)),
    rename: ((COUNT, 0), (0, 0)),
    subscribe: ((COUNT, 0), (0, 0)),
}
NOTHING_DONE = ((COUNT, 0), (0, 0))


@contextmanager
def failing(step: int, number: int) -> Iterator[list[str]]:
    """Let step number ``step`` fail, and no other. Yields the steps taken."""
    taken: list[str] = []

    def observe(kind: str, place: str) -> None:
        taken.append(kind)
        if len(taken) == step:
            raise OSError(number, os.strerror(number), place)

    atomic.observer = observe
    try:
        yield taken
    finally:
        atomic.observer = None


def contents(box: Mailbox) -> dict[int, bytes]:
    """UID and octets of every message, as a session sees them after NOOP."""
    box.refresh()
    assert faults(box) == []
    view = box.view()
    found = {}
    for seq in range(1, len(view) + 1):
        source = box.message(view, seq).section((), "")
        assert source is not None
        found[view.uid(seq)] = b"".join(source.pieces())
    return found


def tally(scene: Scene) -> tuple[tuple[int, int], tuple[int, int]]:
    """How many kept and new messages there are in INBOX and in Archive."""
    counts = []
    for box in (scene.inbox, scene.archive):
        octets = list(contents(box).values())
        assert all(data == NEW or data in map(kept, range(COUNT)) for data in octets)
        assert len([data for data in octets if data != NEW]) == len(set(octets) - {NEW})
        counts.append((len(octets) - octets.count(NEW), octets.count(NEW)))
    return counts[0], counts[1]


@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.__name__)
@pytest.mark.parametrize("number", CODES, ids=lambda number: errno.errorcode[number])
def test_every_step_may_fail(tmp_path: Path, work: Callable[[Scene], None], number: int) -> None:
    """All or nothing but for MOVE, which goes message by message; then it works again."""
    step, failed = 0, True
    while failed:
        step += 1
        with ExitStack() as stack:
            folder = stack.enter_context(memory(tmp_path))
            scene = Scene(folder / "mail", stack)
            uids, names = contents(scene.inbox), mailboxes(scene)
            with failing(step, number) as taken:
                failed = refused(work, scene, number)
            assert failed == (len(taken) >= step), "an error was passed over in silence"
            check(scene, work, failed, uids)
            assert mailboxes(scene) == names or not failed
            if failed and work is not move:
                work(scene)
                assert tally(scene) == WORKS[work], f"step {step}"
    assert step > 1, "no step was observed"


def mailboxes(scene: Scene) -> list[tuple[str, bool]]:
    """The names of the account, and which of them are mailboxes."""
    return [(entry.name, entry.selectable) for entry in scene.account.entries()]


def refused(work: Callable[[Scene], None], scene: Scene, number: int) -> bool:
    """Whether the work was refused, with the code that belongs to the error."""
    refusal = None
    try:
        work(scene)
    except Refused as error:
        refusal = error
    if refusal is not None:
        assert isinstance(refusal, StorageFailure)
        assert (refusal.code, refusal.errno) == (CODES[number], number)
        assert "/" not in refusal.text
    return refusal is not None


def check(
    scene: Scene, work: Callable[[Scene], None], failed: bool, uids: dict[int, bytes]
) -> None:
    """What there is now, for the open mailboxes and for a process that opens them anew."""
    seen = tally(scene)
    if work is move:
        assert seen[0][0] + seen[1][0] == COUNT, "lost or doubled"
    else:
        assert seen == (NOTHING_DONE if failed else WORKS[work])
    now = contents(scene.inbox)
    assert {uid: now[uid] for uid in uids if uid in now} == {
        uid: octets for uid, octets in uids.items() if octets in now.values()
    }, "renumbered"
    if failed:
        left = [p for p in Path(scene.inbox.directory).rglob("tmp/*") if p.is_file()]
        assert not left, "debris"
    for box in (scene.inbox, scene.archive):
        with scene.account.open(box.name) as other:
            assert contents(other) == contents(box)
