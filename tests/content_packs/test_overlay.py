"""Overlays: built of what they add alone, and merged over a pack by who signed them and by priority."""

from pathlib import Path

import pytest

from content_packs import builder
from content_packs.format.errors import OverlayScript, SourceInvalid
from content_packs.format.manifest import Overlay
from tests.support.course import PUBLISHER
from tests.support.overlay import OVERLAY, write_overlay


def test_overlay_is_built_of_what_it_adds_alone(tmp_path: Path) -> None:
    manifest = builder.build(write_overlay(tmp_path / "a"), tmp_path / "b", PUBLISHER).manifest
    assert manifest.overlay == Overlay("org.example.water", 1, 3, 10, {"fr": "L'eau"}, {})
    assert manifest.features == ("overlay",)
    assert [lesson.resource_ids for lesson in manifest.lessons] == [()]
    read, film = manifest.resources
    assert (read.paths, film.paths, film.title) == ({"fr": "read.fr.html"}, {}, {})
    assert film.text == {"fr": "L'eau bout."}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('of = "org.example.water"', 'of = "Water"'),
        ("versions = [1, 3]", "versions = [3, 1]"),
        ("versions = [1, 3]", ""),
        ("priority = 10", "priority = 1001"),
        ("priority = 10", "weight = 10"),
    ],
)
def test_overlay_an_author_has_to_correct_is_refused(tmp_path: Path, before: str, after: str) -> None:
    with pytest.raises(SourceInvalid) as caught:
        builder.build(write_overlay(tmp_path / "a", OVERLAY.replace(before, after)), tmp_path / "b", PUBLISHER)
    assert "overlay" in caught.value.fields["where"]


def test_overlay_with_a_script_is_refused_when_it_is_built(tmp_path: Path) -> None:
    text = OVERLAY.replace('path.fr = "read.fr.md"', 'path.fr = "read.fr.md"\nfiles = ["run.js"]')
    source = write_overlay(tmp_path / "a", text)
    (source / "run.js").write_bytes(b"1")
    with pytest.raises(OverlayScript):
        builder.build(source, tmp_path / "b", PUBLISHER)
