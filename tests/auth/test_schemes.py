"""Stored passwords of all schemes are checked; damaged ones are told from wrong ones."""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path

import argon2
import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymaild.auth import schemes
from tests.auth.conftest import COSTS
from tests.support.rfc import rfc

SHA512 = (
    "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCo"
    "EOfaS35inz1"
)
#: Stored form, password, scheme; the hashes were made by other programs.
STORED = [
    ("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
     b"password", "ARGON2ID"),
    ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", b"U*U", "BLF-CRYPT"),
    (SHA512, b"Hello world!", "SHA512-CRYPT"),
    ("{SHA512-CRYPT}" + SHA512, b"Hello world!", "SHA512-CRYPT"),
    ("{crypt}" + SHA512, b"Hello world!", "CRYPT"),
    ("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", b"Hello world!", "SHA256-CRYPT"),
    ("$1$deadbeef$Q7g0UO4hRC0mgQUQ/qkjZ0", b"password", "MD5-CRYPT"),
    ("$y$j9T$F5Jx5fExrKuPp53xLKQ..1$6foLM1JhGupouWKMU70wxK61Kw9ZnecbACjJwRadqM2", b"x", "CRYPT"),
    ("abiQ6Ep3EYTHc", b"x", "CRYPT"),
    ("{PLAIN}pass{word}", b"pass{word}", "PLAIN"),
    ("{CLEARTEXT}!x", b"!x", "CLEARTEXT"),
]  # fmt: skip


@pytest.mark.parametrize(("stored", "password", "scheme"), STORED)
def test_right_and_wrong(stored: str, password: bytes, scheme: str) -> None:
    assert schemes.scheme_name(stored) == scheme
    assert schemes.problem(stored) == ""
    assert schemes.verify(stored, password)
    assert not schemes.verify(stored, b"?" + password)
    assert not schemes.verify(stored, password[:-1] or b"y")


@pytest.mark.parametrize(
    "stored",
    ["", "!", "*", "!" + SHA512, "{ARGON2ID}", "{ROT13}frperg", "{SHA512-CRYPT}$1$x$y", "{PLAIN}"],
)
def test_unusable_is_seen_at_once(stored: str) -> None:
    assert schemes.problem(stored)
    with pytest.raises(schemes.BadHash):
        schemes.verify(stored, b"secret")


@pytest.mark.parametrize(
    "stored",
    [
        "$argon2id$v=19$m=65536",
        "$2b$05$short",
        "$6$",
        "$y$",
        "x",
        "{CRYPT}$9$a$b",
        "$2b$99$" + "a" * 53,
    ],
)
def test_damaged_hashes_match_nothing(stored: str) -> None:
    with pytest.raises(schemes.BadHash) as caught:
        schemes.verify(stored, b"secret")
    assert stored not in str(caught.value)


@settings(deadline=None)
@given(st.text(max_size=60), st.binary(min_size=1, max_size=20))
def test_no_stored_text_breaks_the_check(text: str, password: bytes) -> None:
    for stored in (text, "{CRYPT}" + text, "{BLF-CRYPT}$2b$" + text, "{ARGON2ID}$argon2id$" + text):
        with contextlib.suppress(schemes.BadHash):
            assert isinstance(schemes.verify(stored, password), bool)


def test_long_passwords() -> None:
    bcrypted = bcrypt.hashpw(b"p" * 72, bcrypt.gensalt(4)).decode()
    assert schemes.verify(bcrypted, b"p" * 80)  # the algorithm looks at 72 octets, as elsewhere
    assert not schemes.verify(bcrypted, b"p" * 71)
    assert not schemes.verify(SHA512, b"p" * 1024)  # longer than crypt(3) takes


def test_too_little_memory_is_not_a_wrong_password() -> None:
    stored = schemes.make_hash(b"secret", 256 * 1024 * 1024, 1, 1)
    pid = os.fork()
    if pid == 0:
        os._exit(_verify_with_little_memory(stored))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def _verify_with_little_memory(stored: str) -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + 128 * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        return int(schemes.verify(stored, b"secret"))
    except MemoryError:
        return 7


@rfc("4616", "2", 6)
def test_unicode_passwords_match_in_any_form() -> None:
    stored = schemes.make_hash("\u00fcber".encode(), *COSTS)
    assert schemes.verify(stored, "u\u0308ber".encode())
    foreign = "{PLAIN}u\u0308ber"  # a hash that another server made without preparing
    assert schemes.verify(foreign, "u\u0308ber".encode())


def test_new_hashes_have_the_costs_that_are_set() -> None:
    stored = schemes.make_hash(b"secret", 1024 * 1024, 2, 3)
    costs = argon2.extract_parameters(stored.removeprefix("{ARGON2ID}"))
    assert (costs.memory_cost, costs.time_cost, costs.parallelism) == (1024, 2, 3)
    assert stored != schemes.make_hash(b"secret", 1024 * 1024, 2, 3)  # salted


def test_the_decoy_costs_what_a_password_costs() -> None:
    decoy, real = schemes.make_decoy(*COSTS), schemes.make_hash(b"secret", *COSTS)
    parts = [argon2.extract_parameters(text.removeprefix("{ARGON2ID}")) for text in (decoy, real)]
    assert parts[0] == parts[1]
    assert not schemes.verify(decoy, b"secret")
