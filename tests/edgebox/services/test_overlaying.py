"""What a box shows of packs: overlays laid over them, parts that were left out, and all of it undone by removing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from content_packs import builder, installer
from content_packs.builder import BuildResult
from content_packs.format.errors import PackNotFound
from content_packs.format.selection import Selection
from content_packs.installer import Installer
from content_packs.installer.library import want_parts
from content_packs.trust.listing import ListedPack, ListedPublisher, PackList, encode_list
from edgebox.domain.localised import localised_percent
from edgebox.services.library import Library
from edgebox.settings import Settings, prepare_folders
from tests.content_packs.test_parts import build_parts
from tests.support.course import PACK, PUBLISHER, STRANGER, TRUSTED, build_course
from tests.support.overlay import OVERLAY, write_overlay
from tests.support.small_course import trust

OVER = "org.example.water-fr"
KEYS = TRUSTED | {STRANGER.verify_key.key_id: STRANGER.verify_key}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data=tmp_path / "box")
    prepare_folders(settings)
    trust(settings.keys, PUBLISHER)
    trust(settings.keys, STRANGER, "Stranger")
    return settings


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Library]:
    library = await Library.open(settings)
    try:
        yield library
    finally:
        await library.close()


async def put(settings: Settings, build: Callable[[], BuildResult]) -> None:
    await asyncio.to_thread(lambda: Installer(build().folder, settings.data, KEYS).run())


async def put_course(settings: Settings, folder: Path, version: int = 1) -> None:
    await put(settings, lambda: build_course(folder, version=version))


async def put_overlay(settings: Settings, folder: Path, text: str = OVERLAY) -> None:
    await put(settings, lambda: builder.build(write_overlay(folder / "overlay", text), folder / "overlays", STRANGER))


async def test_an_overlay_is_shown_in_the_pack_below_and_is_no_course_of_its_own(
    settings: Settings, tmp_path: Path
) -> None:
    await put_course(settings, tmp_path)
    await put_overlay(settings, tmp_path)
    async with opened(settings) as library:
        assert [manifest.pack for manifest in library.packs()] == [PACK]
        assert (await library.pack(PACK)).title["fr"] == "L'eau"
        assert (await library.lesson(PACK, "states")).title["fr"] == "Trois états"
        path = (await library.resource(PACK, "states-read")).paths["fr"]
        assert b"Glace" in await library.read_file(PACK, path)
        assert library.content_href(PACK, path) == f"/c/{OVER}@1/read.fr.html"
        assert (await library.installed(PACK)).overlays == (OVER,)


async def test_removing_an_overlay_leaves_the_pack_as_it_was(settings: Settings, tmp_path: Path) -> None:
    await put_course(settings, tmp_path)
    async with opened(settings) as library:
        before = await library.pack(PACK)
        await put_overlay(settings, tmp_path)
        await library.reload()
        assert await library.pack(PACK) != before
        await asyncio.to_thread(installer.remove, settings.data, OVER)
        await library.reload()
        assert await library.pack(PACK) == before
        assert await library.search("bout", "fr") == []


async def test_overlay_whose_publisher_is_not_trusted_is_not_laid(settings: Settings, tmp_path: Path) -> None:
    await put_course(settings, tmp_path)
    await put_overlay(settings, tmp_path)
    await asyncio.to_thread((settings.keys / "publishers" / "Stranger.pub").unlink)
    async with opened(settings) as library:
        assert "fr" not in (await library.pack(PACK)).title


async def test_overlay_by_a_publishers_new_key_may_replace_what_the_old_one_signed(
    settings: Settings, tmp_path: Path
) -> None:
    lines = ['id = "org.example.water-en"', "version = 1", 'inLanguage = ["en"]', 'license = "CC0-1.0"']
    lines += ['title = "Corrections"', "[overlay]", f'of = "{PACK}"', "versions = [1, 3]", 'title = "Corrected"']
    lines += ["[[lesson]]", 'id = "states"', "[[lesson.resource]]", 'id = "states-read"', 'kind = "text"']
    await put_course(settings, tmp_path)
    await put_overlay(settings, tmp_path, "\n".join(lines))
    async with opened(settings) as library:
        assert (await library.pack(PACK)).title["en"] != "Corrected"
        await asyncio.to_thread(write_list, settings, "org.example")
        await library.reload()
        assert (await library.pack(PACK)).title["en"] == "Corrected"
        assert [shelved.title["en"] for shelved in library.packs()] == ["Corrected"]
        await asyncio.to_thread(write_list, settings, "org.other")
        await library.reload()
        assert [shelved.title["en"] for shelved in library.packs()] != ["Corrected"]


def write_list(settings: Settings, prefix: str) -> None:
    """Let a list say that the course was signed by the old key of a publisher, who has the other one now."""
    publishers = tuple(ListedPublisher(name, name, (STRANGER.verify_key,), 2**47) for name in [prefix])
    before = ListedPack("org.example", 1, bytes(32), PUBLISHER.verify_key)
    others = () if prefix == "org.example" else (ListedPublisher("org.example", "", (PUBLISHER.verify_key,), 2**47),)
    found = PackList(bytes(32), 0, 2**47, (*publishers, *others), {(PACK, 1): before}, frozenset())
    folder = settings.keys / "trust"
    folder.mkdir(exist_ok=True)
    (folder / "list.ebl").write_bytes(encode_list(found))


async def test_lost_file_of_an_overlay_falls_back_to_the_pack(settings: Settings, tmp_path: Path) -> None:
    await put_course(settings, tmp_path)
    await put_overlay(settings, tmp_path)
    async with opened(settings) as library:
        await asyncio.to_thread((await library.blob_path(OVER, "read.fr.html")).unlink)
        await library.reload()
        resource = await library.resource(PACK, "states-read")
        assert set(resource.paths) == {"en", "ar"}
        assert resource.title["fr"] == "Lire"


async def test_damaged_manifest_of_an_overlay_falls_back_to_the_pack(settings: Settings, tmp_path: Path) -> None:
    await put_course(settings, tmp_path)
    await put_overlay(settings, tmp_path)
    await asyncio.to_thread((settings.packs / f"{OVER}@1.ebm").write_bytes, b"torn")
    async with opened(settings) as library:
        assert "fr" not in (await library.pack(PACK)).title


async def test_text_of_an_overlay_is_found_and_opens_the_resource_below_once(
    settings: Settings, tmp_path: Path
) -> None:
    await put_course(settings, tmp_path)
    await put_overlay(settings, tmp_path)
    async with opened(settings) as library:
        for query in ("bout", "glace", "Lire"):
            hits = await library.search(query, "fr")
            assert len(hits) == 1, query
            assert hits[0].pack == PACK
        assert [hit.resource for hit in await library.search("bout", "fr")] == ["states-film"]
        assert (await library.search("glace", "fr"))[0].title == "Lire"


async def test_overlay_without_its_pack_is_kept_and_shows_nothing(settings: Settings, tmp_path: Path) -> None:
    await put_overlay(settings, tmp_path)
    async with opened(settings) as library:
        assert library.packs() == []
        assert await library.search("bout", "fr") == []
        with pytest.raises(PackNotFound):
            await library.pack(PACK)


async def test_overlay_lies_over_the_versions_it_names_and_no_others(settings: Settings, tmp_path: Path) -> None:
    for version in (1, 2):
        await put_course(settings, tmp_path, version)
    await put_overlay(settings, tmp_path, OVERLAY.replace("versions = [1, 3]", "versions = [1, 1]"))
    async with opened(settings) as library:
        assert "fr" in (await library.pack(PACK, 1)).title
        assert "fr" not in (await library.pack(PACK)).title


async def test_resource_of_which_nothing_was_taken_says_which_part_has_it(settings: Settings, tmp_path: Path) -> None:
    await asyncio.to_thread(want_parts, settings.data, PACK, 1, Selection(frozenset()))
    await put(settings, lambda: build_parts(tmp_path))
    async with opened(settings) as library:
        assert (await library.installed(PACK)).left_out == {"states-film": ("films",)}
        assert (await library.resource(PACK, "states-film")).paths == {}
        assert set((await library.resource(PACK, "states-read")).paths) == {"en"}
        assert (await library.installed(PACK)).size_bytes < (await library.pack(PACK)).size_bytes + 3000


async def test_share_of_a_language_counts_overlays(settings: Settings, tmp_path: Path) -> None:
    await put_course(settings, tmp_path)
    await put_overlay(settings, tmp_path)
    async with opened(settings) as library:
        # Of seven resources: two have an Arabic title and content; French has a title and a text for one.
        assert localised_percent(await library.pack(PACK)) == {"en": 100, "ar": 28, "fr": 14}
