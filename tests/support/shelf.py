"""A box with everything its page of packs can show, and sticks with everything they can hold."""

import asyncio
import shutil
from pathlib import Path

from content_packs import builder
from content_packs.base.signing import SigningKey
from content_packs.format import keyfile, layout
from content_packs.format.selection import Selection, serialise_selection
from content_packs.trust import publishing
from edgebox.keys import Box
from tests.support.course import PACK, PUBLISHER, STRANGER, write_course
from tests.support.depot import PlayDepot
from tests.support.overlay import write_overlay
from tests.support.small_course import build_small

WATER = PACK
LONG_TITLE = "Everything about halves, thirds, quarters and other equal parts of pizzas, oranges and chapatis"
PARTS = """
[[part]]
id = "films"
title.en = "Films"
title.ar = "أفلام"
quality = "720p"
files = ["**/*.mp4"]

[[part]]
id = "arabic"
title.en = "Texts in Arabic"
title.ar = "نصوص بالعربية"
inLanguage = ["ar"]
files = ["states/read.ar.md"]
"""


def build_water(folder: Path, stick: Path, version: int = 1, pack: str = WATER) -> Path:
    """Build the course of every kind of resource, with two parts, onto a stick; return the pack's folder."""
    source = folder / f"water-{pack}-{version}"
    write_course(source, version=version, pack=pack, film_bytes=3_000_000, more_resources=PARTS)
    return builder.build(source, stick, PUBLISHER).folder


def hold_only(pack: Path, *parts: str) -> None:
    """Have a pack on a stick hold only these parts of it."""
    (pack / layout.SELECTION_NAME).write_bytes(serialise_selection(Selection(frozenset(parts))))


async def load(box: Box, folder: Path, parts: list[str] | None = None) -> None:
    """Copy a pack to the box and wait until it is there."""
    async for _ in box.loading.watch(await box.loading.start(folder, parts)):
        pass


async def fill_box(box: Box, folder: Path) -> None:
    """Put packs on the box: one without its films, a translation that lies over it, a withdrawn one, one made here."""
    await box.loading.trust(keyfile.format_public(PUBLISHER.verify_key, "Example Press").encode())
    stick = folder / "pocket"
    await load(box, await asyncio.to_thread(build_water, folder, stick), ["arabic"])
    overlay = await asyncio.to_thread(write_overlay, folder / "overlay")
    await load(box, (await asyncio.to_thread(builder.build, overlay, stick, PUBLISHER)).folder)
    pack = await asyncio.to_thread(box.local_packs.new_id, "Kettle")
    made = await box.local_packs.add_pack(
        lambda place: build_small(place / "out", SigningKey.generate(), pack=pack, title="The kettle of our school")
    )
    async for _ in box.loading.watch(made):
        pass


async def fill_sticks(box: Box, media: Path, folder: Path) -> None:
    """Put in a stick with packs of all sorts, one with a list that withdraws a pack, and one for the next school."""
    await asyncio.to_thread(_fill_hill, media / "HILL", folder)
    depot = await asyncio.to_thread(_publish, media / "LISTED", folder)
    await box.loading.trust(depot.root)
    (media / "NEXT" / "edgebox").mkdir(parents=True)
    await box.loading.sticks.look(afresh=True)


def _fill_hill(stick: Path, folder: Path) -> None:
    build_small(stick, PUBLISHER, pack="org.example.a", title=LONG_TITLE)
    build_water(folder, stick, version=2)
    hold_only(build_water(folder, stick, pack="org.example.rivers"), "arabic")
    build_small(stick, STRANGER, pack="org.example.strange", title="From nobody here knows")
    damaged = build_small(stick, PUBLISHER, pack="org.example.damaged", title="Damaged")
    (damaged / layout.MANIFEST_NAME).write_bytes((damaged / layout.MANIFEST_NAME).read_bytes()[:-90])


def _publish(stick: Path, folder: Path) -> PlayDepot:
    depot = PlayDepot(stick, folder / "work")
    depot.publish()
    depot.publish(pack="org.example.withdrawn", more="w")
    depot.change(lambda one: publishing.withdraw(one, "org.example.withdrawn", 1, depot.keys))
    return depot


async def damage(box: Box, pack: str, resource: str) -> None:
    """Flip a bit of what a resource on the box shows in each language."""
    for path in (await box.library.resource(pack, resource)).paths.values():
        await asyncio.to_thread(_flip, await box.library.blob_path(pack, path))


def _flip(blob: Path) -> None:
    content = bytearray(blob.read_bytes())
    content[3] ^= 1
    blob.write_bytes(content)


async def fill_catalogue(box: Box, folder: Path, count: int) -> None:
    """Load so many packs that lists of them have several pages."""
    stick = folder / "many"
    for no in range(count):
        await load(box, await asyncio.to_thread(_build_one, stick, no))
    await asyncio.to_thread(shutil.rmtree, stick)


def _build_one(stick: Path, no: int) -> Path:
    return build_small(stick, PUBLISHER, pack=f"org.example.m{no}", title=f"Numbers, book {no}", more=str(no))
