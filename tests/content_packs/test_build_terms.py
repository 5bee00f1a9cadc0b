"""What an author says of a course beside its lessons: for whom it is, what it counts for, which qualities it has."""

from pathlib import Path

import pytest

from content_packs import builder
from content_packs.format.errors import SourceInvalid
from content_packs.format.manifest import Accessibility, Credits, Prerequisite, Variant
from tests.support.course import PUBLISHER, write_course

TERMS = """
accessMode = ["visual", "textual"]
accessibilityFeature = ["captions"]
accessibilityHazard = ["noFlashingHazard"]
educationalRole = ["student"]
typicalAgeRange = "8-10"
numberOfCredits = { value = 2.5, unitText = "hours" }
coursePrerequisites = [{ title = "Counting" }, { title.ar = "حرارة", pack = "org.example.heat" }]
"""


def test_terms_of_accessibility_age_credits_and_prerequisites_are_taken_over(tmp_path: Path) -> None:
    source = write_course(tmp_path / "a", more_top=TERMS)
    manifest = builder.build(source, tmp_path / "b", PUBLISHER).manifest
    assert manifest.accessibility == Accessibility(("visual", "textual"), ("captions",), ("noFlashingHazard",))
    assert (manifest.educational_roles, manifest.age_range) == (("student",), "8-10")
    assert manifest.credits == Credits("2.5", "hours")
    assert manifest.prerequisites == (
        Prerequisite({"en": "Counting"}),
        Prerequisite({"ar": "حرارة"}, "org.example.heat"),
    )


@pytest.mark.parametrize(
    "line",
    [
        'accessMode = ["seeing"]',
        'accessMode = ["visual", "visual"]',
        'accessibilityHazard = ["danger"]',
        'accessibilityFeature = ["large print"]',
        'typicalAgeRange = "10-8"',
        'numberOfCredits = { value = 0, unitText = "hours" }',
        "numberOfCredits = { value = 1 }",
        "numberOfCredits = 1",
        'coursePrerequisites = ["Counting"]',
        'coursePrerequisites = [{ pack = "org.example.heat" }]',
        'coursePrerequisites = [{ title = "Heat", pack = "Heat!" }]',
    ],
)
def test_term_that_is_none_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(SourceInvalid) as caught:
        builder.build(write_course(tmp_path / "a", more_top=line + "\n"), tmp_path / "b", PUBLISHER)
    assert caught.value.fields["where"].startswith(line.split(" ")[0])


MORE = """
[[lesson.resource]]
id = "second-film"
kind = "video"
title = "Again"
path = "states/film.mp4"
accessMode = ["visual"]
educationalLevel = "Primary 6"
inLanguage = ["en"]
[[lesson.resource.variant]]
quality = "360p"
path = "states/film.360p.mp4"

[[lesson.resource]]
id = "aloud"
kind = "image"
title = "Aloud"
path = "states/drop.svg"
narration.en = "rain.mp3"
"""
SMALL_FILM = {"states/film.360p.mp4": b"\0\0\0\x18ftypisom small"}


def test_qualities_narration_and_terms_of_a_resource_are_taken_over(tmp_path: Path) -> None:
    source = write_course(tmp_path / "a", more_resources=MORE, files=SMALL_FILM)
    resources = {one.id: one for one in builder.build(source, tmp_path / "b", PUBLISHER).manifest.resources}
    film = resources["second-film"]
    assert film.variants == (Variant("360p", {"und": "states/film.360p.mp4"}),)
    assert film.files == ()
    assert (film.accessibility.modes, film.educational_level, film.languages) == (("visual",), "Primary 6", ("en",))
    assert resources["aloud"].narration == {"en": "rain.mp3"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('quality = "360p"', 'quality = "very good"'),
        ('quality = "360p"', ""),
        ('path = "states/film.360p.mp4"', ""),
        ('path = "states/film.360p.mp4"', 'path = "sheet.pdf"'),
        ('narration.en = "rain.mp3"', 'narration = "rain.mp3"'),
        ('narration.en = "rain.mp3"', 'narration.en = "sheet.pdf"'),
        ('accessMode = ["visual"]\n', 'narration.en = "rain.mp3"\n'),
    ],
)
def test_quality_or_narration_that_cannot_be_shown_is_refused(tmp_path: Path, before: str, after: str) -> None:
    source = write_course(tmp_path / "a", more_resources=MORE.replace(before, after), files=SMALL_FILM)
    with pytest.raises(SourceInvalid):
        builder.build(source, tmp_path / "b", PUBLISHER)
