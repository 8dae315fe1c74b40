"""Sessions that wait without a process: they notice nothing, and nor do their clients."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.deflated import compress
from tests.support.imap import Imap
from tests.support.instance import Instance, instance
from tests.support.lmtp import Lmtp

from .conftest import eventually

USERS = {"alice": "pw", "bob": "pw"}
SERVES = {"keeper": "serving", "vault": "serving", "worker": "idle"}
MAIL = b"Subject: news\r\n\r\nbody\r\n"


def parked(mail: Instance) -> int:
    """How many sessions wait in silence."""
    return int(mail.control("status")["parked"]["silent"])


def waits(mail: Instance, count: int = 1) -> None:
    """Wait until so many sessions wait."""
    eventually(lambda: parked(mail) == count, f"{count} parked sessions")


@pytest.fixture
def mail() -> Iterator[Instance]:
    """A server whose workers lose their patience at once."""
    with instance(dict(USERS)) as made:
        made.settings["server"] |= {"park_after": 0.01}
        made.start()
        yield made


def idles(mail: Instance, user: str = "alice") -> tuple[Imap, str]:
    """A client in IDLE, its INBOX selected."""
    imap = mail.client(user)
    imap.ok("SELECT INBOX")
    return imap, imap.idle()


def deliver(mail: Instance, user: str = "alice") -> None:
    """New mail, by a session of its own."""
    with mail.client(user) as other:
        other.ok(b"APPEND INBOX {%d+}\r\n%b" % (len(MAIL), MAIL))


# -- silence -----------------------------------------------------------------------------------


def test_a_silent_session_has_no_worker(mail: Instance) -> None:
    with mail.client("alice") as imap:
        imap.ok("SELECT INBOX")
        waits(mail)
        assert mail.control("status")["workers"]["busy"] == 0
        imap.ok("NOOP")
        waits(mail)
    waits(mail, 0)


def test_before_login(mail: Instance) -> None:
    """A stranger waits as well; the session goes on where it was."""
    with Imap(mail.imap) as imap:
        waits(mail)
        imap.login("alice", "pw")
        waits(mail)
        imap.ok("SELECT INBOX")
        assert imap.ok("LOGOUT")


def test_news_in_idle(mail: Instance) -> None:
    imap, tag = idles(mail)
    with imap:
        for count in (1, 2):
            waits(mail)
            deliver(mail)
            assert imap.until("EXISTS")[-1].number == count
        imap.done(tag)


def test_who_and_kick(mail: Instance) -> None:
    imap, _ = idles(mail)
    with imap:
        waits(mail)
        (row,) = mail.control("who")
        keeper = mail.workers("keeper")
        expected = {"user": "alice", "mailbox": "INBOX", "state": "idle", "peer": "127.0.0.1"}
        assert row.items() >= expected.items()
        assert [row["pid"]] == keeper
        assert mail.control("status")["sessions"]["imap"] == 1
        assert mail.control("kick", user="alice") == {"kicked": 1}
        assert imap.until("BYE")
        assert imap.ended()
    waits(mail, 0)


def test_a_client_that_goes_needs_no_worker(mail: Instance) -> None:
    imap, _ = idles(mail)
    waits(mail)
    woken = mail.control("status")["totals"]["woken"]
    imap.close()
    waits(mail, 0)
    totals = mail.control("status")["totals"]
    assert (totals["left_while_parked"], totals["woken"]) == (1, woken)


def test_idle_after_idle_needs_no_worker(mail: Instance) -> None:
    """The keeper ends an IDLE without news and begins the next; both are commands."""
    imap, tag = idles(mail)
    with imap:
        waits(mail)
        before = mail.control("status")["totals"]
        imap.done(tag)
        again = imap.idle()
        imap.done(again)
        totals = mail.control("status")["totals"]
        assert totals["woken"] == before["woken"]
        assert totals["commands"] == before["commands"] + 1
        deliver(mail)
        imap.start("NOOP")
        assert imap.until("EXISTS")[-1].number == 1


def test_news_between_two_idles(mail: Instance) -> None:
    """What happens between DONE and the next IDLE is told with that."""
    imap, tag = idles(mail)
    with imap:
        waits(mail)
        imap.done(tag)
        deliver(mail)
        tag = imap.idle()
        assert imap.until("EXISTS")[-1].number == 1
        imap.done(tag)


def test_keep_alive() -> None:
    """The keeper tells a client now and then that it is still there, without a worker."""
    with instance(dict(USERS)) as mail:
        mail.settings["server"] |= {"park_after": 0.01}
        mail.settings["imap"] = {"keep_alive": 1}
        mail.start()
        imap, tag = idles(mail)
        with imap:
            waits(mail)
            woken = mail.control("status")["totals"]["woken"]
            assert imap.until("OK")
            assert mail.control("status")["totals"]["woken"] == woken
            imap.done(tag)


# -- limits and the end ------------------------------------------------------------------------


def test_limits_count_parked_sessions() -> None:
    with instance(dict(USERS)) as mail:
        mail.settings["server"] |= {"park_after": 0.01, "user_connections": 2}
        mail.start()
        with mail.client("alice"), mail.client("alice"):
            waits(mail, 2)
            with Imap(mail.imap) as third:
                third.no("LOGIN alice pw")
            with mail.client("bob") as other:
                other.ok("NOOP")
        waits(mail, 0)
        with mail.client("alice") as imap:
            imap.ok("NOOP")


def test_beyond_the_most_sessions() -> None:
    """A session that the keeper has no room for keeps its worker."""
    with instance(dict(USERS)) as mail:
        mail.settings["server"] |= {"park_after": 0.01, "sessions_max": 1}
        mail.start()
        with mail.client("alice") as first:
            waits(mail)
            with mail.client("bob") as second:
                second.ok("NOOP")
                first.ok("NOOP")
                waits(mail)
                assert mail.control("status")["workers"]["busy"] == 1
                second.ok("NOOP")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_stop_reaches_parked_sessions(mail: Instance, how: signal.Signals) -> None:
    imap, _ = idles(mail)
    with imap:
        waits(mail)
        mail.stop(how)
        assert imap.until("BYE")[-1].text.endswith("shutting down")
        assert imap.ended()


def test_drain_and_resume(mail: Instance) -> None:
    with mail.client("alice") as imap:
        waits(mail)
        mail.control("drain")
        assert imap.until("BYE")
        assert imap.ended()
    eventually(lambda: mail.control.raw({"command": "resume"})["ok"], "the end of the workers")
    with mail.client("alice") as imap:
        waits(mail)
        imap.ok("NOOP")


# -- processes that die ------------------------------------------------------------------------


def die(mail: Instance, *roles: str) -> None:
    """Kill the processes of some roles at once, and wait for others in their place."""
    old = {role: mail.workers(role) for role in roles}
    for pids in old.values():
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    for role, pids in old.items():
        eventually(lambda r=role, p=pids: replaced(mail, r, p), f"another {role}")


def replaced(mail: Instance, role: str, old: list[int]) -> bool:
    status = mail.control("status")
    now = {
        row["pid"] for row in status["roles"] if (row["role"], row["state"]) == (role, SERVES[role])
    }
    return len(now) >= len(old) and not now & set(old) and not status["parked"]["unsafe"]


def still_idles(mail: Instance, imap: Imap, tag: str, count: int) -> None:
    waits(mail)
    deliver(mail)
    assert imap.until("EXISTS")[-1].number == count
    imap.done(tag)
    imap.ok("NOOP")


@pytest.mark.parametrize("role", ["keeper", "vault", "worker"])
def test_a_death_that_nobody_notices(mail: Instance, role: str) -> None:
    imap, tag = idles(mail)
    with imap:
        waits(mail)
        die(mail, role)
        still_idles(mail, imap, tag, 1)


def test_deaths_in_turn(mail: Instance) -> None:
    """Each new keeper is given all by the vault, and each new vault by the keeper."""
    imap, tag = idles(mail)
    with imap:
        waits(mail)
        for role in ("keeper", "vault", "vault", "keeper"):
            die(mail, role)
        still_idles(mail, imap, tag, 1)


def test_news_while_there_is_no_keeper(mail: Instance) -> None:
    imap, tag = idles(mail)
    with imap:
        waits(mail)
        (keeper,) = mail.workers("keeper")
        os.kill(keeper, signal.SIGKILL)
        deliver(mail)
        assert imap.until("EXISTS")[-1].number == 1
        imap.done(tag)


def test_a_command_while_there_is_no_keeper(mail: Instance) -> None:
    with mail.client("alice") as imap:
        waits(mail)
        (keeper,) = mail.workers("keeper")
        os.kill(keeper, signal.SIGKILL)
        imap.ok("NOOP")


def test_sessions_at_work_outlive_the_keeper() -> None:
    """A worker comes back to the next keeper with the session that it runs."""
    with instance(dict(USERS)) as mail:
        mail.start()  # its workers are patient
        with mail.client("alice") as imap:
            imap.ok("SELECT INBOX")
            die(mail, "keeper")
            imap.ok("NOOP")
            waits(mail)
            imap.ok("NOOP")
            imap.ok("LOGOUT")


def test_a_long_record(mail: Instance) -> None:
    """A record that its row has no room for lies in a file, which outlives a keeper as well."""
    with mail.client("alice") as imap:
        names = " ".join(f'"{os.urandom(12).hex()}"' for _ in range(60))
        imap.ok(f"NOTIFY SET (mailboxes ({names}) (MessageNew MessageExpunge))")
        waits(mail)
        (row,) = mail.control("who")
        assert (row["user"], row["protocol"]) == ("alice", "imap")
        die(mail, "keeper")
        imap.ok("NOOP")
        waits(mail)
        die(mail, "vault")
        imap.ok("NOOP")


def test_a_session_at_work_outlives_its_worker() -> None:
    """Its worker is killed while it serves: another one goes on, and the client sees no gap."""
    with instance(dict(USERS)) as patient:
        patient.start()
        with patient.client("alice") as imap:
            imap.ok("SELECT INBOX")
            for _ in range(3):
                (row,) = patient.control("who")
                os.kill(row["pid"], signal.SIGKILL)
                imap.ok("NOOP")
            imap.ok("CLOSE")


def test_a_worker_and_the_keeper_die_together() -> None:
    """The next keeper finds in the journal what the worker had, and in the vault its client."""
    with instance(dict(USERS)) as patient:
        patient.start()
        with patient.client("alice") as imap:
            imap.ok("SELECT INBOX")
            (row,) = patient.control("who")
            die(patient, "keeper", "worker")
            assert row["pid"] not in patient.workers()
            imap.ok("NOOP")


def test_both_die_while_a_session_is_at_work() -> None:
    """Its worker has the connection, and gives it to the next keeper."""
    with instance(dict(USERS)) as patient:
        patient.start()
        with patient.client("alice") as imap:
            imap.ok("SELECT INBOX")
            die(patient, "keeper", "vault")
            imap.ok("NOOP")
            waits(patient)
            die(patient, "keeper")
            imap.ok("NOOP")


def test_both_die_at_once(mail: Instance) -> None:
    """That alone loses the connections of those who wait, and nothing else."""
    imap, _ = idles(mail)
    with imap:
        waits(mail)
        die(mail, "keeper", "vault")
        assert imap.ended()
    waits(mail, 0)
    imap, tag = idles(mail)
    with imap:
        still_idles(mail, imap, tag, 1)


# -- a keeper dies with messages unread --------------------------------------------------------


def stop(mail: Instance, role: str) -> int:
    """Let the process of a role stand still."""
    (pid,) = mail.workers(role)
    os.kill(pid, signal.SIGSTOP)
    return pid


def is_idle(mail: Instance) -> bool:
    """Whether no worker has a session."""
    return mail.control("status")["workers"]["busy"] == 0


def uploads(imap: Imap) -> str:
    """A client within a command, so that its session has a worker."""
    tag = imap.start(b"APPEND INBOX {%d}" % len(MAIL))
    assert imap.read().tag == "+"
    return tag


def test_what_was_parked_last_counts(mail: Instance) -> None:
    """Its worker has parked it a second time; that keeper has seen only the first."""
    with mail.client("alice") as imap:
        waits(mail)
        tag = uploads(imap)
        keeper = stop(mail, "keeper")
        imap.send(MAIL + b"\r\nt98 SELECT INBOX\r\nt99 NOOP\r\n")
        for name in (tag, "t98", "t99"):
            imap.finish(name)
        eventually(lambda: is_idle(mail), "parking")
        os.kill(keeper, signal.SIGKILL)
        imap.ok("FETCH 1 FLAGS")
        waits(mail)
        imap.ok("FETCH 1 FLAGS")


def test_a_session_that_has_ended_stays_away(mail: Instance) -> None:
    with mail.client("alice") as imap:
        waits(mail)
        tag = uploads(imap)
        keeper = stop(mail, "keeper")
        imap.send(MAIL + b"\r\nt99 LOGOUT\r\n")
        imap.finish(tag)
        imap.finish("t99")
        assert imap.ended()
        eventually(lambda: is_idle(mail), "the end")
        commands = mail.control("status")["totals"]["commands"]
        os.kill(keeper, signal.SIGKILL)
        with mail.client("bob") as other:
            waits(mail)
            other.ok("NOOP")
        waits(mail, 0)
        assert mail.control("status")["totals"]["commands"] == commands + 2


def test_parked_before_the_vault_has_it(mail: Instance) -> None:
    """The worker still has it, and gives it to the next keeper: it goes on once."""
    vault = stop(mail, "vault")
    with mail.client("alice") as imap:
        waits(mail)
        (keeper,) = mail.workers("keeper")
        os.kill(keeper, signal.SIGKILL)
        os.kill(vault, signal.SIGCONT)
        imap.ok("SELECT INBOX")
        waits(mail)
        imap.ok("NOOP")


def test_another_connection_that_the_keeper_has_not_seen(mail: Instance) -> None:
    """COMPRESS puts a process between client and session, and the session is parked."""
    with mail.client("alice") as imap:
        waits(mail)
        tag = uploads(imap)
        keeper = stop(mail, "keeper")
        imap.send(MAIL + b"\r\n")
        imap.finish(tag)
        compress(imap)
        imap.ok("NOOP")
        eventually(lambda: is_idle(mail), "parking")
        os.kill(keeper, signal.SIGKILL)
        imap.ok("SELECT INBOX")
        waits(mail)
        imap.ok("NOOP")


# -- many at once ------------------------------------------------------------------------------


def test_no_news_falls_between_looking_and_parking(mail: Instance) -> None:
    """News that comes at any moment of parking is told."""
    with mail.client("alice") as imap, mail.client("alice") as other:
        imap.ok("SELECT INBOX")
        for count in range(1, 31):
            tag = imap.idle()
            other.ok(b"APPEND INBOX {%d+}\r\n%b" % (len(MAIL), MAIL))
            assert imap.until("EXISTS")[-1].number == count
            imap.done(tag)


def test_all_who_watch_a_mailbox_are_told(mail: Instance) -> None:
    """Each once, by the few workers there are."""
    crowd = [idles(mail) for _ in range(30)]
    waits(mail, len(crowd))
    deliver(mail)
    for imap, _ in crowd:
        assert imap.until("EXISTS")[-1].number == 1
    waits(mail, len(crowd))
    for imap, tag in crowd:
        assert not [reply for reply in imap.done(tag).untagged if reply.name == "EXISTS"]
        imap.close()
    waits(mail, 0)
    assert len(mail.workers()) < len(crowd)


@pytest.mark.parametrize("role", ["keeper", "vault"])
def test_a_crowd_outlives_both(mail: Instance, role: str) -> None:
    """More sessions than one message between keeper and vault can carry."""
    crowd = [mail.client(user) for user in ("alice", "bob") for _ in range(150)]
    waits(mail, len(crowd))
    die(mail, role)
    die(mail, "keeper")
    waits(mail, len(crowd))
    for imap in crowd:
        imap.ok("NOOP")
        imap.close()


def in_data(mail: Instance, name: str) -> Lmtp:
    """A client whose message has begun, so that its session stays with its worker."""
    lmtp = Lmtp(mail.lmtp)
    assert lmtp.mail("s@example.org")[0] == 250
    assert lmtp.rcpt(name)[0] == 250
    assert lmtp.docmd("DATA")[0] == 354
    return lmtp


def test_a_worker_at_work_hears_of_a_new_keeper(mail: Instance) -> None:
    """A session that it had parked, and the dead one has not read of, waits for no other one."""
    mail.stop()
    mail.settings["server"] |= {"workers_min": 2, "workers_max": 2, "workers_spare": 1}
    mail.start()
    (keeper,) = mail.workers("keeper")
    with in_data(mail, "alice") as first:
        os.kill(keeper, signal.SIGSTOP)
        with Lmtp(mail.lmtp) as waiting:
            idle = lambda: mail.control("status")["workers"]["idle"]  # noqa: E731
            eventually(lambda: idle() == 1, "a worker without a session")
            with in_data(mail, "bob") as second:
                os.kill(keeper, signal.SIGKILL)
                first.send(MAIL + b".\r\n")
                assert first.getreply()[0] == 250
                assert waiting.noop()[0] == 250
                second.send(MAIL + b".\r\n")
                assert second.getreply()[0] == 250


def test_chunks_that_die_with_their_worker_are_asked_for_again(mail: Instance) -> None:
    """What BDAT has brought lies in the process: the sender is told to try again, and may."""
    with Lmtp(mail.lmtp) as lmtp:
        assert lmtp.mail("s@example.org")[0] == 250
        assert [lmtp.rcpt(name)[0] for name in USERS] == [250, 250]
        lmtp.send(b"BDAT 10\r\n" + MAIL[:10])
        assert lmtp.getreply()[0] == 250
        (row,) = mail.control("who")
        os.kill(row["pid"], signal.SIGKILL)
        lmtp.send(b"BDAT %d LAST\r\n" % (len(MAIL) - 10) + MAIL[10:])
        lost = 451, b"4.3.0 The message's first chunks are lost"
        assert [lmtp.getreply() for _ in USERS] == [lost, lost]
        assert lmtp.deliver(list(USERS), MAIL) == dict.fromkeys(USERS, 250)
    for name in USERS:
        with mail.client(name) as imap:
            assert imap.ok("STATUS INBOX (MESSAGES)").named("STATUS")[0].raw.endswith(b"1)\r\n")
