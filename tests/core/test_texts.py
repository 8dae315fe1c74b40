"""Every text that sessions say is there in every language, and no translation is left over."""

from __future__ import annotations

import dataclasses
import re
from typing import get_args, get_type_hints

import pytest

from pymaild.core.texts import CATALOGUES, DEFAULT, LANGUAGES, choose, de, is_range
from pymaild.mail.settings import MailSettings
from tests.support.rfc import rfc
from tests.support.texts import SOURCES, said

#: Texts that come from somewhere else than where they are said: from an exception, a message of
#: another process, a table. There they are found.
CARRIED = {
    "answer.text",
    "error.text",
    "leave.text",
    "refused.text",
    "reason",
    "text",
    "told",
    "error",
    "code + (tokens.refusal or 'Command was refused')",
    "tokens.refusal",
    "self.tokens.refusal",
    "session.last_words",
    "self._supervisor.leaving",
    "take(message, 'text', str)",
    "message.get('text')",
    "GONE",
    "UIDREQUIRED",
    "STOPPING",
    "parking.SILENT",
    "errands.AGAIN",  # the places of texts in a wait
    "errands.DONE",
    "place(self.record.language)",
}

#: What is said to the administrator's tools alone.
FOR_TOOLS = {"auth/passwd_edit.py"}

#: Where "text" is something else.
OTHERWISE = {"mime/bodystructure.py", "mime/envelope.py", "imap/answer.py"}
OTHERWISE |= {"server/commands.py", "server/family.py", "server/parked.py", "server/waiting.py"}
OTHERWISE |= {"server/errands.py", "server/census.py", "server/succession.py", "server/keeper.py"}
OTHERWISE |= {"server/moving.py", "server/control.py", "server/idling.py", "mail/fulltext.py"}


def test_every_text_is_translated() -> None:
    texts = said(FOR_TOOLS).texts
    assert len(texts) > 250
    for catalogue in CATALOGUES.values():
        missing = {text for text in texts if catalogue(text) == text}
        assert missing == set()


def test_no_translation_is_left_over() -> None:
    texts = said(FOR_TOOLS).texts
    written = {text for text in de.TEXTS if "{}" not in text}
    assert written - texts == set()
    patterns = [re.compile(re.escape(text).replace(r"\{\}", "(.+)")) for text in texts]
    templates = set(de.TEXTS) - written
    unused = {t for t in templates - texts if not any(p.fullmatch(t) for p in patterns)}
    used = {t for t in unused if any(re.fullmatch(_pattern(t), text) for text in texts)}
    assert unused - used == set()


def _pattern(template: str) -> str:
    return re.escape(template).replace(r"\{\}", "(.+)")


def test_every_text_can_be_followed() -> None:
    opaque = {pair for pair in said(FOR_TOOLS).opaque if pair[0] not in OTHERWISE}
    assert {expression for _, expression in opaque} <= CARRIED


def test_imap_writes_no_text_past_the_catalogue() -> None:
    fixed = re.compile(rb'b"(?:\* (?:OK|NO|BAD|BYE) |\+ |\[[^"]*\] )(?:\[[^\]]*\] ?)?[A-Za-z]')
    found = {
        (path.name, match[0])
        for path in (SOURCES / "imap").rglob("*.py")
        for match in fixed.finditer(path.read_bytes())
    }
    greeting, asking = b'b"* OK [%b] I', b'b"+ O'  # before any choice; what says nothing
    assert found == {("begin.py", greeting), ("intake.py", asking)}


def test_templates_keep_their_values() -> None:
    for text, told in de.TEXTS.items():
        assert text.count("{}") == told.count("{}")
        assert not re.search(r"[\[\r\n]", told[:1])
        assert told.isprintable()


def test_a_value_is_carried_over() -> None:
    german = CATALOGUES["de"]
    assert german("SELECT completed") == "SELECT ausgeführt"
    assert german("[TOOBIG] Command is too long") == "[TOOBIG] Der Befehl ist zu lang"
    assert german("This is no filter: Unknown search key") == (
        "Das ist kein Filter: Unbekannter Suchbegriff"
    )
    assert german("USER takes 1 arguments") == "USER hat 1 Argumente"
    assert german("Words nobody has translated") == "Words nobody has translated"
    assert german("{0} completed") == "{0} ausgeführt"


def test_a_long_text_is_given_up_soon() -> None:
    """Three values in one template: without a bound this would be a matter of hours."""
    text = " takes " * 20_000 + " to " * 20_000
    assert CATALOGUES["de"](text) == text


def test_settings_name_every_language() -> None:
    named = get_args(get_type_hints(MailSettings)["language"])
    assert set(named) == set(LANGUAGES)
    fields = {row.name: row.default for row in dataclasses.fields(MailSettings)}
    for catalogue in CATALOGUES.values():
        assert {fields["others"], fields["shared"]} == set(catalogue.names)


@rfc("5255", "3.2", 2)
@pytest.mark.parametrize(
    ("ranges", "chosen"),
    [
        ("de", "de"),
        ("DE", "de"),
        ("de-AT", "de"),
        ("de-DE-1996", "de"),
        ("en-CA", "en"),
        ("i-default", DEFAULT),
        ("fr-CA en-CA", "en"),
        ("fr it", None),
        ("d", None),
        ("den", None),
        ("*", "preferred"),
        ("fr *", "preferred"),
        ("", None),
    ],
)
def test_the_first_range_that_fits_chooses(ranges: str, chosen: str | None) -> None:
    assert choose(ranges.split(), "preferred") == chosen


def test_ranges_have_a_grammar() -> None:
    assert all(map(is_range, ("*", "de", "de-1996", "x-y-z")))
    assert not any(map(is_range, ("", "-", "de-", "de--at", "dé", "toolonglanguage", "a b", "1a")))
    assert not is_range("de" + "-x" * 200)
