"""Where servers under test live, and as whom they run.

Unix socket paths are short by law (108 octets) and pytest's own folders are closed to other
users, so an instance lives in a folder of its own below the system's temporary folder. Under
root everything is started as an unprivileged user: one way for everybody.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv" / "bin" / "python"


def identity() -> tuple[int, int]:
    """The uid and gid servers under test run as."""
    if os.getuid():
        return os.getuid(), os.getgid()
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def user_name(program: Path | None = None) -> str:
    """The name of the user ``program``, a server under test, is started as."""
    return pwd.getpwuid(become(program).get("user", os.getuid())).pw_name


def group_name() -> str:
    """The name of the group servers under test run as."""
    import grp

    return grp.getgrgid(identity()[1]).gr_name


@contextmanager
def place(prefix: str) -> Iterator[Path]:
    """A short-named folder of the servers' user, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}-"))
    try:
        folder.chmod(0o755)
        give(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def give(path: Path) -> Path:
    """Let the servers' user own ``path`` and all below it."""
    if os.getuid() == 0:
        uid, gid = identity()
        os.chown(path, uid, gid)
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                with suppress(FileNotFoundError):
                    os.chown(os.path.join(folder, name), uid, gid, follow_symlinks=False)
    return path


def write(path: Path, text: str | bytes, mode: int = 0o600) -> Path:
    """Write a file that the servers' user owns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    if os.getuid() == 0:
        os.chown(path, *identity())
    return path


def environment(home: Path, **extra: str) -> dict[str, str]:
    """A small environment that reads nothing of the tester's own."""
    return {
        "HOME": str(home),
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "LANG": "C.UTF-8",
        "USER": user_name(),
        "LOGNAME": user_name(),
        "TERM": "xterm",
        **extra,
    }


def reachable(program: Path) -> bool:
    """Whether a program can be started by anybody: root's own Python cannot."""
    folders = program.resolve().parents
    return all(folder.stat().st_mode & 0o001 for folder in folders)


def become(program: Path | None = None) -> dict[str, Any]:
    """Arguments of Popen and run that start a program as the servers' user.

    Where that user cannot reach the program it is started as it is.
    """
    if os.getuid() or (program and not reachable(program)):
        return {}
    uid, gid = identity()
    return {"user": uid, "group": gid, "extra_groups": []}


def run(
    argv: list[str | Path],
    home: Path,
    data: bytes | None = None,
    timeout: float = 60.0,
    **extra: str,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end as the servers' user, its output kept (both streams in one)."""
    return subprocess.run(
        [str(arg) for arg in argv],
        cwd=home,
        env=environment(home, **extra),
        input=data if data is not None else b"",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
        check=False,
        **become(Path(argv[0])),
    )


def free_port() -> int:
    """A port of 127.0.0.1 nobody listens on; for programs that cannot bind port 0 themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
