"""What a parked session waits for travels in its record; what is usual stays out of it."""

from __future__ import annotations

import json

from pymaild.core.session import SessionRecord, User, Wait


def test_a_record_says_only_what_is_unusual() -> None:
    """Parked sessions are many, and most of what a record could say does not apply to them."""
    record = SessionRecord(protocol="imap", id="0a", user=User(name="alice", uid=7))
    body = json.loads(record.encode())
    assert not body.keys() & {"wait", "unread", "outbox", "intents"}
    assert SessionRecord.decode(record.encode()) == record


def test_a_wait_travels_whole() -> None:
    wait = Wait(
        seconds=1800.0,
        farewell=b"* BYE \xff\r\n",
        leave=b"* BYE %s\r\n",
        alive=b"* OK Still here\r\n",
        every=120.0,
        longest=1500.0,
        watches=[1, 70000],
        looked=12.5,
        idle=["a1", "OK done", "+ idling"],
        ends=False,
        cause="news",
        commands=4,
    )
    record = SessionRecord(protocol="imap", wait=wait)
    assert SessionRecord.decode(record.encode()) == record
