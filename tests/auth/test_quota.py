"""Limits of one user in the passwd-file, in our own words and in Dovecot's."""

from __future__ import annotations

import pytest

from pymaild.auth import passwd_file
from pymaild.auth.quota import LARGEST, parse
from pymaild.auth.settings import AuthSettings


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("1G", {"STORAGE": 1 << 20}),
        ("1g", {"STORAGE": 1 << 20}),
        ("1GiB", {"STORAGE": 1 << 20}),
        ("1500", {"STORAGE": 2}),
        ("0", {"STORAGE": 0}),
        ("storage=10M:messages=5", {"STORAGE": 10240, "MESSAGE": 5}),
        ("mailboxes=3:STORAGE=2T", {"MAILBOX": 3, "STORAGE": 2 << 30}),
        ("messages=99999999999999999999999", {"MESSAGE": LARGEST}),
    ],
)
def test_limits_are_read(text: str, limits: dict[str, int]) -> None:
    assert parse(text) == limits


@pytest.mark.parametrize(
    "text", ["", "G", "1X", "-1", "1.5G", "messages=1K", "frobs=1", "storage", "1G:", "\u0663G"]
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quota"):
        parse(text)


@pytest.mark.parametrize(
    ("extra", "quota"),
    [
        ("quota=1G", {"STORAGE": 1 << 20}),
        ("userdb_quota_rule=*:storage=1G:messages=7", {"STORAGE": 1 << 20, "MESSAGE": 7}),
        ("userdb_quota_rule=Trash:storage=+100M", {}),
    ],
)
def test_a_line_gives_its_user_limits(extra: str, quota: dict[str, int]) -> None:
    table = passwd_file.parse(f"alice:{{PLAIN}}x::::::{extra}\n", AuthSettings())
    assert table.entries["alice"].user.quota == quota
    assert table.problems == []


@pytest.mark.parametrize("extra", ["quota=lots", "userdb_acl_groups=a/b"])
def test_a_line_with_what_restricts_nobody_is_invalid(extra: str) -> None:
    """Rather no user than one without the limit that was meant."""
    table = passwd_file.parse(f"alice:{{PLAIN}}x::::::{extra}\n", AuthSettings())
    assert table.entries == {}
    assert table.problems[0].fatal


def test_a_line_gives_its_user_groups() -> None:
    text = "alice:{PLAIN}x::::::userdb_acl_groups=Staff,admins nologin=y\n"
    user = passwd_file.parse(text, AuthSettings()).entries["alice"].user
    assert user.groups == ["staff", "admins"]
