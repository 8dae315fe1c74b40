"""Makes a private instance: a folder with configuration, certificate, a user and some mail."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import sys
import tempfile
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pymaild.admin.certificate import self_signed
from pymaild.admin.exits import Exit, Failure
from pymaild.admin.greetings import GeneratedSource
from pymaild.admin.identity import as_owner
from pymaild.admin.incoming import Source
from pymaild.admin.mbox import MboxSource
from pymaild.admin.output import Output
from pymaild.admin.sample import sample
from pymaild.admin.transfer import TarSource, import_into
from pymaild.admin.user_commands import add_user
from pymaild.mail.account import Account
from pymaild.server.config import Config, load_config

USER = "demo"
PASSWORD = b"demo"
PORTS = {"imap": 1143, "imaps": 1993, "pop3": 1110, "pop3s": 1995, "lmtp": 1024}
CONFIG = "pymaild.toml"
CORPUS = Path(__file__).resolve().parents[2].parent / "shared" / "corpus"

_TITLE = "A private instance of pymaild. What is set here differs from the defaults."


def init(args: Namespace, out: Output) -> Exit:
    """Run ``pymaild init``. The folder appears when all is in it, or not at all."""
    base = Path(args.directory).resolve()
    if base.exists() and (not base.is_dir() or any(base.iterdir())):
        raise Failure(Exit.CANTCREATE, f"{base} is there already, and is not an empty folder")
    base.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{base.name}-", dir=base.parent))
    try:
        _make(draft, base, not args.no_ports)
        count = _fill(load_config(str(draft / CONFIG)), args.no_mail, out)
        draft.rename(base)
    except BaseException:
        shutil.rmtree(draft)
        raise
    config = load_config(str(base / CONFIG))
    result = {"config": config.path, "user": USER, "messages": count}
    out.result(result, *_hints(config, count))
    return Exit.OK


def _make(folder: Path, base: Path, ports: bool) -> None:
    """Fill ``folder``, which will be ``base`` when it is complete."""
    user, group = _identity(base)
    folder.chmod(0o755)
    for name, mode in (("tls", 0o755), ("mail", 0o700), ("spool", 0o700), ("run", 0o755)):
        (folder / name).mkdir(mode=mode)
    self_signed(folder / "tls" / "cert.pem", folder / "tls" / "key.pem", socket.getfqdn())
    for name in ("mail", "spool"):
        os.chown(folder / name, pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid)
    (folder / CONFIG).write_text(sample(Config, _TITLE, _values(user, group, ports)), "utf-8")


def _identity(base: Path) -> tuple[str, str]:
    """Who shall own the mail: the caller; for root nobody, who must be able to run us."""
    uid, gid = os.geteuid(), os.getegid()
    needed = (base.parent, Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parent)
    if uid == 0 and all(map(_open_to_all, needed)):
        nobody = pwd.getpwnam("nobody")
        uid, gid = nobody.pw_uid, nobody.pw_gid
    return pwd.getpwuid(uid).pw_name, grp.getgrgid(gid).gr_name


def _open_to_all(folder: Path) -> bool:
    """Tell whether anybody may enter a folder and those above it (which may not be there yet)."""
    return all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents) if part.exists())


def _values(user: str, group: str, ports: bool) -> dict[str, Any]:
    listeners = [
        {
            "name": name,
            "protocol": name.removesuffix("s"),
            "address": f"127.0.0.1:{port if ports else 0}",
            "tls": name.endswith("s"),
        }
        for name, port in PORTS.items()
    ]
    return {
        "server.user": user,
        "server.group": group,
        "server.run_directory": "run",
        "server.control": "run/control",
        "server.pid_file": "run/pid",
        "server.spool": "spool",
        "server.crash_directory": "spool/crashes",
        "listener": listeners,
        "log.to": "file",
        "log.file": "log",
        "tls.certificate": [{"cert": "tls/cert.pem", "key": "tls/key.pem"}],
        "auth.passwd_file": "users",
        "auth.mail_path": "mail/{user}/Maildir",
        "auth.allow_plaintext": True,
    }


def _fill(config: Config, generated: bool, out: Output) -> int:
    """Add the user, and mail as its owner; returns the number of messages."""
    user = add_user(config, USER, PASSWORD)
    with ExitStack() as stack:
        sources = _sources(stack, CORPUS if not generated else Path(os.devnull))

        def work() -> int:
            return _import(Account(user, config.mail), sources, out)

        return as_owner(user, config.server, work)


def _sources(stack: ExitStack, corpus: Path) -> list[tuple[str, Source]]:
    """What mail there is: the corpus beside the checkout, or else some messages made up."""
    found: list[tuple[str, Source]] = []
    if (corpus / "dovecot-list.mbox.gz").exists():
        file = stack.enter_context((corpus / "dovecot-list.mbox.gz").open("rb"))
        found.append(("INBOX", MboxSource(file)))
    if (corpus / "mime-samples.tar.gz").exists():
        samples = TarSource(corpus / "mime-samples.tar.gz")
        stack.callback(samples.close)
        found.append(("MIME samples", samples))
    return found or [("INBOX", GeneratedSource())]


def _import(account: Account, sources: list[tuple[str, Source]], out: Output) -> int:
    account.prepare()
    return sum(import_into(account, name, source, out) for name, source in sources)


def _hints(config: Config, count: int) -> list[str]:
    """Say what there is now, and how to connect."""
    base = os.path.dirname(config.path)
    lines = [f"A private instance is in {base}: user {USER}, password {PASSWORD.decode()}."]
    lines += [f"  {s.name:<6} {s.address}" for s in config.listeners]
    return [*lines, f"It has {count} messages.", f"Serve it: pymaild serve -F -c {config.path}"]
