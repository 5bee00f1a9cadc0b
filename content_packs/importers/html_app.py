"""A zipped HTML5 app: `index.html` at the top of the archive, or in the only folder there."""

import codecs
from collections.abc import Iterator
from functools import cached_property
from weakref import WeakKeyDictionary

from content_packs.base.errors import N_, EdgeboxError
from content_packs.builder.media import MEDIA_TYPES
from content_packs.builder.source import TEXT_MAX_BYTES, join_path
from content_packs.format.errors import SourceInvalid
from content_packs.importers.contract import Course, Item, Remark, Source, Sureness
from content_packs.importers.formats import UNKNOWN, recognise
from content_packs.importers.html_page import EVALUATES, ReadyPage, evaluates, make_ready

INDEX = "index.html"
LEFT_OUT = N_("tablets cannot show this kind of file, so it was left out")
SCRIPT_READ_MAX_BYTES = 8 * 1024**2


class HtmlApp:
    """The importer of web apps."""

    name = "HTML5"

    def __init__(self) -> None:
        self._read: WeakKeyDictionary[Source, _App] = WeakKeyDictionary()

    def probe(self, source: Source) -> Sureness:
        """Return sure for an `index.html` in an archive that has no marks of another format."""
        if not source.is_zip or recognise(source) != UNKNOWN:
            return Sureness.NO
        return Sureness.SURE if source.archive.top + INDEX in source.archive.names else Sureness.NO

    def course(self, source: Source) -> Course:
        """Return what the first page says of itself, and everything that will not work."""
        return self._app(source).course

    def items(self, source: Source) -> Iterator[Item]:
        """Yield the files, those taken out of the pages among them."""
        yield from self._app(source).items

    def open(self, source: Source, item: Item) -> Iterator[bytes]:
        """Yield the content of one."""
        return self._app(source).content(item.path)

    def _app(self, source: Source) -> "_App":
        return self._read.setdefault(source, _App(source))


class _App:
    """One app: its pages are made ready once, everything else stays in the archive until it is asked for."""

    def __init__(self, source: Source) -> None:
        self._archive = source.archive
        self._top = source.archive.top
        self._archive.check_nested()
        self._paths = {name.removeprefix(self._top) for name in self._archive.names}

    @cached_property
    def course(self) -> Course:
        first = self._pages[INDEX]
        remarks = [remark for _, page in sorted(self._pages.items()) for remark in page.remarks]
        remarks += [Remark(path, EVALUATES) for path in sorted(self._shown) if self._evaluates(path)]
        remarks += [Remark(path, LEFT_OUT) for path in sorted(self._paths - self._shown)]
        return Course(first.title, first.language, first.license, tuple(remarks))

    @property
    def items(self) -> Iterator[Item]:
        for path in sorted(self._shown | self._made.keys()):
            size_bytes = len(self._made[path]) if path in self._made else self._archive.size_bytes(self._top + path)
            kind = "app" if path == INDEX else ""
            yield Item(path, shown_type(path), size_bytes, kind, self.course.title if kind else "")

    def content(self, path: str) -> Iterator[bytes]:
        if path in self._made:
            return iter([self._made[path]])
        return self._archive.chunks(self._top + path)

    @cached_property
    def _shown(self) -> set[str]:
        return {path for path in self._paths if shown_type(path)}

    @cached_property
    def _pages(self) -> dict[str, ReadyPage]:
        return {path: self._ready(path) for path in sorted(self._shown) if shown_type(path) == "text/html"}

    @cached_property
    def _made(self) -> dict[str, bytes]:
        """Return what differs from the archive, by path: the pages, and what was taken out of them."""
        made: dict[str, bytes] = {}
        for path, page in self._pages.items():
            made[path] = page.html.encode()
            folder = path.rpartition("/")[0]
            made |= {f"{folder}/{name}".lstrip("/"): text.encode() for name, text in page.files.items()}
        return made

    def _ready(self, path: str) -> ReadyPage:
        try:
            source = self._archive.read(self._top + path, TEXT_MAX_BYTES).removeprefix(codecs.BOM_UTF8).decode()
        except UnicodeDecodeError as error:
            raise SourceInvalid(file=path, where=INDEX, reason=N_("the text is not stored as UTF-8")) from error
        return make_ready(source, path, lambda address: self._leads_to(path, address) in self._paths)

    def _leads_to(self, path: str, address: str) -> str:
        try:
            return join_path(path, address.partition("#")[0].partition("?")[0])
        except EdgeboxError:
            return ""

    def _evaluates(self, path: str) -> bool:
        if shown_type(path) != "text/javascript" or self._archive.size_bytes(self._top + path) > SCRIPT_READ_MAX_BYTES:
            return False
        return evaluates(self._archive.read(self._top + path, SCRIPT_READ_MAX_BYTES).decode(errors="replace"))


def shown_type(path: str) -> str:
    """Return the media type of a file that tablets can show, nothing for any other."""
    return MEDIA_TYPES.get(path.rpartition(".")[2].lower(), "") if "." in path else ""
