"""The control socket's client: every way a server can fail to answer is one clear sentence."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pymaild.admin.client import ask
from pymaild.admin.exits import Exit, Failure


@contextmanager
def master(path: Path, reply: bytes) -> Iterator[list[bytes]]:
    """A Unix socket that answers the first request with ``reply``."""
    requests: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            link, _ = listener.accept()
            with link, link.makefile("rb") as reader:
                requests.append(reader.readline())
                link.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        yield requests
        thread.join(10)


def test_request_and_reply_are_a_line_each(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with master(path, b'{"ok": true, "result": {"kicked": 2}}\n') as requests:
        assert ask(str(path), "kick", user="alice") == {"kicked": 2}
    assert json.loads(requests[0]) == {"command": "kick", "user": "alice"}


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (b'{"ok": false, "error": "x.toml:3: bad"}\n', "x.toml:3: bad"),
        (b"", "the server gave no proper answer"),
        (b"not json\n", "the server gave no proper answer"),
        (b"[]\n", "the server gave no proper answer"),
        (b'{"ok": true}\n', "the server gave no proper answer"),
    ],
)
def test_a_refusal_or_no_answer(tmp_path: Path, reply: bytes, sentence: str) -> None:
    path = tmp_path / "control"
    with master(path, reply), pytest.raises(Failure, match=f"^{sentence}$") as caught:
        ask(str(path), "status")
    assert caught.value.exit_code == Exit.UNAVAILABLE


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no server is running") as caught:
        ask(str(tmp_path / "control"), "status")
    assert caught.value.exit_code == Exit.UNAVAILABLE


def test_a_dead_server_s_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "control"))
    with pytest.raises(Failure, match="no server is running"):
        ask(str(tmp_path / "control"), "status")


def test_a_path_longer_than_a_socket_address_has_room_for(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 100)
    folder.mkdir()
    short = tmp_path / "c"
    with master(short, b'{"ok": true, "result": 1}\n'):
        short.rename(folder / "control")
        assert ask(str(folder / "control"), "status") == 1
