"""Write what an operator sends to one school or to all.

A letter is read as a whole first, and nothing is written when a line makes no sense. It is then written in slices, so
that boxes that send meanwhile wait for none of it long. A hub that is stopped in between has written a part; the same
letter sent again writes the rest.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import methodcaller

from content_packs.base import ids
from content_packs.base.clock import Clock
from content_packs.base.hashing import blake2b
from sync.hub.errors import LetterMalformed
from sync.hub.keys import HubKeys
from sync.hub.letter import DAYS_DEFAULT, DAYS_MAX, Line, read_letter
from sync.hub.store import boxes, merged, reports
from sync.hub.store.boxes import DAY_MS
from sync.hub.store.worker import Store, Transaction
from sync.hub.store.writing import SchoolWriter
from sync.records.facts import (
    CLASS_MEMBERS,
    FACT_FIELDS,
    OFF,
    ON,
    SCHOOL_ID,
    AssignmentField,
    ClassField,
    Entity,
    LearnerField,
    SettingField,
    assignment_id,
)
from sync.records.kinds import Kind, Subject, find_flaw
from sync.records.rows import Message, Offer, Revocation

Write = Callable[[SchoolWriter], None]

# Some 0.1 s each on a small server.
WRITES_AT_ONCE = 50
_CODE_PREFIX = "code:"
_ID_DIGITS = 2 * ids.ID_BYTES


class Posting:
    """What the operator says to schools."""

    def __init__(self, store: Store, keys: HubKeys, clock: Clock) -> None:
        self._store = store
        self._secret = blake2b(keys.signing.seed, digest_size=32, person=b"edgebox roster").digest()
        self._clock = clock

    async def send(self, text: str, school: str | None) -> int:
        """Write a letter for the school of that title, or for all, and return its number of lines. Safe to repeat.

        Raises:
            LetterMalformed: a line is not understood, or there is no such school; nothing is written.
        """
        lines, now_ms = read_letter(text), self._clock.now_ms()

        def plan(connection: Transaction) -> list[tuple[int, list[Write]]]:
            return [
                (no, _plan(connection, no, lines, now_ms, self._secret)) for no in _find_schools(connection, school)
            ]

        for school_no, writes in await self._store.run(plan):
            for start in range(0, len(writes), WRITES_AT_ONCE):
                part = writes[start : start + WRITES_AT_ONCE]
                await self._store.run(partial(_do, school_no=school_no, now_ms=now_ms, writes=part))
        return len(lines)

    async def send_message(self, text: str, school: str | None, days: int = DAYS_DEFAULT) -> None:
        """Send one message, to be shown for so many days. Raises like `send`."""
        line = {"kind": "message", "text": text, "days": days, "id": ids.random_bytes(ids.ID_BYTES).hex()}
        await self.send(json.dumps(line), school)


def _find_schools(connection: Transaction, title: str | None) -> Sequence[int]:
    if title is None:
        return boxes.list_schools(connection)
    no = boxes.find_school(connection, title)
    if no is None:
        raise LetterMalformed(where="school", reason=f"there is none called {title[:80]}")
    return [no]


def _plan(connection: Transaction, school_no: int, lines: Sequence[Line], now_ms: int, secret: bytes) -> list[Write]:
    pen = _Pen(connection, school_no, now_ms, secret)
    for line in lines:
        _PLAN[line.kind](pen, line)
    return pen.writes


def _do(connection: Transaction, school_no: int, now_ms: int, writes: Sequence[Write]) -> None:
    writer = SchoolWriter(connection, school_no, now_ms)
    for write in writes:
        write(writer)


@dataclass(frozen=True)
class _Pen:
    """Notes what lines mean for one school; `writes` is what is to be done."""

    connection: Transaction
    school_no: int
    now_ms: int
    secret: bytes
    writes: list[Write] = field(default_factory=list)

    def row_id(self, line: Line, name: str, entity: Entity) -> bytes:
        return self.id_of(line, line.values[name], entity)

    def id_of(self, line: Line, text: str, entity: Entity) -> bytes:
        """Return the 16 bytes that name a row, whatever the operator calls it."""
        if entity is Entity.CLASS and text.startswith(_CODE_PREFIX):
            found = reports.find_class(self.connection, self.school_no, text.removeprefix(_CODE_PREFIX))
            if found is None:
                raise line.refuse(f"the school has no class with the {text}")
            return found
        if len(text) == _ID_DIGITS and all(digit in "0123456789abcdef" for digit in text):
            return bytes.fromhex(text)
        message = bytes([entity]) + text.encode("utf-8", "surrogatepass")
        return blake2b(message, key=self.secret, digest_size=ids.ID_BYTES).digest()

    def facts(self, line: Line, entity: Entity, row_id: bytes, values: Mapping[int, str | None]) -> None:
        for number, value in values.items():
            if value is None:
                continue
            if not FACT_FIELDS[entity, number].admits(value):
                raise line.refuse(f"{value[:40]}: too long, or not what is needed")
            self.writes.append(methodcaller("write_fact", entity, row_id, number, value))

    def member(self, class_id: bytes, learner: bytes, *, is_in: bool) -> None:
        self.writes.append(methodcaller("add_member" if is_in else "remove_member", CLASS_MEMBERS, class_id, learner))

    def say(self, line: Line, record: Message | Offer | Revocation) -> None:
        flaw = find_flaw(record)
        if flaw is not None:
            raise line.refuse(f"{flaw}: not what is needed, or too long")
        self.writes.append(methodcaller("write", record))


def _plan_message(pen: _Pen, line: Line) -> None:
    text, days = line.values["text"].strip(), line.values.get("days", DAYS_DEFAULT)
    if not 1 <= days <= DAYS_MAX:
        raise line.refuse(f"days: 1 to {DAYS_MAX} are possible")
    name = line.values.get("id") or text
    digest = blake2b(name.encode("utf-8", "surrogatepass"), key=pen.secret, digest_size=ids.ID_BYTES).digest()
    pen.say(line, Message(digest, text, pen.now_ms + days * DAY_MS, 0))


def _plan_setting(pen: _Pen, line: Line) -> None:
    names = {field.name.lower(): field for field in SettingField}
    field = names.get(line.values["name"])
    if field is None:
        raise line.refuse("name: one of " + ", ".join(names))
    pen.facts(line, Entity.SETTING, SCHOOL_ID, {field: _switch(line.values["on"])})


def _plan_class(pen: _Pen, line: Line) -> None:
    values = line.values
    facts: dict[int, str | None] = {ClassField.TITLE: values.get("title"), ClassField.CODE: values.get("code")}
    facts[ClassField.IS_ACTIVE] = _switch(values.get("active", True))
    pen.facts(line, Entity.CLASS, pen.row_id(line, "id", Entity.CLASS), facts)


def _plan_learner(pen: _Pen, line: Line) -> None:
    values, learner = line.values, pen.row_id(line, "id", Entity.LEARNER)
    facts: dict[int, str | None] = {LearnerField.GIVEN_NAME: values.get("given_name")}
    facts[LearnerField.FAMILY_NAME] = values.get("family_name")
    facts[LearnerField.IS_ACTIVE] = _switch(values.get("active", True))
    pen.facts(line, Entity.LEARNER, learner, facts)
    for each in values.get("classes") or ():
        pen.member(pen.id_of(line, each, Entity.CLASS), learner, is_in=True)


def _plan_membership(pen: _Pen, line: Line) -> None:
    class_id, learner = pen.row_id(line, "class", Entity.CLASS), pen.row_id(line, "learner", Entity.LEARNER)
    pen.member(class_id, learner, is_in=line.values.get("active", True))


def _plan_assignment(pen: _Pen, line: Line) -> None:
    values, class_id = line.values, pen.row_id(line, "class", Entity.CLASS)
    pack, lesson, version = values["pack"], values["lesson"], values.get("version")
    facts: dict[int, str | None] = {
        AssignmentField.CLASS_ID: class_id.hex(),
        AssignmentField.PACK: pack,
        AssignmentField.LESSON: lesson,
        AssignmentField.VERSION: None if version is None else str(version),
        AssignmentField.IS_ACTIVE: _switch(values.get("active", True)),
    }
    row_id = assignment_id(class_id, pack, lesson)
    known = merged.find(
        pen.connection, pen.school_no, Kind.FACT, int(Entity.ASSIGNMENT), row_id, int(AssignmentField.ASSIGNED_MS)
    )
    if known is None:
        facts[AssignmentField.ASSIGNED_MS] = str(max(pen.now_ms, 0))
    pen.facts(line, Entity.ASSIGNMENT, row_id, facts)


def _plan_offer(pen: _Pen, line: Line) -> None:
    values = line.values
    titles = {str(language): str(title) for language, title in values["titles"].items()}
    offer = Offer(
        values["pack"],
        values["version"],
        _bytes(line, "root"),
        json.dumps(titles, ensure_ascii=False, separators=(",", ":"), sort_keys=True),
        values["size_bytes"],
        0,
        values.get("from_version"),
        values.get("patch_bytes"),
    )
    pen.say(line, offer)


def _plan_revocation(pen: _Pen, line: Line) -> None:
    values = line.values
    if values.get("pack") and values.get("version") is not None:
        subject = Subject.PACK, f"{values['pack']}@{values['version']}"
    elif values.get("courier"):
        subject = Subject.COURIER, _bytes(line, "courier").hex()
    elif values.get("box"):
        subject = Subject.BOX, _bytes(line, "box").hex()
    else:
        raise line.refuse("pack and version, courier, or box is missing")
    pen.say(line, Revocation(*subject, 0))


_PLAN: Mapping[str, Callable[[_Pen, Line], None]] = {
    "message": _plan_message,
    "setting": _plan_setting,
    "class": _plan_class,
    "learner": _plan_learner,
    "membership": _plan_membership,
    "assignment": _plan_assignment,
    "offer": _plan_offer,
    "revocation": _plan_revocation,
}


def _switch(on: bool | None) -> str:
    return OFF if on is False else ON


def _bytes(line: Line, name: str) -> bytes:
    try:
        return bytes.fromhex(line.values[name])
    except ValueError as error:
        raise line.refuse(f"{name}: hexadecimal digits are needed") from error
