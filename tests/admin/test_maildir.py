"""Maildirs of any origin are read with flags, keywords and dates; links are not followed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pymaild.admin.maildir import MaildirSource, MaildirWriter, is_maildir, subfolders


def maildir(path: Path) -> Path:
    for part in ("cur", "new", "tmp"):
        (path / part).mkdir(parents=True)
    return path


def add(folder: Path, name: str, data: bytes = b"Subject: x\n\n", date: float = 1000.0) -> None:
    (folder / name).write_bytes(data)
    os.utime(folder / name, (date, date))


def read(path: Path) -> list[tuple[bytes, set[str], float | None]]:
    return [
        (b"".join(message.pieces()), message.flags, message.date)
        for message in MaildirSource(path).messages()
    ]


def test_flags_keywords_and_dates_in_the_order_of_arrival(tmp_path: Path) -> None:
    folder = maildir(tmp_path / "m")
    (folder / "dovecot-keywords").write_text("0 $Forwarded\n1 work\nbroken\n99 x\n")
    add(folder, "cur/20.b.host:2,FSbz", b"two", 20)
    add(folder, "new/30.c.host", b"three", 30)
    add(folder, "cur/10.a.host,S=3,W=3:2,DPRT", b"one", 10)
    add(folder, "cur/.hidden")
    assert read(folder) == [
        (b"one", {r"\Draft", "$Forwarded", r"\Answered", r"\Deleted"}, 10),
        (b"two", {r"\Flagged", r"\Seen", "work"}, 20),
        (b"three", set(), 30),
    ]


def test_a_link_to_what_is_not_mail_is_not_read(tmp_path: Path) -> None:
    folder = maildir(tmp_path / "m")
    (tmp_path / "secret").write_text("root:x")
    (folder / "cur" / "1.a:2,").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic links"):
        read(folder)


def test_a_pipe_does_not_hang_the_import(tmp_path: Path) -> None:
    folder = maildir(tmp_path / "m")
    os.mkfifo(folder / "cur" / "1.a:2,")
    with pytest.raises(ValueError, match="not a message"):
        read(folder)


def test_subfolders_are_found(tmp_path: Path) -> None:
    folder = maildir(tmp_path / "m")
    maildir(folder / ".Lists.imap")
    maildir(folder / ".Archive")
    (folder / ".other").mkdir()
    assert list(subfolders(folder)) == ["Archive", "Lists.imap"]
    assert is_maildir(folder)
    assert not is_maildir(folder / ".other")


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    writer = MaildirWriter(tmp_path / "out")
    writer.add([b"one\r", b"\nx\r\n", b"y"], {r"\Seen", "work", "a"}, 10.0)
    writer.add([b"two\r"], {r"\Flagged", "work"}, 20.0)
    writer.close()
    assert read(tmp_path / "out") == [
        (b"one\nx\ny", {r"\Seen", "work", "a"}, 10.0),
        (b"two\r", {r"\Flagged", "work"}, 20.0),
    ]
    assert not list((tmp_path / "out" / "tmp").iterdir())


def test_an_existing_folder_is_not_written_into(tmp_path: Path) -> None:
    maildir(tmp_path / "out")
    with pytest.raises(FileExistsError):
        MaildirWriter(tmp_path / "out")
