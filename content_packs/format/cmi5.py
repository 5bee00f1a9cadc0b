"""The course of a cmi5 package as a pack carries it (docs/cmi5.md): blocks, units, and what each unit is launched with.

One file has the whole course, and for every assignable unit one small file says which unit it is; that is the file a
resource of the kind `cmi5` opens. A publisher may be hostile, so both are read with every type checked.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from content_packs.base.errors import N_, EdgeboxError
from content_packs.base.hashing import blake2b_256

FORMAT = 1
KIND = "cmi5"
DEPTH_MAX = 40
BLOCKS_MAX = 500  # the box may have to say of each, for every learner, that it is satisfied
PARAMETERS = ("endpoint", "fetch", "actor", "registration", "activityId")
_NAME_DIGITS = 16
_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+")


class CourseMalformed(EdgeboxError):
    """A pack whose cmi5 course cannot be read."""

    code = "course.malformed"
    status = 422
    exit_code = 159
    sentence = N_("The cmi5 course in this pack cannot be read ({reason}).")
    remedy = N_("Ask whoever made the pack for another copy.")


class MoveOn(Enum):
    """What satisfies a unit (cmi5 13.1.4)."""

    PASSED = "Passed"
    COMPLETED = "Completed"
    COMPLETED_AND_PASSED = "CompletedAndPassed"
    COMPLETED_OR_PASSED = "CompletedOrPassed"
    NOT_APPLICABLE = "NotApplicable"


class LaunchMethod(Enum):
    """Which window a unit wants (cmi5 8.1)."""

    ANY_WINDOW = "AnyWindow"
    OWN_WINDOW = "OwnWindow"


@dataclass(frozen=True, slots=True)
class Titled:
    """What course, block, unit and objective have in common.

    Attributes:
        id: as the publisher gave it.
        title, description: by language, `und` where none is given.
    """

    id: str
    title: Mapping[str, str]
    description: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Unit:
    """An assignable unit.

    Attributes:
        url: http or https, or relative to the file of the course, with its query.
        mastery_score: 0 to 1.
        objectives: their ids.
    """

    about: Titled
    url: str
    launch_method: LaunchMethod = LaunchMethod.ANY_WINDOW
    move_on: MoveOn = MoveOn.NOT_APPLICABLE
    mastery_score: float | None = None
    launch_parameters: str | None = None
    entitlement_key: str | None = None
    activity_type: str | None = None
    objectives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """A group of units and blocks."""

    about: Titled
    children: tuple["Block | int", ...]
    objectives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Course:
    """The whole: children are blocks, and units by their number."""

    about: Titled
    children: tuple[Block | int, ...]
    units: tuple[Unit, ...]
    objectives: tuple[Titled, ...] = ()

    def unit(self, no: int) -> Unit:
        """Return a unit by its number.

        Raises:
            CourseMalformed: there is none.
        """
        if not 1 <= no <= len(self.units):
            raise CourseMalformed(reason="unit")
        return self.units[no - 1]


def is_iri(text: str) -> bool:
    """Tell whether a text is an absolute IRI (cmi5 3.0)."""
    return _IRI.fullmatch(text) is not None


def is_relative(url: str) -> bool:
    """Tell whether an address is one inside the package."""
    return not urlsplit(url).scheme and not url.startswith("/")


def colliding_parameter(url: str) -> str:
    """Return which launch parameter the query of an address has already (cmi5 8.1), or nothing."""
    names = {name for name, _value in parse_qsl(urlsplit(url).query, keep_blank_values=True)}
    return next((name for name in PARAMETERS if name in names), "")


def part_name(publisher_id: str) -> str:
    """Return what stands for a unit or block in the box's own ids: it stays, wherever the part stands in the course."""
    return blake2b_256(publisher_id.encode()).hex()[:_NAME_DIGITS]


def resource_id(publisher_id: str) -> str:
    """Return the id of the resource that opens a unit."""
    return f"{KIND}-{part_name(publisher_id)}"


def write_pointer(course_file: str, no: int) -> bytes:
    """Return the file that a resource opens; `course_file` lies beside it."""
    return _written({"format": FORMAT, "course": course_file, "unit": no})


def read_pointer(content: bytes) -> tuple[str, int]:
    """Return the name of the file of the course and the number of the unit.

    Raises:
        CourseMalformed
    """
    record = _record(content)
    name, no = record.get("course"), record.get("unit")
    if not isinstance(name, str) or "/" in name or type(no) is not int:
        raise CourseMalformed(reason="unit")
    return name, no


def write_course(course: Course) -> bytes:
    """Return the file of a course."""
    record = {
        "format": FORMAT,
        **_titled_record(course.about),
        "objectives": [_titled_record(one) for one in course.objectives],
        "children": [_child_record(child) for child in course.children],
        "units": [_unit_record(unit) for unit in course.units],
    }
    return _written(record)


def read_course(content: bytes) -> Course:
    """Return the course of a file.

    Raises:
        CourseMalformed
    """
    record = _record(content)
    try:
        units = tuple(_read_unit(one) for one in record["units"])
        children = _read_children(record["children"], DEPTH_MAX)
        if sorted(_unit_nos(children)) != list(range(1, len(units) + 1)):
            raise ValueError("units")
        blocks = list(_blocks(children))
        if len(blocks) > BLOCKS_MAX:
            raise ValueError("blocks")
        publisher_ids = [part.about.id for part in units] + [part.about.id for part in blocks]
        if len(set(map(part_name, publisher_ids))) < len(publisher_ids):
            raise ValueError("id")
        objectives = tuple(_read_titled(one) for one in record["objectives"])
        return Course(_read_titled(record), children, units, objectives)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CourseMalformed(reason="course") from error


def _blocks(children: tuple[Block | int, ...]) -> Iterator[Block]:
    for child in children:
        if isinstance(child, Block):
            yield child
            yield from _blocks(child.children)


def _unit_nos(children: tuple[Block | int, ...]) -> Iterator[int]:
    for child in children:
        if isinstance(child, Block):
            yield from _unit_nos(child.children)
        else:
            yield child


def _record(content: bytes) -> dict[str, Any]:
    try:
        record = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CourseMalformed(reason="JSON") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise CourseMalformed(reason="format")
    return record


def _written(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def _titled_record(about: Titled) -> dict[str, Any]:
    return {"id": about.id, "title": dict(about.title), "description": dict(about.description)}


def _child_record(child: Block | int) -> Any:
    if isinstance(child, int):
        return child
    return {
        **_titled_record(child.about),
        "objectives": list(child.objectives),
        "children": [_child_record(one) for one in child.children],
    }


def _unit_record(unit: Unit) -> dict[str, Any]:
    maybe = {
        "masteryScore": unit.mastery_score,
        "launchParameters": unit.launch_parameters,
        "entitlementKey": unit.entitlement_key,
        "activityType": unit.activity_type,
    }
    return {
        **_titled_record(unit.about),
        "url": unit.url,
        "launchMethod": unit.launch_method.value,
        "moveOn": unit.move_on.value,
        "objectives": list(unit.objectives),
    } | {name: value for name, value in maybe.items() if value is not None}


def _read_unit(record: dict[str, Any]) -> Unit:
    score = record.get("masteryScore")
    if score is not None and (type(score) not in (int, float) or not 0 <= score <= 1):
        raise ValueError("masteryScore")
    url = _text(record["url"])
    if not (is_relative(url) or url.lower().startswith(("http://", "https://"))):
        raise ValueError("url")
    return Unit(
        _read_titled(record),
        url,
        LaunchMethod(record["launchMethod"]),
        MoveOn(record["moveOn"]),
        score,
        _maybe_text(record, "launchParameters"),
        _maybe_text(record, "entitlementKey"),
        _maybe_text(record, "activityType"),
        tuple(_text(one) for one in record["objectives"]),
    )


def _maybe_text(record: dict[str, Any], name: str) -> str | None:
    return _text(record[name]) if name in record else None


def _read_children(records: list[Any], depth: int) -> tuple[Block | int, ...]:
    if depth == 0:
        raise ValueError("depth")
    return tuple(one if type(one) is int else _read_block(one, depth) for one in records)


def _read_block(record: dict[str, Any], depth: int) -> Block:
    children = _read_children(record["children"], depth - 1)
    return Block(_read_titled(record), children, tuple(_text(one) for one in record["objectives"]))


def _read_titled(record: dict[str, Any]) -> Titled:
    return Titled(_text(record["id"]), _read_texts(record["title"]), _read_texts(record["description"]))


def _read_texts(record: dict[str, Any]) -> dict[str, str]:
    return {_text(language): _text(text) for language, text in record.items()}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("text")
    return value
