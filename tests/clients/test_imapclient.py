"""IMAPClient, which many programs in Python are made of: the extensions it has calls for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import corpus
from tests.support.served import Served

from .conftest import MESSAGES

imapclient = pytest.importorskip("imapclient")


@pytest.fixture
def client(server: Served) -> Iterator[Any]:
    host, port = server.imap
    with imapclient.IMAPClient(host, port=port, ssl=False) as made:
        made.login("alice", "secret")
        yield made


def test_folders(client: Any) -> None:
    """NAMESPACE, ID, special uses, STATUS, names beyond ASCII and with "&"."""
    assert client.id_({"name": "IMAPClient"})
    assert client.namespace().personal[0][0] == ""
    for name in ("Größe & Gewicht", "R&D/a b"):
        client.create_folder(name)
        client.subscribe_folder(name)
        assert name in [row[2] for row in client.list_folders()]
        assert client.folder_status(name, ["MESSAGES", "UIDNEXT"]) == {
            b"MESSAGES": 0,
            b"UIDNEXT": 1,
        }
    client.rename_folder("R&D/a b", "R&D/c")
    assert {row[2] for row in client.list_sub_folders()} >= {"Größe & Gewicht", "Lists"}
    client.create_folder("Sent")
    assert client.find_special_folder(b"\\Sent") == "Sent"


def test_condstore(client: Any) -> None:
    """ENABLE, CHANGEDSINCE and MODSEQ, in SELECT, FETCH and SEARCH."""
    assert client.enable("CONDSTORE") == [b"CONDSTORE"]
    start = client.select_folder("INBOX")[b"HIGHESTMODSEQ"]
    client.add_flags([3], [imapclient.FLAGGED, "$Work"])
    changed = client.fetch(range(1, 5), ["FLAGS"], modifiers=[f"CHANGEDSINCE {start}"])
    assert set(changed) == {3}
    assert imapclient.FLAGGED in changed[3][b"FLAGS"]
    modseq = changed[3][b"MODSEQ"][0]
    assert modseq > start
    found = client.search(["MODSEQ", str(modseq)])
    assert (list(found), found.modseq) == ([3], modseq)


def test_sort_and_thread(client: Any) -> None:
    """The server's order is that of the numbers of the subjects."""
    client.select_folder("Lists")
    client.delete_messages(client.search())
    client.expunge()
    for number in (3, 1, 2):
        client.append("Lists", corpus.simple(number))
    first = client.folder_status("Lists", "UIDNEXT")[b"UIDNEXT"] - 3
    assert client.sort("SUBJECT") == [first + 1, first + 2, first]
    assert client.sort("REVERSE SUBJECT", "UNSEEN", "UTF-8") == [first, first + 2, first + 1]
    threads = client.thread("REFERENCES")
    assert sorted(uid for thread in threads for uid in thread) == [first, first + 1, first + 2]


def test_move_and_expunge(client: Any) -> None:
    """MOVE and UID EXPUNGE touch what they name, and nothing else."""
    client.select_folder("INBOX")
    client.delete_messages([1, 2])
    client.uid_expunge([2])
    client.move([3], "Lists")
    assert client.search() == [1, *range(4, MESSAGES + 1)]
    assert client.search("DELETED") == [1]


def test_rights_and_quota(client: Any) -> None:
    """ACL and QUOTA, as they are parsed by somebody else."""
    client.setacl("Lists", "bob", "lr")
    assert (b"bob", b"lr") in client.getacl("Lists")
    roots, quotas = client.get_quota_root("INBOX")
    assert roots.mailbox == "INBOX"
    assert len(roots.quota_roots) == 1
    assert {quota.quota_root for quota in quotas} <= set(roots.quota_roots)


def test_idle(client: Any, server: Served) -> None:
    """New mail is told while it idles."""
    client.select_folder("INBOX")
    client.idle()
    with server.client("alice") as other:
        other.appended("INBOX", corpus.simple(9))
    told: list[Any] = []
    while (MESSAGES + 1, b"EXISTS") not in told:
        heard = client.idle_check(timeout=20)
        assert heard
        told += heard
    assert client.idle_done()[0]
