"""Makes a private instance: a folder with configuration, certificate, a user and some mail."""

from __future__ import annotations

import grp
import os
import pwd
import socket
from argparse import Namespace
from contextlib import ExitStack, closing
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
from pymaild.admin.transfer import TarSource, import_messages
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
    """Run ``pymaild init``."""
    base = Path(args.directory).resolve()
    config_file = base / CONFIG
    if config_file.exists():
        raise Failure(Exit.CANTCREATE, f"{config_file}: there is an instance already")
    _make(base, not args.no_ports)
    config = load_config(str(config_file))
    count = _fill(config, args.no_mail, out)
    result = {"config": config.path, "user": USER, "messages": count}
    out.result(result, *_hints(config, count))
    return Exit.OK


def _make(base: Path, ports: bool) -> None:
    user, group = _identity(base)
    for name, mode in (("tls", 0o755), ("mail", 0o700), ("spool", 0o700), ("run", 0o755)):
        (base / name).mkdir(mode=mode, parents=True, exist_ok=True)
    self_signed(base / "tls" / "cert.pem", base / "tls" / "key.pem", socket.getfqdn())
    for name in ("mail", "spool"):
        os.chown(base / name, pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid)
    text = sample(Config, _TITLE, _values(user, group, ports))
    (base / CONFIG).write_text(text, "utf-8")


def _identity(base: Path) -> tuple[str, str]:
    """Who shall own the mail: the caller, or nobody when root can let him in."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and all(_open_to_all(folder) for folder in base.parents if folder.exists()):
        nobody = pwd.getpwnam("nobody")
        uid, gid = nobody.pw_uid, nobody.pw_gid
    return pwd.getpwuid(uid).pw_name, grp.getgrgid(gid).gr_name


def _open_to_all(folder: Path) -> bool:
    return bool(folder.stat().st_mode & 0o001)


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
    total = 0
    for name, source in sources:
        if not account.exists(name):
            account.create(name)
            account.subscribe(name)
        with closing(account.open(name)) as mailbox, out.progress(name, source.size) as progress:
            total += import_messages(mailbox, source, progress)
    return total


def _hints(config: Config, count: int) -> list[str]:
    """Say what there is now, and how to connect."""
    base = os.path.dirname(config.path)
    lines = [f"A private instance is in {base}: user {USER}, password {PASSWORD.decode()}."]
    lines += [f"  {s.name:<6} {s.address}" for s in config.listeners]
    return [*lines, f"It has {count} messages.", f"Serve it: pymaild serve -F -c {config.path}"]
