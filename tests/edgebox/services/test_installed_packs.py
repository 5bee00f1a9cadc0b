"""What the library shows, finds and reads."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from content_packs.base.language import choose
from content_packs.base.signing import SigningKey, VerifyKey
from content_packs.format.errors import PackNotFound
from content_packs.format.manifest import Manifest
from content_packs.installer import Installer
from edgebox.services import shelf
from edgebox.services.library import Library
from edgebox.services.shelf import ResourceGone
from edgebox.settings import Settings, prepare_folders
from tests.support.small_course import PACK, build_small, trust

KEY = SigningKey(b"k" * 32)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data=tmp_path / "box")
    prepare_folders(settings)
    trust(settings.keys, KEY)
    return settings


async def put(settings: Settings, *, version: int = 1, more: str = "", pack: str = PACK) -> None:
    def install() -> None:
        folder = build_small(settings.data.parent / "stick", KEY, version=version, more=more, pack=pack)
        Installer(folder, settings.data, {KEY.verify_key.key_id: KEY.verify_key}).run()

    await asyncio.to_thread(install)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Library]:
    library = await Library.open(settings)
    try:
        yield library
    finally:
        await library.close()


async def test_the_highest_version_is_the_current_one_and_the_older_can_still_be_named(settings: Settings) -> None:
    await put(settings, version=1)
    await put(settings, version=2, more="Updated.")
    async with opened(settings) as library:
        assert [manifest.version for manifest in library.packs()] == [2]
        assert (await library.pack(PACK, 1)).version == 1
        assert b"Updated" not in await library.read_file(
            PACK, (await library.resource(PACK, "halves-read", 1)).paths["en"], 1
        )


async def test_lessons_and_resources_are_found_by_name(settings: Settings) -> None:
    await put(settings)
    async with opened(settings) as library:
        assert [resource.id for resource in await library.resources_of(PACK, "halves")] == [
            "halves-read",
            "halves-quiz",
        ]
        assert (await library.lesson_of(PACK, "halves-quiz")).id == "halves"
        assert choose((await library.resource(PACK, "halves-read")).title, ["fr"]).value == "Qu’est-ce qu’une moitié ?"


async def test_what_is_not_there_has_an_error_of_its_own(settings: Settings) -> None:
    await put(settings)
    async with opened(settings) as library:
        with pytest.raises(PackNotFound):
            await library.pack("org.example.other")
        with pytest.raises(ResourceGone):
            await library.lesson(PACK, "thirds")
        with pytest.raises(ResourceGone):
            await library.resource(PACK, "thirds-read")
        with pytest.raises(ResourceGone):
            await library.read_file(PACK, "../../keys/box.key")


async def test_a_manifest_that_nobody_trusted_signed_is_not_shown(settings: Settings) -> None:
    await put(settings)
    (settings.keys / "publishers" / "Example Press.pub").unlink()
    async with opened(settings) as library:
        assert library.packs() == []


async def test_a_damaged_manifest_takes_no_other_pack_with_it(settings: Settings) -> None:
    await put(settings)
    await put(settings, pack="org.example.second")
    (settings.packs / f"{PACK}@1.ebm").write_bytes(b"damaged")
    async with opened(settings) as library:
        assert [manifest.pack for manifest in library.packs()] == ["org.example.second"]


async def test_a_publisher_file_that_is_no_key_does_not_stop_the_box(settings: Settings) -> None:
    (settings.keys / "publishers" / "broken.pub").write_bytes(b"\xff" * 2000)
    async with opened(settings) as library:
        assert [publisher.name for publisher in library.trust.publishers.values()] == ["Example Press"]


async def test_the_address_of_a_file_names_the_version(settings: Settings) -> None:
    await put(settings, version=3)
    async with opened(settings) as library:
        assert library.content_href(PACK, "a b/ü.png") == f"/c/{PACK}@3/a%20b/%C3%BC.png"


@pytest.mark.parametrize(
    ("query", "language", "title"),
    [
        ("half", "en", "What is a half?"),
        ("moitie", "fr", "Qu’est-ce qu’une moitié ?"),
        ("النصف", "ar", "ما هو النصف؟"),
        ("一半", "zh-Hans", "什么是一半"),
        ("披萨", "zh-Hans", "什么是一半"),
        ("pizza nothing-like-it", "en", "What is a half?"),
    ],
)
async def test_a_resource_is_found_in_each_of_its_languages(
    settings: Settings, query: str, language: str, title: str
) -> None:
    await put(settings)
    async with opened(settings) as library:
        hits = await library.search(query, language)
        assert (hits[0].title, hits[0].resource, hits[0].lesson) == (title, "halves-read", "halves")


async def test_the_index_follows_the_packs(settings: Settings) -> None:
    await put(settings)
    async with opened(settings) as library:
        assert await library.search("pizza", "en")
        assert not await library.search("updated", "en")
        await put(settings, version=2, more="Updated.")
        await library.reload()
        assert await library.search("updated", "en")
        (settings.packs / f"{PACK}@1.ebm").unlink()
        (settings.packs / f"{PACK}@2.ebm").unlink()
        await library.reload()
        assert not await library.search("pizza", "en")


async def test_an_index_that_was_deleted_is_filled_again(settings: Settings) -> None:
    await put(settings)
    async with opened(settings) as library:
        assert await library.search("pizza", "en")
    (settings.data / "cache.db").unlink()
    async with opened(settings) as library:
        assert await library.search("pizza", "en")


async def test_a_start_reads_only_the_manifests_that_are_new(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(settings)
    async with opened(settings):
        pass
    await put(settings, pack="org.example.second")
    read: list[str] = []
    real_open = shelf.envelope.open_envelope

    def counting(content: bytes, trusted: dict[bytes, VerifyKey]) -> tuple[Manifest, bytes]:
        manifest, signer = real_open(content, trusted)
        read.append(manifest.pack)
        return manifest, signer

    monkeypatch.setattr(shelf.envelope, "open_envelope", counting)
    async with opened(settings) as library:
        assert [shelved.pack for shelved in library.packs()] == [PACK, "org.example.second"]
        assert set(read) == {"org.example.second"}
        await library.lesson(PACK, "halves")
        await library.lesson(PACK, "halves")
        assert read.count(PACK) == 1


async def test_lists_and_search_open_no_manifest(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(settings)
    async with opened(settings) as library:
        monkeypatch.setattr(shelf.envelope, "open_envelope", None)
        assert [listed.lesson.id for listed in await library.lessons(PACK, limit=10)] == ["halves"]
        assert [resource.id for resource in await library.listed_resources(PACK, "halves")] == [
            "halves-read",
            "halves-quiz",
        ]
        assert (await library.search("pizza", "en"))[0].lesson_title == "Halves"
