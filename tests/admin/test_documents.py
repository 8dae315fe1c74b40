"""Documents and files for the host say what the code does."""

from __future__ import annotations

import ast
import logging
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pymaild.admin import control, daemon
from pymaild.admin.commands import Program, parser
from pymaild.admin.generate import documents, outdated
from pymaild.admin.sample import sample
from pymaild.auth.answers import Facts
from pymaild.auth.failures import FAILREGEX, Reason, log_failure
from pymaild.core.config_file import fields_of, parse_config
from pymaild.server.config import Config, load_config
from pymaild.server.logs import LineFormatter

ROOT = Path(__file__).resolve().parents[2]


def test_generated_documents_are_up_to_date() -> None:
    assert outdated(ROOT) == []


def test_a_changed_document_is_noticed(tmp_path: Path) -> None:
    for name, text in documents().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert outdated(tmp_path) == []
    (tmp_path / "etc" / "pymaild.toml").write_text("")
    assert outdated(tmp_path) == ["etc/pymaild.toml"]


def test_the_sample_file_means_the_defaults(tmp_path: Path) -> None:
    empty = tmp_path / "pymaild.toml"
    empty.write_text("")
    text = (ROOT / "etc" / "pymaild.toml").read_text()
    assert Config(path=str(empty), **parse_config(text, str(empty), Config)) == load_config(
        str(empty)
    )


def test_each_setting_of_the_sample_file_can_be_uncommented() -> None:
    text = sample(Config, "All of it.", {"listener": [], "tls.certificate": []})
    lines = [
        line.removeprefix("#") if re.match(r"#[a-z_[]", line) else line
        for line in text.splitlines()
    ]
    data = tomllib.loads("\n".join(lines))
    for section in fields_of(Config):
        found = data[section.key][0] if section.array else data[section.key]
        assert section.section
        for field in fields_of(section.section):
            assert field.key in found, f"{section.key}.{field.key}"


def test_values_of_an_instance_survive_the_file() -> None:
    values = {
        "server.hostname": 'a "quoted" \\ name\x7f',
        "server.hang_timeout": 90.0,
        "mail.message_size": 50 << 20,
        "auth.mechanisms": ["PLAIN"],
        "auth.allow_plaintext": True,
        "listener": [{"name": "x", "address": "127.0.0.1:0", "tls": True}],
        "tls.certificate": [{"cert": "/c.pem"}],
    }
    config = Config(**parse_config(sample(Config, "", values), "/x/y.toml", Config))
    assert config.server.hostname == values["server.hostname"]
    assert config.server.hang_timeout == 90
    assert config.mail.message_size == 50 << 20
    assert config.auth.mechanisms == ("PLAIN",)
    assert config.auth.allow_plaintext
    assert [(entry.name, entry.tls) for entry in config.listeners] == [("x", True)]
    assert [entry.cert for entry in config.tls.certificates] == ["/c.pem"]


@pytest.mark.parametrize("name", [name for name in documents() if "/man/" in name])
@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_manual_pages_are_roff_without_a_warning(name: str) -> None:
    command = ["groff", "-man", "-ww", "-Tutf8", str(ROOT / name)]
    result = subprocess.run(command, capture_output=True, check=True)
    assert result.stderr == b""
    assert len(result.stdout.splitlines()) > 100


@pytest.mark.parametrize("program", [daemon.PROGRAM, control.PROGRAM], ids=lambda p: p.name)
def test_every_command_explains_itself(
    program: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in program.commands:
        with pytest.raises(SystemExit) as left:
            parser(program).parse_args([*command.words, "--help"])
        assert left.value.code == 0
        shown = capsys.readouterr().out
        for argument in command.arguments:
            assert argument.names[0] in shown or argument.value in shown


def test_the_manual_has_the_master_s_signals() -> None:
    page = (ROOT / "docs" / "man" / "pymaild.8").read_text()
    source = ast.parse((ROOT / "pymaild" / "server" / "master.py").read_text())
    table = next(
        node.value
        for node in ast.walk(source)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(node.value, ast.Dict)
        and any("SIGHUP" in ast.unparse(key) for key in node.value.keys if key)
    )
    assert isinstance(table, ast.Dict)
    obeyed = {ast.unparse(key).removeprefix("signal.") for key in table.keys if key}
    documented = set(re.findall(r"SIG[A-Z0-9]+", page)) - {"SIGNALS"}
    assert obeyed - {"SIGCHLD"} == documented


@pytest.mark.parametrize("stamped", [True, False])
def test_fail2ban_finds_failed_logins(stamped: bool, caplog: pytest.LogCaptureFixture) -> None:
    facts = Facts(protocol="imap", address="192.0.2.7", tls=True, session="abc")
    log_failure("a <b> address=1.2.3.4", "PLAIN", Reason.PASSWORD, facts)
    line = LineFormatter(stamped).format(caplog.records[-1])
    # fail2ban cuts the date out of a line before it looks at the rest
    line = line.partition(" ")[2] if stamped else f"mail pymaild[77]: {line}"
    found = failregex().search(line)
    assert found
    assert found["host"] == "192.0.2.7"


def failregex() -> re.Pattern[str]:
    """The filter's expression, as fail2ban reads it."""
    text = (ROOT / "etc" / "fail2ban" / "filter.d" / "pymaild.conf").read_text()
    expression = next(
        line.partition("=")[2].strip() for line in text.splitlines() if line.startswith("failregex")
    )
    assert expression.endswith(FAILREGEX)
    return re.compile(expression.replace("<HOST>", r"(?P<host>[0-9a-fA-F:.]+)"))


def test_fail2ban_is_not_fooled_by_what_clients_say() -> None:
    fields = "user=<x> address=192.0.2.9 protocol=imap mechanism=PLAIN reason=password"
    forged = f"auth: auth failure: {fields}"
    record = logging.makeLogRecord({"name": "pymaild.imap", "levelname": "WARNING", "msg": ""})
    for text in (f"pymaild[1]: warning: {forged}", f"\npymaild[1] warning: {forged}"):
        record.msg = f"client says {text}"
        line = LineFormatter(True).format(record).partition(" ")[2]
        assert failregex().search(line) is None


def test_each_library_is_declared_and_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[<>=]", name)[0] for name in project["dependencies"]}
    modules = {"argon2": "argon2-cffi", "OpenSSL": "pyOpenSSL", "jwt": "PyJWT"}
    used = {
        modules.get(name, name)
        for path in (ROOT / "pymaild").rglob("*.py")
        for name in imported(path)
        if name not in sys.stdlib_module_names and name != "pymaild"
    }
    assert used == declared
    explained = (ROOT / "docs" / "dependencies.md").read_text()
    every = declared | {
        re.split(r"[<>=]", name)[0] for name in project["optional-dependencies"]["dev"]
    }
    assert [name for name in every if f"| {name}" not in explained] == []


def imported(path: Path) -> set[str]:
    """The top names of what a source imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names
