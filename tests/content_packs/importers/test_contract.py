"""What every importer promises; a new one is added to IMPORTERS with a file of its format and passes all of this."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from content_packs.base.errors import EdgeboxError
from content_packs.builder.media import MEDIA_TYPES
from content_packs.format import names
from content_packs.format.manifest import KINDS
from content_packs.importers import child
from content_packs.importers.cmi5 import Cmi5
from content_packs.importers.contract import Importer, Source, Sureness
from content_packs.importers.errors import ImportUnsupported
from content_packs.importers.html_app import HtmlApp
from content_packs.importers.reading import choose
from tests.support.cmi5 import block, package, structure, unit
from tests.support.raw_zip import Raw, make_zip
from tests.support.web_app import APP_FILES, zipped_app


@dataclass(frozen=True)
class Sample:
    """An importer, and a file it is for."""

    make: Callable[[], Importer]
    content: bytes

    def source(self) -> Source:
        """Return the file, opened afresh."""
        return Source(io.BytesIO(self.content))


SAMPLES = [
    Sample(HtmlApp, zipped_app()),
    Sample(HtmlApp, zipped_app(top="kettle/")),
    Sample(HtmlApp, make_zip([Raw("index.html", b"")])),
    Sample(Cmi5, package(structure(unit("one"), block("b", unit("two"))))),
    Sample(Cmi5, structure(unit("one", "https://example.org/"))),
]


@pytest.fixture(params=SAMPLES, ids=lambda sample: f"{sample.make.__name__} {len(sample.content)}")
def sample(request: pytest.FixtureRequest) -> Sample:
    found: Sample = request.param
    return found


def test_every_importer_the_child_knows_is_tested_here() -> None:
    assert {type(one) for one in child.IMPORTERS} == {type(sample.make()) for sample in SAMPLES}


def test_names_are_distinct() -> None:
    found = [one.name for one in child.IMPORTERS]
    assert len(set(found)) == len(found)
    assert all(found)


def test_it_is_sure_of_its_own_format(sample: Sample) -> None:
    assert sample.make().probe(sample.source()) is Sureness.SURE


@pytest.mark.parametrize("content", [b"", b"text", b"%PDF-1.7", b"ZIM\x04", bytes(100), make_zip([Raw("x.txt")])])
def test_it_is_not_sure_of_anything_else(sample: Sample, content: bytes) -> None:
    assert sample.make().probe(Source(io.BytesIO(content))) is Sureness.NO
    with pytest.raises(ImportUnsupported):
        choose(Source(io.BytesIO(content)), (sample.make(),))


def test_items_can_be_files_of_a_pack_and_are_listed_in_order(sample: Sample) -> None:
    importer, source = sample.make(), sample.source()
    items = list(importer.items(source))
    paths = [names.check_path(item.path) for item in items]
    assert paths == sorted(paths)
    names.check_distinct(paths)
    assert all(item.media_type in MEDIA_TYPES.values() for item in items)
    kinds = [item.kind for item in items if item.kind]
    assert kinds
    assert set(kinds) <= KINDS


def test_an_item_has_as_many_bytes_as_it_states_every_time(sample: Sample) -> None:
    importer, source = sample.make(), sample.source()
    for item in importer.items(source):
        first = b"".join(importer.open(source, item))
        assert (len(first), b"".join(importer.open(source, item))) == (item.size_bytes, first)


def test_the_same_file_gives_the_same_course_and_items(sample: Sample) -> None:
    one, other = sample.make(), sample.make()
    assert one.course(sample.source()) == other.course(sample.source())
    assert list(one.items(sample.source())) == list(other.items(sample.source()))


def test_items_are_listed_without_asking_for_the_course_first(sample: Sample) -> None:
    assert list(sample.make().items(sample.source()))


def test_nothing_is_written(sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    importer, source = sample.make(), sample.source()
    importer.probe(source)
    for item in importer.items(source):
        list(importer.open(source, item))
    assert source.file.getvalue() == sample.content  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", range(1, 12))
def test_a_file_cut_anywhere_is_refused_with_a_code(sample: Sample, part: int) -> None:
    cut = sample.content[: len(sample.content) * part // 12]
    importer, source = sample.make(), Source(io.BytesIO(cut))
    with pytest.raises(EdgeboxError) as caught:
        choose(source, (importer,))
    assert caught.value.code.startswith(("archive.", "import."))


def test_any_changed_byte_gives_the_same_course_or_a_refusal(sample: Sample) -> None:
    for place in range(0, len(sample.content), 7):
        damaged = bytearray(sample.content)
        damaged[place] ^= 0x55
        importer, source = sample.make(), Source(io.BytesIO(bytes(damaged)))
        try:
            choose(source, (importer,))
            for item in importer.items(source):
                list(importer.open(source, item))
        except EdgeboxError:
            continue
        assert {item.path for item in importer.items(source)} == {item.path for item in _items(sample)}


def _items(sample: Sample) -> list[object]:
    return list(sample.make().items(sample.source()))  # type: ignore[arg-type]


def test_the_sample_app_keeps_its_files() -> None:
    source = Source(io.BytesIO(zipped_app()))
    assert {item.path for item in HtmlApp().items(source)} >= {path for path in APP_FILES if not path.endswith(".md")}
