"""The commands: one table."""

from __future__ import annotations

from functools import partial

from pymaild.imap.command import Command
from pymaild.imap.commands.acl import deleteacl, getacl, listrights, myrights, setacl
from pymaild.imap.commands.anystate import (
    capability,
    identify,
    logout,
    noop,
    unauthenticate,
)
from pymaild.imap.commands.append import announced as append_announced
from pymaild.imap.commands.append import append, replace, replace_announced
from pymaild.imap.commands.authenticate import authenticate, login, login_literal
from pymaild.imap.commands.comparator import comparator
from pymaild.imap.commands.compress import compress
from pymaild.imap.commands.copy import copy, move
from pymaild.imap.commands.enable import enable
from pymaild.imap.commands.esearch import esearch
from pymaild.imap.commands.expunge import expunge, uid_expunge
from pymaild.imap.commands.fetch import fetch
from pymaild.imap.commands.idle import again, idle
from pymaild.imap.commands.language import language
from pymaild.imap.commands.list import list_mailboxes, lsub, namespace, xlist
from pymaild.imap.commands.mailboxes import create, delete, rename, subscribe, unsubscribe
from pymaild.imap.commands.metadata import getmetadata, setmetadata
from pymaild.imap.commands.notify import notify
from pymaild.imap.commands.quota import getquota, getquotaroot, setquota
from pymaild.imap.commands.search import cancel_update, search
from pymaild.imap.commands.select import close, select, unselect
from pymaild.imap.commands.sort import sort
from pymaild.imap.commands.starttls import starttls
from pymaild.imap.commands.status import status
from pymaild.imap.commands.store import store
from pymaild.imap.commands.thread import thread
from pymaild.imap.commands.uidbatches import uidbatches
from pymaild.imap.states import ANY, AUTH, NONAUTH, SELECT

_TABLE: tuple[Command, ...] = (
    Command("CAPABILITY", ANY, capability, "RFC 3501 §6.1.1", changes=False),
    Command("NOOP", ANY, noop, "RFC 3501 §6.1.2", changes=False),
    Command("LOGOUT", ANY, logout, "RFC 3501 §6.1.3"),
    Command("ID", ANY, identify, "RFC 2971 §3.1", capability="ID"),
    Command("LANGUAGE", ANY, language, "RFC 5255 §3.2", capability="LANGUAGE"),
    Command("STARTTLS", NONAUTH, starttls, "RFC 3501 §6.2.1", capability="STARTTLS"),
    Command("AUTHENTICATE", NONAUTH, authenticate, "RFC 3501 §6.2.2", capability="AUTH="),
    Command("LOGIN", NONAUTH, login, "RFC 3501 §6.2.3", announced=login_literal),
    Command("COMPRESS", AUTH, compress, "RFC 4978 §3", capability="COMPRESS=DEFLATE"),
    Command("ENABLE", AUTH, enable, "RFC 5161 §3.1", capability="ENABLE"),
    Command("COMPARATOR", AUTH, comparator, "RFC 5255 §4.7", capability="I18NLEVEL=2"),
    Command("SELECT", AUTH, select, "RFC 3501 §6.3.1"),
    Command("EXAMINE", AUTH, partial(select, read_only=True), "RFC 3501 §6.3.2"),
    Command("CREATE", AUTH, create, "RFC 3501 §6.3.3"),
    Command("DELETE", AUTH, delete, "RFC 3501 §6.3.4"),
    Command("RENAME", AUTH, rename, "RFC 3501 §6.3.5"),
    Command("SUBSCRIBE", AUTH, subscribe, "RFC 3501 §6.3.6"),
    Command("UNSUBSCRIBE", AUTH, unsubscribe, "RFC 3501 §6.3.7"),
    Command("LIST", AUTH, list_mailboxes, "RFC 3501 §6.3.8", changes=False),
    Command("LSUB", AUTH, lsub, "RFC 3501 §6.3.9", changes=False),
    Command("XLIST", AUTH, xlist, "Gmail, before RFC 6154", changes=False),
    Command("NAMESPACE", AUTH, namespace, "RFC 2342 §5", capability="NAMESPACE", changes=False),
    Command("ESEARCH", AUTH, esearch, "RFC 7377 §2", capability="MULTISEARCH"),
    Command("STATUS", AUTH, status, "RFC 3501 §6.3.10", changes=False),
    Command(
        "GETMETADATA", AUTH, getmetadata, "RFC 5464 §4.2", capability="METADATA", changes=False
    ),
    Command("SETMETADATA", AUTH, setmetadata, "RFC 5464 §4.3", capability="METADATA"),
    Command("APPEND", AUTH, append, "RFC 3501 §6.3.11", announced=append_announced),
    Command("UNAUTHENTICATE", AUTH, unauthenticate, "RFC 8437 §3", capability="UNAUTHENTICATE"),
    Command("NOTIFY", AUTH, notify, "RFC 5465 §3.1", capability="NOTIFY"),
    Command("SETACL", AUTH, setacl, "RFC 4314 §3.1", capability="ACL"),
    Command("DELETEACL", AUTH, deleteacl, "RFC 4314 §3.2", capability="ACL"),
    Command("GETACL", AUTH, getacl, "RFC 4314 §3.3", capability="ACL", changes=False),
    Command("LISTRIGHTS", AUTH, listrights, "RFC 4314 §3.4", capability="ACL", changes=False),
    Command("MYRIGHTS", AUTH, myrights, "RFC 4314 §3.5", capability="ACL", changes=False),
    Command("GETQUOTA", AUTH, getquota, "RFC 9208 §4.1.1", capability="QUOTA", changes=False),
    Command(
        "GETQUOTAROOT", AUTH, getquotaroot, "RFC 9208 §4.1.2", capability="QUOTA", changes=False
    ),
    Command("SETQUOTA", AUTH, setquota, "RFC 9208 §4.1.3", capability="QUOTASET"),
    Command("IDLE", AUTH, idle, "RFC 2177 §3", capability="IDLE"),
    Command("UIDBATCHES", SELECT, uidbatches, "RFC 10022 §3.1", capability="UIDBATCHES"),
    Command("CHECK", SELECT, noop, "RFC 3501 §6.4.1", changes=False),
    Command("CLOSE", SELECT, close, "RFC 3501 §6.4.2"),
    Command("UNSELECT", SELECT, unselect, "RFC 3691 §2", capability="UNSELECT"),
    Command("EXPUNGE", SELECT, expunge, "RFC 3501 §6.4.3"),
    Command("UID EXPUNGE", SELECT, uid_expunge, "RFC 4315 §2.1", capability="UIDPLUS"),
    Command(
        "SEARCH",
        SELECT,
        partial(search, by_uid=False),
        "RFC 3501 §6.4.4",
        expunge=False,
        changes=False,
    ),
    Command("UID SEARCH", SELECT, partial(search, by_uid=True), "RFC 3501 §6.4.8", changes=False),
    Command(
        "SORT",
        SELECT,
        partial(sort, by_uid=False),
        "RFC 5256 §3",
        expunge=False,
        capability="SORT",
        changes=False,
    ),
    Command(
        "UID SORT",
        SELECT,
        partial(sort, by_uid=True),
        "RFC 5256 §3",
        capability="SORT",
        changes=False,
    ),
    Command(
        "THREAD",
        SELECT,
        partial(thread, by_uid=False),
        "RFC 5256 §3",
        expunge=False,
        capability="THREAD=REFERENCES",
        changes=False,
    ),
    Command(
        "UID THREAD",
        SELECT,
        partial(thread, by_uid=True),
        "RFC 5256 §3",
        capability="THREAD=REFERENCES",
        changes=False,
    ),
    Command("CANCELUPDATE", SELECT, cancel_update, "RFC 5267 §4.3.5", capability="CONTEXT=SEARCH"),
    Command(
        "FETCH",
        SELECT,
        partial(fetch, by_uid=False),
        "RFC 3501 §6.4.5",
        expunge=False,
        changes=False,
    ),
    Command("UID FETCH", SELECT, partial(fetch, by_uid=True), "RFC 3501 §6.4.8", changes=False),
    Command(
        "STORE",
        SELECT,
        partial(store, by_uid=False),
        "RFC 3501 §6.4.6",
        expunge=False,
        changes=False,
    ),
    Command("UID STORE", SELECT, partial(store, by_uid=True), "RFC 3501 §6.4.8", changes=False),
    Command("COPY", SELECT, partial(copy, by_uid=False), "RFC 3501 §6.4.7"),
    Command("UID COPY", SELECT, partial(copy, by_uid=True), "RFC 3501 §6.4.8"),
    Command(
        "REPLACE",
        SELECT,
        partial(replace, by_uid=False),
        "RFC 8508 §3.2",
        capability="REPLACE",
        announced=replace_announced,
    ),
    Command(
        "UID REPLACE",
        SELECT,
        partial(replace, by_uid=True),
        "RFC 8508 §3.3",
        capability="REPLACE",
        announced=replace_announced,
    ),
    Command("MOVE", SELECT, partial(move, by_uid=False), "RFC 6851 §3.1", capability="MOVE"),
    Command("UID MOVE", SELECT, partial(move, by_uid=True), "RFC 6851 §3.2", capability="MOVE"),
)

COMMANDS: dict[bytes, Command] = {row.name.encode(): row for row in _TABLE}

#: Commands that speak of messages by sequence number: those with a UID form, and of these not
#: EXPUNGE, which names no message (RFC 9586 §3).
NUMBERED = frozenset(row.name for row in _TABLE if f"UID {row.name}".encode() in COMMANDS)
NUMBERED -= {"EXPUNGE"}

#: An IDLE that goes on in another process than it began in.
IDLE_AGAIN = Command("IDLE", AUTH, again, "RFC 2177 §3", capability="IDLE")
