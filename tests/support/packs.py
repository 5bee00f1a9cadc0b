"""A manifest in memory, and short words for installing in tests."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from content_packs import installer
from content_packs.base.hashing import blake2b_256
from content_packs.builder import BuildResult
from content_packs.format.manifest import FileEntry, Lesson, Manifest, Resource
from content_packs.installer import DiskSpace, Installer
from tests.support.course import TRUSTED

GB = 1_000_000_000
HASH = blake2b_256(b"x")


def small_manifest(**changes: Any) -> Manifest:
    manifest = Manifest(
        pack="org.example.small",
        version=3,
        title={"en": "Small"},
        description={},
        languages=("en",),
        license="CC0-1.0",
        files=(FileEntry("a.html", 1, HASH, "text/html"), FileEntry("b.png", 2, blake2b_256(b"yy"), "image/png")),
        lessons=(Lesson("one", {"en": "One"}, {}, ("read",)),),
        resources=(Resource("read", "text", {"en": "Read"}, {}, {"en": "a.html"}, files=("b.png",)),),
    )
    return replace(manifest, **changes)


def installer_of(result: BuildResult, data: Path) -> Installer:
    return Installer(result.folder, data, TRUSTED, measure=lambda _: DiskSpace(100 * GB, 200 * GB))


def visible(data: Path) -> list[tuple[str, int]]:
    return [(pack.manifest.pack, pack.manifest.version) for pack in installer.installed(data)]
