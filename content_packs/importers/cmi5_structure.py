"""A cmi5 course structure: the XML, held against CourseStructure.xsd and the rules of cmi5 13 and 14.

The whole schema is a handful of sequences, so they are written out here; what other namespaces add is passed over
(cmi5 13.1.5).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from content_packs.base.errors import N_
from content_packs.format.cmi5 import (
    BLOCKS_MAX,
    DEPTH_MAX,
    Block,
    Course,
    LaunchMethod,
    MoveOn,
    Titled,
    Unit,
    is_iri,
)
from content_packs.importers import cmi5_errors as errors
from content_packs.importers.entry_names import shown
from content_packs.importers.xml import read_xml

NAMESPACE = "https://w3id.org/xapi/profiles/cmi5/v1/CourseStructure.xsd"
ROOT = f"{NAMESPACE} courseStructure"
_SCORE = re.compile(r"[+-]?(?:\d{1,10}(?:\.\d{0,20})?|\.\d{1,20})")
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")
_MISSING = N_("something is missing or out of order")
_TOO_DEEP = N_("blocks lie in one another too deep")
_TOO_MANY = N_("there are too many blocks")
_EXTRA = N_("this is not known to cmi5")
_NO_LANGUAGE = N_("this is not a language")
_NO_TEXT = N_("a text is missing")
_OTHER_ROOT = N_("it does not begin with courseStructure")
_NEUTRAL = "und"

E = TypeVar("E", bound=Enum)
CheckUrl = Callable[[str], str]


@dataclass
class _Element:
    """An element of cmi5, with those in it in order."""

    name: str
    attributes: dict[str, str]
    children: list["_Element"] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Return its text without white space around it (cmi5 13.1)."""
        return "".join(self.texts).strip()

    def attribute(self, name: str, default: str = "") -> str:
        return self.attributes.get(name, default).strip()


def read_structure(content: bytes, file: str, check_url: CheckUrl) -> Course:
    """Return the course in a structure; `check_url` returns the address of a unit as it is kept.

    Raises:
        XmlRefused: not XML, or XML that can grow or reach outside.
        The errors of `content_packs.importers.cmi5_errors`.
    """
    return _Reader(check_url).read(_parsed(content, file))


def root_of(content: bytes, file: str) -> str:
    """Return the name of the outermost element, with its namespace before a space. Raises XmlRefused."""
    names: list[str] = []
    read_xml(content, file, lambda name, _attributes: names.append(name), lambda _text: None)
    return names[0] if names else ""


def _parsed(content: bytes, file: str) -> _Element:
    """Return the elements of cmi5; those of other namespaces, with all that is in them, are left out."""
    top = _Element("", {})
    open_elements = [top]
    foreign = 0

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal foreign
        namespace, _, local = name.rpartition(" ")
        if foreign or (namespace != NAMESPACE and len(open_elements) > 1):
            foreign += 1
            return
        element = _Element(local if namespace == NAMESPACE else name, attributes)
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def end() -> None:
        nonlocal foreign
        if foreign:
            foreign -= 1
        else:
            open_elements.pop()

    def text(words: str) -> None:
        if not foreign:
            open_elements[-1].texts.append(words)

    read_xml(content, file, begin, text, end)
    return top.children[0]


class _Reader:
    """Goes through the elements once, and counts units and blocks in their order."""

    def __init__(self, check_url: CheckUrl) -> None:
        self._check_url = check_url
        self._ids: set[str] = set()
        self._units: list[Unit] = []
        self._blocks = 0

    def read(self, root: _Element) -> Course:
        if root.name != "courseStructure":
            raise errors.StructureInvalid(where=shown(root.name.rpartition(" ")[2]), reason=_OTHER_ROOT)
        parts = _Parts(root, ())
        course = parts.one("course")
        inner = _Parts(course, ("id",))
        about = self._titled(course, inner, is_counted=False)
        inner.finish()
        objectives = self._objectives(parts)
        children = self._children(parts, 1)
        parts.finish()
        return Course(about, children, tuple(self._units), objectives)

    def _objectives(self, parts: "_Parts") -> tuple[Titled, ...]:
        element = parts.maybe("objectives")
        if element is None:
            return ()
        inner, found = _Parts(element, ()), []
        for one in inner.some("objective"):
            # The schema takes title and description of an objective in any order.
            one.children.sort(key=lambda child: child.name, reverse=True)
            own = _Parts(one, ("id",))
            found.append(self._titled(one, own))
            own.finish()
        inner.finish()
        return tuple(found)

    def _children(self, parts: "_Parts", depth: int) -> tuple[Block | int, ...]:
        if depth > DEPTH_MAX - 1:
            raise errors.StructureInvalid(where="block", reason=_TOO_DEEP)
        found = [self._unit(one) if one.name == "au" else self._block(one, depth) for one in parts.some("au", "block")]
        return tuple(found)

    def _block(self, element: _Element, depth: int) -> Block:
        parts = _Parts(element, ("id",))
        self._blocks += 1
        if self._blocks > BLOCKS_MAX:
            raise errors.StructureInvalid(where=str(BLOCKS_MAX), reason=_TOO_MANY)
        about = self._titled(element, parts)
        objectives = _references(parts)
        children = self._children(parts, depth + 1)
        parts.finish()
        return Block(about, children, objectives)

    def _unit(self, element: _Element) -> int:
        parts = _Parts(element, ("id", "moveOn", "masteryScore", "launchMethod", "activityType"))
        about = self._titled(element, parts)
        objectives = _references(parts)
        url = parts.one("url").text
        parameters, key = parts.maybe("launchParameters"), parts.maybe("entitlementKey")
        parts.finish()
        if not url:
            raise errors.StructureInvalid(where="url", reason=_NO_TEXT)
        unit = Unit(
            about,
            self._check_url(url),
            _value(element, "launchMethod", LaunchMethod.ANY_WINDOW),
            _value(element, "moveOn", MoveOn.NOT_APPLICABLE),
            _score(element),
            None if parameters is None else parameters.text,
            None if key is None else key.text,
            _activity_type(element),
            objectives,
        )
        self._units.append(unit)
        return len(self._units)

    def _titled(self, element: _Element, parts: "_Parts", *, is_counted: bool = True) -> Titled:
        id_ = element.attribute("id")
        if not is_iri(id_):
            raise errors.IdNotIri(id=shown(id_))
        if is_counted:
            if id_ in self._ids:
                raise errors.IdTwice(id=shown(id_))
            self._ids.add(id_)
        return Titled(id_, _langstrings(parts.one("title")), _langstrings(parts.one("description")))


class _Parts:
    """The elements in an element, taken in the order of the schema."""

    def __init__(self, element: _Element, attributes: tuple[str, ...]) -> None:
        self._element = element
        self._rest = list(reversed(element.children))
        for name in element.attributes:
            if " " not in name and name not in attributes:  # one with a space is of another namespace
                raise errors.StructureInvalid(where=shown(f"{element.name} {name}"), reason=_EXTRA)

    def maybe(self, name: str) -> _Element | None:
        return self._rest.pop() if self._rest and self._rest[-1].name == name else None

    def one(self, name: str) -> _Element:
        found = self.maybe(name)
        if found is None:
            raise errors.StructureInvalid(where=shown(f"{self._element.name} {name}"), reason=_MISSING)
        return found

    def some(self, *names: str) -> Iterator[_Element]:
        if not self._rest or self._rest[-1].name not in names:
            raise errors.StructureInvalid(where=shown(f"{self._element.name} {names[0]}"), reason=_MISSING)
        while self._rest and self._rest[-1].name in names:
            yield self._rest.pop()

    def finish(self) -> None:
        if self._rest:
            raise errors.StructureInvalid(where=shown(f"{self._element.name} {self._rest[-1].name}"), reason=_EXTRA)


def _references(parts: _Parts) -> tuple[str, ...]:
    element = parts.maybe("objectives")
    if element is None:
        return ()
    inner = _Parts(element, ())
    found = tuple(one.attribute("idref") for one in inner.some("objective"))
    inner.finish()
    return found


def _langstrings(element: _Element) -> dict[str, str]:
    parts = _Parts(element, ())
    found: dict[str, str] = {}
    for one in parts.some("langstring"):
        _Parts(one, ("lang",)).finish()
        language = one.attribute("lang", _NEUTRAL)
        if not _LANGUAGE.fullmatch(language):
            raise errors.StructureInvalid(where=shown(language), reason=_NO_LANGUAGE)
        found.setdefault(language, " ".join(one.text.split()))
    parts.finish()
    return found


def _value(element: _Element, name: str, default: E) -> E:
    given = element.attribute(name, default.value)
    try:
        return type(default)(given)
    except ValueError as error:
        raise errors.ValueUnknown(name=name, value=shown(given)) from error


def _activity_type(element: _Element) -> str | None:
    given = element.attribute("activityType")
    if given and not is_iri(given):
        raise errors.ValueUnknown(name="activityType", value=shown(given))
    return given or None


def _score(element: _Element) -> float | None:
    if "masteryScore" not in element.attributes:
        return None
    given = element.attribute("masteryScore")
    if not _SCORE.fullmatch(given) or not 0 <= float(given) <= 1:
        raise errors.ScoreInvalid(value=shown(given))
    return float(given)
