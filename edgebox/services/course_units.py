"""The units of cmi5 courses in packs."""

import posixpath
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from content_packs.base.errors import N_, EdgeboxError
from content_packs.format import cmi5
from content_packs.format.cmi5 import Course, Unit
from edgebox.services import large
from edgebox.services.library import Library
from sync.records.activity import own_activity


class UnitUnknown(EdgeboxError):
    """A number that no unit of the course has."""

    code = "course.unit_unknown"
    status = 404
    exit_code = 167
    sentence = N_("The course has no unit {unit}.")
    remedy = N_("Units are counted from 0 in the order of the course.")


@dataclass(frozen=True, slots=True)
class Opened:
    """A unit in a pack.

    Attributes:
        file: path of its page in the pack, empty for one that is elsewhere.
    """

    pack: str
    version: int
    content: bytes
    course: Course
    no: int
    file: str

    @property
    def unit(self) -> Unit:
        """Return what it is launched with."""
        return self.course.unit(self.no)

    @property
    def activity_iri(self) -> str:
        """Return the id under which it is launched; that of the publisher may not be used (cmi5 8.1.5)."""
        return own_activity(self.pack, cmi5.resource_id(self.unit.about.id)).iri


async def open_unit(library: Library, pack: str, resource: str, version: int | None = None) -> Opened:
    """Return the unit that a resource opens.

    Raises:
        PackNotFound, ResourceGone, CourseMalformed, and what reading a damaged file raises.
    """
    manifest = await library.pack(pack, version)
    found = await library.resource(pack, resource, manifest.version)
    path = next(iter(found.paths.values()))
    name, no = cmi5.read_pointer(await library.read_file(pack, path, manifest.version))
    course_path = posixpath.join(posixpath.dirname(path), name)
    content = await library.read_file(pack, course_path, manifest.version)
    course = await large.work(len(content), cmi5.read_course, content)
    return Opened(pack, manifest.version, content, course, no, _page(course_path, course.unit(no).url))


def _page(course_path: str, url: str) -> str:
    """Return the path in the pack of a unit's page: its address is relative to the folder above that of the course."""
    if not cmi5.is_relative(url):
        return ""
    folder = posixpath.dirname(posixpath.dirname(course_path))
    return posixpath.normpath(posixpath.join(folder, unquote(urlsplit(url).path)))
