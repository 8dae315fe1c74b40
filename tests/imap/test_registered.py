"""Names on the wire are registered ones, or begin with X (RFC 3501 §6.5.1, §7.1, §7.2.1).

The lists are what IANA's registries of IMAP capabilities and response codes hold of what is
served here.
"""

from __future__ import annotations

from pymaild.core.errors import Code
from pymaild.imap.capability import CAPABILITIES
from pymaild.imap.commands import COMMANDS
from tests.imap.conftest import ImapBench
from tests.support.rfc import rfc


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


REGISTERED = _words(
    """
    ACL APPENDLIMIT APPENDLIMIT= AUTH= BINARY CATENATE CHILDREN COMPRESS=DEFLATE CONDSTORE
    CONTEXT=SEARCH CONTEXT=SORT CONVERT CREATE-SPECIAL-USE ENABLE ESEARCH ESORT FILTERS
    I18NLEVEL=1 I18NLEVEL=2 ID IDLE IMAP4rev1 IMAP4rev2 INPROGRESS JMAPACCESS LANGUAGE
    LIST-EXTENDED LIST-METADATA
    LIST-MYRIGHTS LIST-STATUS LITERAL+ LITERAL- LOGIN-REFERRALS LOGINDISABLED MAILBOX-REFERRALS
    MESSAGELIMIT= METADATA METADATA-SERVER MOVE MULTIAPPEND MULTISEARCH NAMESPACE NOTIFY OBJECTID
    PARTIAL PREVIEW QRESYNC QUOTA QUOTA=RES- QUOTASET REPLACE RIGHTS= SASL-IR SAVEDATE SAVELIMIT=
    SEARCH=FUZZY SEARCHRES SORT SORT=DISPLAY SPECIAL-USE STARTTLS STATUS=SIZE THREAD=ORDEREDSUBJECT
    THREAD=REFERENCES THREAD=REFS UIDBATCHES UIDONLY UIDPLUS UNAUTHENTICATE UNSELECT URL-PARTIAL
    URLAUTH UTF8=ACCEPT UTF8=ONLY WITHIN
    """
)


@rfc("3501", "7.2.1", 5, 6)
@rfc("3501", "9", 10)
@rfc("9051", "7.2.2", 7)
def test_capabilities_are_registered(imap: ImapBench) -> None:
    names = advertised(imap)
    assert len(names) > len(CAPABILITIES) / 2
    assert [name for name in sorted(names) if not registered(name)] == []


def advertised(imap: ImapBench) -> set[str]:
    """All capabilities of all states."""
    clients = (imap.connect(), imap.connect(tls=True), imap.login())
    return {
        str(name)
        for client in clients
        for name in client.ok("CAPABILITY").one("CAPABILITY").values[1:]
    }


def registered(name: str) -> bool:
    kind = "QUOTA=RES-" if name.startswith("QUOTA=RES-") else name.partition("=")[0] + "="
    return name in REGISTERED or (kind in REGISTERED and kind != name)


CODES = _words(
    """
    ALERT ALREADYEXISTS APPENDUID AUTHENTICATIONFAILED AUTHORIZATIONFAILED BADCHARSET
    BADCOMPARATOR BADEVENT BADURL CANNOT CAPABILITY CLIENTBUG CLOSED COMPRESSIONACTIVE CONTACTADMIN
    COPYUID CORRUPTION EXPIRED EXPUNGEISSUED HASCHILDREN HIGHESTMODSEQ INPROGRESS INUSE LIMIT
    MAILBOXID MAXCONVERTMESSAGES MAXCONVERTPARTS MESSAGELIMIT METADATA MODIFIED NOMODSEQ
    NONEXISTENT NOPERM NOTIFICATIONOVERFLOW NOTSAVED NOUPDATE OVERQUOTA PARSE PERMANENTFLAGS
    PRIVACYREQUIRED READ-ONLY READ-WRITE REFERRAL SERVERBUG TEMPFAIL TOOBIG TOOFEW TOOMANY TRYCREATE
    UIDNEXT UIDNOTSTICKY UIDREQUIRED UIDVALIDITY UNAVAILABLE UNDEFINED-FILTER UNKNOWN-CTE UNSEEN
    URLMECH USEATTR
    """
)


@rfc("3501", "7.1", 2)
def test_response_codes_are_registered() -> None:
    """The codes of refusals, of which some are other protocols' alone (RFC 3206, RFC 2449)."""
    others = {"SYS/TEMP", "SYS/PERM", "IN-USE", "LOGIN-DELAY", "AUTH", "UTF8"}
    assert {code.value.partition(" ")[0] for code in Code} - CODES - others == set()


#: Which capability, or which version of the protocol, has each command.
OWNERS = {
    "IMAP4rev1": """APPEND AUTHENTICATE CAPABILITY CHECK CLOSE COPY CREATE DELETE EXAMINE EXPUNGE
        FETCH LIST LOGIN LOGOUT LSUB NOOP RENAME SEARCH SELECT STARTTLS STATUS STORE SUBSCRIBE
        UNSUBSCRIBE UID""",
    "ACL": "SETACL DELETEACL GETACL LISTRIGHTS MYRIGHTS",
    "COMPRESS=DEFLATE": "COMPRESS",
    "CONTEXT=SEARCH": "CANCELUPDATE",
    "ENABLE": "ENABLE",
    "I18NLEVEL=2": "COMPARATOR",
    "ID": "ID",
    "IDLE": "IDLE",
    "LANGUAGE": "LANGUAGE",
    "METADATA": "GETMETADATA SETMETADATA",
    "MOVE": "MOVE",
    "MULTISEARCH": "ESEARCH",
    "NAMESPACE": "NAMESPACE",
    "NOTIFY": "NOTIFY",
    "QUOTA": "GETQUOTA GETQUOTAROOT",
    "QUOTASET": "SETQUOTA",
    "REPLACE": "REPLACE",
    "SORT": "SORT",
    "THREAD=REFS": "THREAD",
    "UIDBATCHES": "UIDBATCHES",
    "UNAUTHENTICATE": "UNAUTHENTICATE",
    "UNSELECT": "UNSELECT",
}


@rfc("3501", "6.5.1", 1)
@rfc("9051", "6.5", 1)
def test_each_command_has_its_capability_or_begins_with_x() -> None:
    capabilities = {row.name for row in CAPABILITIES}
    owner = {name: owner for owner, names in OWNERS.items() for name in names.split()}
    for name in {row.name.removeprefix("UID ").split()[0] for row in COMMANDS.values()}:
        assert name.startswith("X") or owner[name] in capabilities, name


@rfc("3501", "6.5.1", 2, 3)
@rfc("9051", "6.5", 2)
@rfc("3501", "7.2.1", 4)
def test_replies_of_extensions_come_only_when_asked(mail: ImapBench) -> None:
    """A session of plain IMAP4rev1 is told what RFC 3501 knows; XLIST's replies begin with X."""
    plain = {"CAPABILITY", "LIST", "LSUB", "STATUS", "SEARCH", "FLAGS", "OK", "BYE"}
    plain |= {"EXISTS", "RECENT", "EXPUNGE", "FETCH"}
    client, other = mail.select(), mail.login()
    other.ok("ENABLE CONDSTORE QRESYNC IMAP4rev2 UIDONLY")
    other.ok("SELECT INBOX")
    other.ok("UID STORE 1 +FLAGS (\\Deleted)")
    other.ok("EXPUNGE")
    other.appended("INBOX", b"Subject: x\r\n\r\n")
    names = set()
    for command in (
        *("NOOP", "FETCH 1 ALL", "SEARCH ALL", 'LIST "" *', 'LSUB "" *', "UID SEARCH ALL"),
        *("STATUS Archive (UIDNEXT)", "STORE 1 +FLAGS (x)", "CAPABILITY", "CHECK", "LOGOUT"),
    ):
        for reply in client.ok(command).untagged:
            names.add(reply.name)
            assert not reply.name.startswith("X")
            assert b"MODSEQ" not in reply.raw or reply.name == "CAPABILITY", reply.raw
    assert names <= plain
    assert {reply.name for reply in mail.login().ok('XLIST "" *').untagged} == {"XLIST"}
