"""Write what an operator sends to one school or to all: a whole letter, or nothing of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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

        def write(connection: Transaction) -> None:
            for school_no in _find_schools(connection, school):
                pen = _Pen(SchoolWriter(connection, school_no, now_ms), self._secret)
                for line in lines:
                    _WRITE[line.kind](pen, line)

        await self._store.run(write)
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


@dataclass(frozen=True)
class _Pen:
    """Writes lines for one school."""

    writer: SchoolWriter
    secret: bytes

    def row_id(self, line: Line, name: str, entity: Entity) -> bytes:
        return self.id_of(line, line.values[name], entity)

    def id_of(self, line: Line, text: str, entity: Entity) -> bytes:
        """Return the 16 bytes that name a row, whatever the operator calls it."""
        if entity is Entity.CLASS and text.startswith(_CODE_PREFIX):
            found = reports.find_class(self.writer.connection, self.writer.school_no, text.removeprefix(_CODE_PREFIX))
            if found is None:
                raise line.refuse(f"the school has no class with the {text}")
            return found
        if len(text) == _ID_DIGITS and all(digit in "0123456789abcdef" for digit in text):
            return bytes.fromhex(text)
        message = bytes([entity]) + text.encode("utf-8", "surrogatepass")
        return blake2b(message, key=self.secret, digest_size=ids.ID_BYTES).digest()

    def facts(self, line: Line, entity: Entity, row_id: bytes, values: Mapping[int, str | None]) -> None:
        for field, value in values.items():
            if value is None:
                continue
            if not FACT_FIELDS[entity, field].admits(value):
                raise line.refuse(f"{value[:40]}: too long, or not what is needed")
            self.writer.write_fact(entity, row_id, field, value)

    def has_fact(self, entity: Entity, row_id: bytes, field: int) -> bool:
        writer = self.writer
        found = merged.find(writer.connection, writer.school_no, Kind.FACT, int(entity), row_id, field)
        return found is not None

    def say(self, line: Line, record: Message | Offer | Revocation) -> None:
        flaw = find_flaw(record)
        if flaw is not None:
            raise line.refuse(f"{flaw}: not what is needed, or too long")
        self.writer.write(record)


def _write_message(pen: _Pen, line: Line) -> None:
    text, days = line.values["text"].strip(), line.values.get("days", DAYS_DEFAULT)
    if not 1 <= days <= DAYS_MAX:
        raise line.refuse(f"days: 1 to {DAYS_MAX} are possible")
    name = line.values.get("id") or text
    digest = blake2b(name.encode("utf-8", "surrogatepass"), key=pen.secret, digest_size=ids.ID_BYTES).digest()
    pen.say(line, Message(digest, text, pen.writer.now_ms + days * DAY_MS, 0))


def _write_setting(pen: _Pen, line: Line) -> None:
    names = {field.name.lower(): field for field in SettingField}
    field = names.get(line.values["name"])
    if field is None:
        raise line.refuse("name: one of " + ", ".join(names))
    pen.facts(line, Entity.SETTING, SCHOOL_ID, {field: _switch(line.values["on"])})


def _write_class(pen: _Pen, line: Line) -> None:
    values = line.values
    facts: dict[int, str | None] = {ClassField.TITLE: values.get("title"), ClassField.CODE: values.get("code")}
    facts[ClassField.IS_ACTIVE] = _switch(values.get("active", True))
    pen.facts(line, Entity.CLASS, pen.row_id(line, "id", Entity.CLASS), facts)


def _write_learner(pen: _Pen, line: Line) -> None:
    values, learner = line.values, pen.row_id(line, "id", Entity.LEARNER)
    facts: dict[int, str | None] = {LearnerField.GIVEN_NAME: values.get("given_name")}
    facts[LearnerField.FAMILY_NAME] = values.get("family_name")
    facts[LearnerField.IS_ACTIVE] = _switch(values.get("active", True))
    pen.facts(line, Entity.LEARNER, learner, facts)
    for each in values.get("classes") or ():
        pen.writer.add_member(CLASS_MEMBERS, pen.id_of(line, each, Entity.CLASS), learner)


def _write_membership(pen: _Pen, line: Line) -> None:
    class_id, learner = pen.row_id(line, "class", Entity.CLASS), pen.row_id(line, "learner", Entity.LEARNER)
    put = pen.writer.add_member if line.values.get("active", True) else pen.writer.remove_member
    put(CLASS_MEMBERS, class_id, learner)


def _write_assignment(pen: _Pen, line: Line) -> None:
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
    if not pen.has_fact(Entity.ASSIGNMENT, row_id, AssignmentField.ASSIGNED_MS):
        facts[AssignmentField.ASSIGNED_MS] = str(max(pen.writer.now_ms, 0))
    pen.facts(line, Entity.ASSIGNMENT, row_id, facts)


def _write_offer(pen: _Pen, line: Line) -> None:
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


def _write_revocation(pen: _Pen, line: Line) -> None:
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


_WRITE: Mapping[str, Callable[[_Pen, Line], None]] = {
    "message": _write_message,
    "setting": _write_setting,
    "class": _write_class,
    "learner": _write_learner,
    "membership": _write_membership,
    "assignment": _write_assignment,
    "offer": _write_offer,
    "revocation": _write_revocation,
}


def _switch(on: bool | None) -> str:
    return OFF if on is False else ON


def _bytes(line: Line, name: str) -> bytes:
    try:
        return bytes.fromhex(line.values[name])
    except ValueError as error:
        raise line.refuse(f"{name}: hexadecimal digits are needed") from error
