"""What a statement of an outside client has besides its row: what it mentions, what it is about, what it takes back.

A statement that is about another one is found by whatever finds that other one (1.0.3 part 3, 2.1.3: filter conditions
for StatementRefs), in whichever order the two arrived.
"""

import json
import sqlite3
from array import array
from collections.abc import Iterable, Iterator

from content_packs.base import ids
from edgebox.domain.statement_in import outside_of
from edgebox.domain.statement_out import account, home_page_of
from edgebox.domain.statements import NewStatement, Outside
from edgebox.domain.xapi.agents import identifier_of
from edgebox.domain.xapi.mentions import Role, registration_number, term_of
from edgebox.domain.xapi.places import attachments_of
from edgebox.domain.xapi.signature import must_come
from edgebox.store import agents, definitions, row_seals, seals
from edgebox.store.attachments import Attachment, insert_attachments
from edgebox.store.registry import Numbers, Registry
from sync.records.activity import parse_activity
from sync.records.kinds import Kind

ALL = term_of(Role.ANY, 0)
TERMS_MAX = 400  # of one statement, those of the statement it is about included
_EARLIER_AT_ONCE = 20  # statements in memory, of which each may have 256 kB
_SPREAD_MAX_ROWS = 1_000  # looked at or written for one statement: what was sent about it may be any number
_INHERITED = frozenset(
    {Role.VERB, Role.ACTIVITY, Role.ACTIVITY_AROUND, Role.AGENT, Role.AGENT_AROUND, Role.REGISTRATION}
)
_ROLE_MASK = 15
# Of one that was put aside and comes back the row is there; what its client took back stays taken back.
_INSERT = """
INSERT INTO outside (id, seq, client_no, target, voids, terms) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, client_no = excluded.client_no, target = excluded.target,
    seal = NULL, is_void = is_void AND client_no IS excluded.client_no AND NOT excluded.voids, voids = excluded.voids,
    terms = excluded.terms
"""
_FORGET = "DELETE FROM mention WHERE term = ? AND seq = ?"
_MENTION = "INSERT OR IGNORE INTO mention (term, seq) VALUES (?, ?)"
_TERMS = "SELECT terms, seq FROM outside WHERE id = ?"
_SET_TERMS = "UPDATE outside SET terms = ? WHERE id = ?"
_ABOUT = "SELECT id, terms, seq FROM outside WHERE target = ? LIMIT ?"
_VOID = "UPDATE outside SET is_void = 1, seal = NULL WHERE id = ? AND client_no IS ? AND voids = 0"
_VOIDED_BY = "SELECT 1 FROM outside WHERE target = ? AND client_no IS ? AND voids = 1"
_OWN = """
SELECT statement.verb_no, statement.activity_no, person.pseudonym, device.id, statement.attempt_seq
FROM statement JOIN person ON person.no = statement.person_no LEFT JOIN device ON device.no = statement.device_no
WHERE statement.id = ? AND statement.body IS NULL
"""
# By places in the log: what was about another one came after it, or knows nothing of it, as when they were stored.
_EARLIER = """
SELECT change.seq, statement.id, statement.person_no, statement.client_no, statement.body
FROM change CROSS JOIN statement ON statement.id = change.key
WHERE change.seq > ? AND change.kind = ? AND statement.body IS NOT NULL AND statement.digest <> x''
    AND NOT EXISTS (SELECT 1 FROM outside WHERE outside.id = statement.id)
ORDER BY change.seq LIMIT ?
"""
_FIRST_LIFE = "SELECT key_id FROM identity ORDER BY no LIMIT 1"
_VOID_ALL = """
UPDATE outside SET is_void = 1, seal = NULL WHERE voids = 0 AND is_void = 0 AND EXISTS
    (SELECT 1 FROM outside AS by WHERE by.target = outside.id AND by.voids = 1 AND by.client_no = outside.client_no)
"""
_WITH_FILES = "SELECT id, body FROM statement WHERE instr(body, CAST('\"attachments\"' AS BLOB))"
# The log has no index by key.
_FIND_PLACES = """
CREATE TEMP TABLE place AS SELECT key AS id, min(seq) AS seq FROM change WHERE kind = {kind} GROUP BY key
"""
_PLACES = """
SELECT place.seq, outside.id, terms FROM outside JOIN place ON place.id = outside.id
WHERE outside.id > ? ORDER BY outside.id LIMIT ?
"""
_PLACES_AT_ONCE = 50  # rows, of which each may have 3 kB


def insert_outside(connection: sqlite3.Connection, numbers: Numbers, statement: NewStatement, seq: int) -> None:
    """Note what a statement that was just stored has besides its row."""
    if statement.outside is not None:
        _note(connection, numbers, statement.id, statement.person_no, statement.outside, seq)


def _note(
    connection: sqlite3.Connection, numbers: Numbers, id_: bytes, person_no: int | None, outside: Outside, seq: int
) -> None:
    terms = _terms(connection, numbers, person_no, outside)
    if outside.target is not None:
        terms |= _fitting(_inherited(connection, outside.target, outside.home_page), terms)
    for packed, place in connection.execute(_TERMS, (id_,)).fetchall():
        connection.executemany(_FORGET, [(term, place) for term in _unpacked(packed)])
    values = (id_, seq, outside.client_no, outside.target, outside.is_voiding, _packed(terms))
    connection.execute(_INSERT, values)
    connection.executemany(_MENTION, [(term, seq) for term in terms])
    _spread(connection, id_, terms)
    if outside.is_voiding:
        connection.execute(_VOID, (outside.target, outside.client_no))
    elif connection.execute(_VOIDED_BY, (id_, outside.client_no)).fetchone() is not None:
        connection.execute(_VOID, (id_, outside.client_no))
    for each in (id_, outside.target) if outside.is_voiding else (id_,):
        row_seals.seal(connection, "outside", each)


def remove(connection: sqlite3.Connection, id_: bytes) -> None:
    """Forget what a statement had besides its row; what it left with others stays. Safe to repeat."""
    for packed, place in connection.execute(_TERMS, (id_,)).fetchall():
        connection.executemany(_FORGET, [(term, place) for term in _unpacked(packed)])
    connection.execute("DELETE FROM outside WHERE id = ?", (id_,))


def refit(connection: sqlite3.Connection) -> None:
    """Let it fit the log of a database that was made anew, where statements may have other places or be gone."""
    connection.execute("DELETE FROM mention")
    connection.execute("DELETE FROM outside WHERE id NOT IN (SELECT id FROM statement)")
    connection.execute(_FIND_PLACES.format(kind=int(Kind.STATEMENT)))
    connection.execute("CREATE UNIQUE INDEX temp.place_id ON place (id)")
    after = b""
    while rows := connection.execute(_PLACES, (after, _PLACES_AT_ONCE)).fetchall():
        for seq, id_, terms in rows:
            connection.execute("UPDATE outside SET seq = ? WHERE id = ?", (seq, id_))
            connection.executemany(_MENTION, [(term, seq) for term in _unpacked(terms)])
        after = rows[-1][1]
    connection.execute("DROP TABLE temp.place")
    fill(connection)
    connection.execute(_VOID_ALL)
    row_seals.seal_rest(connection)
    insert_attachments(connection, _list_files(connection))


def _list_files(connection: sqlite3.Connection) -> Iterator[Attachment]:
    """Return the files that must have come with the statements there are."""
    for id_, body in connection.execute(_WITH_FILES):
        for one in attachments_of(json.loads(body)):
            if must_come(one):
                yield Attachment(id_, one["sha2"].lower(), one["contentType"])


def fill(connection: sqlite3.Connection) -> None:
    """Note it for all statements of which it was not kept, in the order of the log."""
    numbers, home_page, after = Numbers(connection, Registry({}, {})), _find_home_page(connection), 0
    while rows := connection.execute(_EARLIER, (after, int(Kind.STATEMENT), _EARLIER_AT_ONCE)).fetchall():
        places = {id_: (seq, *rest) for seq, id_, *rest in reversed(rows)}  # the first of two
        for id_, (seq, person_no, client_no, body) in reversed(places.items()):
            outside = outside_of(json.loads(body), home_page, client_no)
            _note(connection, numbers, id_, person_no, outside, seq)
            definitions.define(connection, numbers, [outside])
        after = rows[-1][0]


def _find_home_page(connection: sqlite3.Connection) -> str:
    row = connection.execute(_FIRST_LIFE).fetchone()
    return "" if row is None else home_page_of(row[0])


def _terms(connection: sqlite3.Connection, numbers: Numbers, person_no: int | None, outside: Outside) -> set[int]:
    mentions = outside.mentions
    nos = [(Role.ANY, 0), (Role.VERB, numbers.of_verb(mentions.verb, stays=True))]
    for identifier, name in mentions.agents.items():
        no = agents.number_agent(connection, identifier, name, may_rename=outside.client_no is not None)
        nos += _agent_terms(no, is_object=identifier in mentions.object_agents)
    if outside.authority:
        nos.append((Role.AGENT_AROUND, agents.number_agent(connection, outside.authority)))
    for iri in mentions.activities:
        no = numbers.of_activity(parse_activity(iri), stays=True)
        nos += _activity_terms(no, is_object=iri == mentions.object_activity)
    if mentions.registration is not None:
        nos.append((Role.REGISTRATION, registration_number(mentions.registration)))
    if outside.client_no is not None:
        nos.append((Role.CLIENT, outside.client_no))
    if person_no is not None:
        nos.append((Role.PERSON, person_no))
    return {term_of(role, no) for role, no in nos}


def _agent_terms(no: int, *, is_object: bool) -> list[tuple[Role, int]]:
    return [(Role.AGENT_AROUND, no), *([(Role.AGENT, no)] if is_object else [])]


def _activity_terms(no: int, *, is_object: bool) -> list[tuple[Role, int]]:
    return [(Role.ACTIVITY_AROUND, no), *([(Role.ACTIVITY, no)] if is_object else [])]


def _inherited(connection: sqlite3.Connection, target: bytes, home_page: str) -> set[int]:
    """Return the terms by which a statement is found that is about another one, which may not be here."""
    row = connection.execute(_TERMS, (target,)).fetchone()
    terms = _unpacked(row[0]) if row is not None else _own_terms(connection, target, home_page)
    return {term for term in terms if Role(term & _ROLE_MASK) in _INHERITED}


def _own_terms(connection: sqlite3.Connection, id_: bytes, home_page: str) -> Iterable[int]:
    row = connection.execute(_OWN, (id_,)).fetchone()
    if row is None or not seals.find_whole(connection, [id_]):
        return []
    verb_no, activity_no, pseudonym, device_id, attempt_seq = row
    person = agents.number_agent(connection, identifier_of(account(home_page, pseudonym)) or "")
    nos = [(Role.VERB, verb_no), *_agent_terms(person, is_object=True), *_activity_terms(activity_no, is_object=True)]
    if device_id is not None and attempt_seq is not None:
        nos.append((Role.REGISTRATION, registration_number(ids.derive_registration(device_id, attempt_seq))))
    return [term_of(role, no) for role, no in nos]


def _spread(connection: sqlite3.Connection, id_: bytes, terms: Iterable[int]) -> None:
    """Let the statements that are about this one, and those about them, be found by its terms, up to a limit."""
    inherited = {term for term in terms if Role(term & _ROLE_MASK) in _INHERITED}
    due, seen, left = [id_], {id_}, _SPREAD_MAX_ROWS
    while due and left > 0:
        for about, packed, seq in connection.execute(_ABOUT, (due.pop(), left)).fetchall():
            if about in seen or left <= 0:
                continue
            known = set(_unpacked(packed))
            added = _fitting(inherited, known)
            connection.executemany(_MENTION, [(term, seq) for term in added])
            connection.execute(_SET_TERMS, (_packed(known | added), about))
            left -= 1 + len(added)
            seen.add(about)
            due.append(about)


def _fitting(terms: set[int], known: set[int]) -> set[int]:
    """Return the terms that a statement does not have yet, as many as it may still get: the object before the rest."""
    missing = sorted(terms - known, key=lambda term: term & _ROLE_MASK)
    return set(missing[: max(0, TERMS_MAX - len(known))])


def _packed(terms: Iterable[int]) -> bytes:
    return array("q", sorted(terms)).tobytes()


def _unpacked(packed: bytes) -> list[int]:
    return array("q", packed).tolist()
