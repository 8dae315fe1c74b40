"""Configuration files: every mistake is told at once, with line, key and the nearest known key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from pymaild.core.config_file import BadConfig, convert, parse_config, read_config
from pymaild.core.errors import ConfigError
from pymaild.core.settings import Duration, FilePath, Size, setting
from pymaild.core.toml_lines import key_lines
from pymaild.core.units import format_duration, format_size, parse_duration, parse_size


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate."""

    SECTION: ClassVar[str] = "tls.certificate"

    file: FilePath = setting(FilePath("cert.pem"), "The chain.")


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS."""

    SECTION: ClassVar[str] = "tls"

    minimum: Literal["TLSv1.2", "TLSv1.3"] = setting("TLSv1.2", "The oldest version.")
    certificates: tuple[Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class Server:
    """Processes."""

    SECTION: ClassVar[str] = "server"

    workers: int = setting(4, "How many.", low=1, high=64)
    spare: int = setting(2, "How many idle.", low=0)
    body: Size = setting(Size(1024), "Largest body.", low=512)
    wait: Duration = setting(Duration(60.0), "Longest wait.")
    quiet: bool = setting(False, "Say less.")
    trusted: tuple[str, ...] = setting((), "Networks.")
    name: str = setting("", "Name.")

    def __post_init__(self) -> None:
        if self.spare > self.workers:
            raise ConfigError("spare cannot be above workers")
        if self.name.startswith("."):
            raise ConfigError("server.name: cannot start with a dot")
        if self.name == "x" and self.quiet:
            raise ConfigError("x is never quiet")


@dataclass(frozen=True, slots=True)
class Root:
    """A whole file."""

    server: Server
    tls: Tls
    path: str


def load(text: str) -> Root:
    return Root(path="", **parse_config(text, "/etc/x/x.toml", Root))


def problems(text: str) -> list[str]:
    with pytest.raises(BadConfig) as caught:
        load(text)
    return str(caught.value).splitlines()


def test_an_empty_file_gives_the_declared_defaults() -> None:
    config = load("")
    assert config.server == Server()
    assert config.tls == Tls()


def test_each_type_is_read() -> None:
    config = load(
        '[server]\nworkers = 3\nbody = "64KiB"\nwait = "30m"\nquiet = true\n'
        'trusted = ["::1", "10.0.0.0/8"]\nname = "mx"\n[tls]\nminimum = "TLSv1.3"\n'
    )
    assert config.server == Server(
        3, 2, Size(65536), Duration(1800.0), True, ("::1", "10.0.0.0/8"), "mx"
    )
    assert config.tls.minimum == "TLSv1.3"


def test_relative_paths_start_at_the_folder_of_the_file() -> None:
    config = load(
        '[[tls.certificate]]\nfile = "a.pem"\n[[tls.certificate]]\n'
        '[[tls.certificate]]\nfile = "/b.pem"\n'
    )
    assert [c.file for c in config.tls.certificates] == [
        "/etc/x/a.pem",
        "/etc/x/cert.pem",
        "/b.pem",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[server]\nworker = 3", "2: server.worker: unknown key; did you mean workers?"),
        ("\n\n[sever]\n", "3: sever: unknown section; did you mean server?"),
        ('[tls]\nworkers = 1', "2: tls.workers: unknown key; it belongs into [server]"),
        ("[tls]\nzzz = 1", "2: tls.zzz: unknown key; known are minimum, certificate"),
        ("[server]\nworkers = 0", "2: server.workers: must be at least 1"),
        ("[server]\nworkers = 65", "2: server.workers: must be at most 64"),
        ('[server]\nbody = "1B"', "2: server.body: must be at least 512B"),
        ("[server]\nworkers = true", "2: server.workers: must be a whole number, not True"),
        ('[server]\nworkers = "4"', "2: server.workers: must be a whole number, not '4'"),
        ("[server]\nquiet = 1", "2: server.quiet: must be true or false, not 1"),
        ("[server]\nwait = -1", "2: server.wait: must not be -1"),
        ("[server]\nwait = nan", "2: server.wait: must not be nan"),
        ("[server]\ntrusted = [1]", '2: server.trusted: must be a list of strings: ["one", "two"]'),
        (
            '[server]\nwait = "5 hours"',
            "2: server.wait: '5 hours' is not a duration; write a number with ms, s, m, h, d, w",
        ),
        (
            '[server]\nbody = "64KB"',
            "2: server.body: '64KB' is not a size; write a number with B, KiB, MiB, GiB, TiB",
        ),
        (
            '[tls]\nminimum = "TLSv1.3 "',
            "2: tls.minimum: must be one of 'TLSv1.2', 'TLSv1.3'; did you mean 'TLSv1.3'?",
        ),
        ("[server]\nspare = 9", "2: server.spare: spare cannot be above workers"),
        ("[server]\nquiet = true\nname = '.a'", "3: server.name: cannot start with a dot"),
        ("\n[server]\nquiet = true\nname = 'x'", "2: server: x is never quiet"),
        ("server = 3", "1: server: is a section: write [server]"),
        (
            "[tls.certificate]\n",
            "1: tls.certificate: there can be several: write [[tls.certificate]]",
        ),
        (
            "[[tls.certificate]]\n[[tls.certificate]]\nfil = 1",
            "3: tls.certificate.fil: unknown key; did you mean file?",
        ),
        ('[server]\nname = "a\n', "2: Illegal character '\\n'"),
        ("[server]\nname =", "2: Invalid value"),
        ("[server]\nname = 'a'\nname = 'b'\n", "3: Cannot overwrite a value"),
    ],
)  # fmt: skip
def test_a_mistake_names_file_line_and_key(text: str, sentence: str) -> None:
    assert problems(text) == [f"/etc/x/x.toml:{sentence}"]


def test_all_mistakes_are_told_in_the_order_of_the_file() -> None:
    lines = problems("[tls]\nminimum = 1\n[server]\nworkers = -1\nx = 1\n[what]\n")
    assert [line.split(":")[1] for line in lines] == ["2", "4", "5", "6"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"no\.toml: No such file or directory"):
        read_config(str(tmp_path / "no.toml"), Root)


def test_a_file_that_is_not_text_is_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"# a\n# \xff\n")
    with pytest.raises(BadConfig, match=r"x\.toml:2: not UTF-8"):
        read_config(str(path), Root)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(BadConfig, match="larger than any configuration"):
        read_config(str(path), Root)


def test_lines_are_found_through_all_that_toml_allows() -> None:
    text = '''# [not.this]
top = """
[nor.this]
key = 1
"""
[a]  # comment = 1
x = [
  [1, 2],
  ["]", '[b]'],
]
'y z' = 1
b.c = { d = 1 }
[[l]]
k = 1
[[l]]
k = '\\'
[l.sub]
"q" = "\\"" # =
[[l.deep]]
m = 1
'''
    assert key_lines(text) == {
        ("top",): 2,
        ("a",): 6,
        ("a", "x"): 7,
        ("a", "y z"): 11,
        ("a", "b"): 12,
        ("a", "b", "c"): 12,
        ("l",): 13,
        ("l", 0): 13,
        ("l", 0, "k"): 14,
        ("l", 1): 15,
        ("l", 1, "k"): 16,
        ("l", 1, "sub"): 17,
        ("l", 1, "sub", "q"): 18,
        ("l", 1, "deep"): 19,
        ("l", 1, "deep", 0): 19,
        ("l", 1, "deep", 0, "m"): 20,
    }


@pytest.mark.parametrize("octets", [0, 1, 1023, 1024, 65536, 3 << 20, 1 << 40, 1025 << 20])
def test_sizes_survive_writing_and_reading(octets: int) -> None:
    assert parse_size(format_size(octets)) == octets


@pytest.mark.parametrize("seconds", [0, 0.25, 1, 59, 60, 90, 1800, 86400, 1.5, 604800])
def test_durations_survive_writing_and_reading(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


def test_a_setting_of_an_unknown_type_is_a_bug_of_its_declaration() -> None:
    with pytest.raises(TypeError):
        convert(dict, {})
