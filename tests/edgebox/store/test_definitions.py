"""Definitions of activities: a request's are merged, each activity once, and no more than the writer has time for."""

import copy
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebox.domain.statement_in import Sender, from_statement
from edgebox.domain.xapi.formats import merge_definitions
from edgebox.domain.xapi.version import Version
from edgebox.store import definitions, registry, statements
from edgebox.store.connections import open_writer
from edgebox.store.upgrade import upgrade
from tests.support.records import make_statement

NOW_MS = 1_763_780_000_000
HOME = "http://box.internal/"
TEXTS = st.dictionaries(st.sampled_from(["en", "fr", "ar"]), st.sampled_from("abc"), max_size=3)
DEFINITIONS = st.fixed_dictionaries(
    {}, optional={"name": TEXTS, "description": TEXTS, "extensions": TEXTS, "type": st.sampled_from("ab")}
)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    upgrade(tmp_path / "box.db")
    with closing(open_writer(tmp_path / "box.db")) as connection:
        yield connection


def iri(number: int) -> str:
    return f"http://example.org/{number}"


def about(number: int, *named: tuple[int, str], language: str = "en") -> dict[str, Any]:
    """Return a statement that gives activities names."""
    activities = [{"id": iri(one), "definition": {"name": {language: name}}} for one, name in named]
    return make_statement(number, object=activities[0], context={"contextActivities": {"other": activities[1:]}})


def send(db: sqlite3.Connection, *sent: dict[str, Any], client_no: int | None = 1) -> None:
    sender = Sender(HOME, f"account:{HOME} client-1", client_no, Version.ONE)
    new = [from_statement(copy.deepcopy(each), None, NOW_MS, sender) for each in sent]
    assert statements.insert_statements(db, registry.Registry({}, {}), new, NOW_MS)[0] == []


def names(db: sqlite3.Connection, *numbers: int) -> list[Any]:
    """Return the names of activities, None where there are none."""
    found = definitions.find_definitions(db, [[iri(number) for number in numbers]]).by_iri
    return [found.get(iri(number), {}).get("name") for number in numbers]


@given(st.none() | DEFINITIONS, st.lists(DEFINITIONS, max_size=4))
def test_several_at_once_are_as_one_after_the_other(known: Any, several: list[dict[str, Any]]) -> None:
    before = copy.deepcopy((known, several))
    one_by_one = known or {}
    for each in several:
        added = {
            name: {**one_by_one[name], **each[name]}
            for name in ("name", "description", "extensions")
            if name in one_by_one and name in each
        }
        one_by_one = {**one_by_one, **each, **added}
    assert merge_definitions(known, several) == one_by_one
    assert (known, several) == before


def test_an_activity_is_written_once_however_many_statements_name_it(db: sqlite3.Connection) -> None:
    send(db, about(1, *[(one, "first") for one in range(5)]))
    asked: list[str] = []
    db.set_trace_callback(asked.append)
    send(db, *[about(10 + each, *[(one, f"name {each}") for one in range(5)]) for each in range(20)])
    db.set_trace_callback(None)
    assert sum(each.startswith(("SELECT content FROM definition", "\nINSERT INTO definition")) for each in asked) == 10
    assert names(db, 0, 4) == [{"en": "name 19"}] * 2


def test_statements_are_kept_when_there_is_too_much_to_define_again(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(db, about(1, *[(one, "first") for one in range(5)]))
    monkeypatch.setattr(definitions, "CHANGED_MAX_CHARACTERS", 30)
    sent = about(2, *[(one, "second") for one in range(6)], language="fr")
    send(db, sent)
    both, first, second = {"en": "first", "fr": "second"}, {"en": "first"}, {"fr": "second"}
    assert names(db, *range(6)) == [both, both, first, first, first, second]
    body = db.execute("SELECT body FROM statement ORDER BY id DESC LIMIT 1").fetchone()[0]
    assert all(f'"id":"{iri(one)}"'.encode() in body for one in range(6))
    assert body.count(b'{"fr":"second"}') == 6


def test_what_would_be_too_large_stays_as_it_is(db: sqlite3.Connection) -> None:
    send(db, about(1, (1, "x" * 16_000)))
    send(db, *[about(2 + each, (1, "y" * 16_000), language=f"x-{each}") for each in range(4)])
    assert names(db, 1) == [{"en": "x" * 16_000}]


def test_a_page_of_a_learner_defines_only_what_is_not_defined(db: sqlite3.Connection) -> None:
    send(db, about(1, (1, "first")))
    send(db, about(2, (1, "second"), (2, "second")), client_no=None)
    assert names(db, 1, 2) == [{"en": "first"}, {"en": "second"}]


def test_what_is_sent_again_changes_nothing(db: sqlite3.Connection) -> None:
    send(db, about(1, (1, "first")))
    send(db, about(2, (1, "second")))
    send(db, about(1, (1, "first")))
    assert names(db, 1) == [{"en": "second"}]
