"""A cmi5 package: a ZIP file with `cmi5.xml` and the files of its units, or the course structure alone (cmi5 14).

Every assignable unit becomes a resource. Its files keep their places; what the box launches from stands beside them, in
a folder of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary

from content_packs.base.errors import N_, EdgeboxError
from content_packs.builder.source import join_path
from content_packs.format import cmi5
from content_packs.format.cmi5 import Titled, colliding_parameter, is_relative
from content_packs.importers import cmi5_errors as errors
from content_packs.importers.archive import Archive
from content_packs.importers.cmi5_structure import ROOT, read_structure, root_of
from content_packs.importers.contract import HEAD_BYTES, Course, Item, Remark, Source, Sureness
from content_packs.importers.entry_names import shown
from content_packs.importers.errors import XmlRefused
from content_packs.importers.formats import recognise
from content_packs.importers.html_app import LEFT_OUT, shown_type
from content_packs.importers.xml import XML_MAX_BYTES

STRUCTURE = "cmi5.xml"
FOLDER = "cmi5"
COURSE_FILE = "course.json"
ELSEWHERE = N_("it starts at an address on the internet, so it needs a line")
_JSON = "application/json"
_ROOT_NAME = b"courseStructure"
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


class Cmi5:
    """The importer of cmi5 packages."""

    name = "cmi5"

    def __init__(self) -> None:
        self._read: WeakKeyDictionary[Source, _Package] = WeakKeyDictionary()

    def probe(self, source: Source) -> Sureness:
        """Return sure for an archive with `cmi5.xml`, and for XML that begins as a course structure does."""
        if source.is_zip:
            return Sureness.SURE if recognise(source) == self.name else Sureness.NO
        if not _looks_like_xml(source.head) or _ROOT_NAME not in _content(source).replace(b"\x00", b""):
            return Sureness.NO
        return Sureness.SURE if root_of(_content(source), STRUCTURE) == ROOT else Sureness.NO

    def course(self, source: Source) -> Course:
        """Return what the structure says of the course, and everything that will not work."""
        return self._package(source).said

    def items(self, source: Source) -> Iterator[Item]:
        """Yield the files of the package, the course, and one file for every unit, in order."""
        yield from self._package(source).items

    def open(self, source: Source, item: Item) -> Iterator[bytes]:
        """Yield the content of one."""
        return self._package(source).content(item.path)

    def _package(self, source: Source) -> "_Package":
        found = self._read.get(source)
        if found is None:
            found = self._read[source] = _open(source)
        return found


@dataclass
class _Package:
    """One course; `archive` is None for a structure that came alone. Its files stay as they are."""

    structure: bytes
    archive: Archive | None = None

    @cached_property
    def paths(self) -> set[str]:
        if self.archive is None:
            return set()
        return {name.removeprefix(self.archive.top) for name in self.archive.names} - {STRUCTURE}

    @cached_property
    def course(self) -> cmi5.Course:
        return read_structure(self.structure, STRUCTURE, self._kept_url)

    @cached_property
    def said(self) -> Course:
        title = self.course.about.title
        language = next(iter(title))
        elsewhere = [unit for unit in self.course.units if not is_relative(unit.url)]
        remarks = [Remark(shown(unit.url), ELSEWHERE) for unit in elsewhere]
        remarks += [Remark(path, LEFT_OUT) for path in sorted(self.paths) if not shown_type(path)]
        return Course(title[language], language, "", tuple(remarks), self.course.about.id)

    @property
    def items(self) -> Iterator[Item]:
        made = [replace(self._shown_as(path), size_bytes=len(content)) for path, content in self._made.items()]
        if self.archive is not None:
            sizes = {path: self.archive.size_bytes(self.archive.top + path) for path in self.paths}
            made += [Item(path, shown_type(path), sizes[path]) for path in self.paths if shown_type(path)]
        yield from sorted(made, key=lambda item: item.path)

    def content(self, path: str) -> Iterator[bytes]:
        if path in self._made or self.archive is None:
            return iter([self._made[path]])
        return self.archive.chunks(self.archive.top + path)

    @cached_property
    def _made(self) -> dict[str, bytes]:
        made = {f"{FOLDER}/{COURSE_FILE}": cmi5.write_course(self.course)}
        for no in range(1, len(self.course.units) + 1):
            made[_unit_path(no)] = cmi5.write_pointer(COURSE_FILE, no)
        return made

    @cached_property
    def _pointed(self) -> dict[str, Titled]:
        return {_unit_path(no): unit.about for no, unit in enumerate(self.course.units, start=1)}

    def _shown_as(self, path: str) -> Item:
        about = self._pointed.get(path)
        if about is None:
            return Item(path, _JSON, 0)
        title = next(iter(about.title.values()))
        return Item(path, _JSON, 0, cmi5.KIND, title, resource=cmi5.resource_id(about.id))

    def _kept_url(self, url: str) -> str:
        """Return the address of a unit as the course keeps it: beside the package, or out on the internet."""
        try:
            parts = urlsplit(url)
            parts.port  # noqa: B018 - raises for one that is no number
        except ValueError as error:
            raise errors.UrlInvalid(url=shown(url)) from error
        if self.archive is None and not parts.scheme:
            raise errors.UrlRelative(url=shown(url))
        if any(sign.isspace() or sign in '<>"\\^`{}' for sign in url) or url.startswith("/"):
            raise errors.UrlInvalid(url=shown(url))
        if name := colliding_parameter(url):
            raise errors.UrlParameterTaken(url=shown(url), name=name)
        if is_relative(url):
            return self._inside(url, parts.path)
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
            raise errors.UrlInvalid(url=shown(url))
        return url

    def _inside(self, url: str, path: str) -> str:
        try:
            name = join_path(STRUCTURE, unquote(path))
        except EdgeboxError as error:
            raise errors.UrlLeadsNowhere(url=shown(url)) from error
        if name not in self.paths or not shown_type(name):
            raise errors.UrlLeadsNowhere(url=shown(url))
        return url


def _open(source: Source) -> _Package:
    if not source.is_zip:
        return _Package(_content(source))
    archive = source.archive
    archive.check_nested()
    package = _Package(archive.read(archive.top + STRUCTURE, XML_MAX_BYTES), archive)
    if any(path.startswith(f"{FOLDER}/") for path in package.paths):
        raise errors.StructureInvalid(where=FOLDER, reason=_TAKEN)
    return package


_TAKEN = N_("the package has a folder cmi5, whose name the box needs")


def _content(source: Source) -> bytes:
    source.file.seek(0)
    content = source.file.read(XML_MAX_BYTES + 1)
    if len(content) > XML_MAX_BYTES:
        raise XmlRefused(name=STRUCTURE, reason="size")
    return content


def _looks_like_xml(head: bytes) -> bool:
    marked = next((head.removeprefix(mark) for mark in _BYTE_ORDER_MARKS if head.startswith(mark)), head)
    return marked.replace(b"\x00", b"")[:HEAD_BYTES].lstrip().startswith(b"<")


def _unit_path(no: int) -> str:
    return f"{FOLDER}/unit-{no:05}.json"
