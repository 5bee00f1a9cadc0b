"""cmi5 packages and bare course structures: what is read of them, and why others are refused (cmi5 13, 14)."""

import io
import re
from pathlib import Path

import pytest

from content_packs.base.errors import EdgeboxError
from content_packs.base.signing import SigningKey
from content_packs.builder import build
from content_packs.format import cmi5
from content_packs.format.cmi5 import Block, CourseMalformed, LaunchMethod, MoveOn, read_course, write_course
from content_packs.importers.cmi5 import Cmi5
from content_packs.importers.contract import Source
from content_packs.importers.importing import Wishes, imported
from tests.support.cmi5 import PUBLISHER, block, package, structure, titles, unit
from tests.support.raw_zip import Raw

OBJECTIVES = (
    f'<objectives><objective id="{PUBLISHER}/o">{titles("o")}</objective></objectives>',
    f'<objectives><objective idref="{PUBLISHER}/o"/></objectives>',
)
BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
ALONE = "https://example.org/start.html"
# What the samples say by their names, and what is said to whoever brings them.
REFUSED = {
    "201-1-iris-course-id.xml": "course.id_not_iri",
    "201-3-iris-au-id.xml": "course.id_not_iri",
    "202-1-relative-url-no-zip.xml": "course.url_relative",
    "202-3-relative-url-no-zip.xml": "course.url_relative",
    "205-1-duplicated-block.xml": "course.id_twice",
    "207-1-invalid-courseStructure.xml": "course.structure_invalid",
    "209-1-not-a-zip.zip": "import.unsupported",
}
VALID = "101-one-thousand-aus.xml"


def course_of(content: bytes) -> cmi5.Course:
    source, importer = Source(io.BytesIO(content)), Cmi5()
    (item,) = [one for one in importer.items(source) if one.path == "cmi5/course.json"]
    return read_course(b"".join(importer.open(source, item)))


def refusal(content: bytes) -> str:
    with pytest.raises(EdgeboxError) as caught:
        Cmi5().course(Source(io.BytesIO(content)))
    return caught.value.code


def test_every_sample_structure_is_taken_or_refused_with_its_reason(samples: Path, tmp_path: Path) -> None:
    found = {}
    for path in sorted((samples / "cmi5" / "structure").iterdir()):
        if path.name == VALID:
            continue
        with pytest.raises(EdgeboxError) as caught, imported(path, tmp_path / "import", Wishes()):
            pass
        found[path.name] = caught.value.code
        assert not [left for left in (tmp_path / "import").rglob("*") if left.is_file()]
    assert found == REFUSED


def test_a_thousand_units_become_a_thousand_resources(samples: Path, tmp_path: Path) -> None:
    path = samples / "cmi5" / "structure" / VALID
    with imported(path, tmp_path / "import", Wishes()) as course:
        manifest = build(course.source, tmp_path / "out", SigningKey.generate()).manifest
    assert all(re.fullmatch("cmi5-[0-9a-f]{16}", resource.id) for resource in manifest.resources)
    assert {resource.kind for resource in manifest.resources} == {"cmi5"}
    assert len(manifest.resources) == 1_001  # by the count of its units, whatever its name says


def test_a_course_keeps_all_that_its_structure_says() -> None:
    inner = "<launchParameters>\n a=1 \n</launchParameters><entitlementKey> k </entitlementKey>"
    whole = unit(
        "one", " index.html?x=1 ", inner, moveOn="Passed", masteryScore="0.75", launchMethod="OwnWindow",
        activityType="http://adlnet.gov/expapi/activities/media",
    )  # fmt: skip
    nested = block("outer", unit("two"), block("inner", unit("three"))).replace("<au", OBJECTIVES[1] + "<au", 1)
    course = course_of(package(structure(whole, nested, objectives=OBJECTIVES[0])))
    first = course.units[0]
    assert (first.url, first.move_on, first.mastery_score) == ("index.html?x=1", MoveOn.PASSED, 0.75)
    assert (first.launch_method, first.launch_parameters, first.entitlement_key) == (
        LaunchMethod.OWN_WINDOW,
        "a=1",
        "k",
    )
    assert first.activity_type == "http://adlnet.gov/expapi/activities/media"
    assert first.about.title == {"en": "one", "fr": "one fr"}
    assert (course.units[1].move_on, course.units[1].launch_method) == (MoveOn.NOT_APPLICABLE, LaunchMethod.ANY_WINDOW)
    number, outer = course.children
    assert number == 1
    assert isinstance(outer, Block)
    assert (outer.objectives, outer.about.id) == ((f"{PUBLISHER}/o",), f"{PUBLISHER}/outer")
    assert outer.children[0] == 2
    assert isinstance(outer.children[1], Block)
    assert outer.children[1].children == (3,)
    assert [objective.id for objective in course.objectives] == [f"{PUBLISHER}/o"]
    assert read_course(write_course(course)) == course


def test_elements_of_others_are_passed_over() -> None:
    more = f'<x:more xmlns:x="urn:x"><x:url/><au xmlns="{PUBLISHER}"/></x:more>'
    changed = structure(unit("one", ALONE, more)).replace(b"<au ", b'<au xmlns:x="urn:x" x:colour="red" ')
    assert len(course_of(changed).units) == 1


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (structure(unit("one", ALONE), course="rocks"), "course.id_not_iri"),
        (structure(block("b", unit("b", ALONE))), "course.id_twice"),
        (structure(unit("one", ALONE), unit("one", ALONE)), "course.id_twice"),
        (structure(unit("one", ALONE), objectives=OBJECTIVES[0].replace(f"{PUBLISHER}/o", "o")), "course.id_not_iri"),
        (structure(unit("one", "a/b.html")), "course.url_relative"),
        (structure(unit("one", "/b.html")), "course.url_relative"),
        (package(structure(unit("one", "gone.html"))), "course.url_missing"),
        (package(structure(unit("one", "../index.html"))), "course.url_missing"),
        (package(structure(unit("one", "/index.html"))), "course.url_invalid"),
        (structure(unit("one", "javascript://x/%0aalert(1)")), "course.url_invalid"),
        (structure(unit("one", "https://example.org:port/")), "course.url_invalid"),
        (structure(unit("one", "https://exam ple.org/")), "course.url_invalid"),
        (structure(unit("one", f"{ALONE}?fetch=x")), "course.url_parameter"),
        (structure(unit("one", ALONE, moveOn="Sometimes")), "course.value_unknown"),
        (structure(unit("one", ALONE, launchMethod="NoWindow")), "course.value_unknown"),
        (structure(unit("one", ALONE, activityType="not an iri")), "course.value_unknown"),
        (structure(unit("one", ALONE, masteryScore="1.01")), "course.score_invalid"),
        (structure(unit("one", ALONE, masteryScore="-0.1")), "course.score_invalid"),
        (structure(unit("one", ALONE, masteryScore="NaN")), "course.score_invalid"),
        (structure(unit("one", ALONE, masteryScore="9" * 400)), "course.score_invalid"),
        (structure(unit("one", ALONE, colour="red")), "course.structure_invalid"),
        (structure(unit("one", ALONE, "<more/>")), "course.structure_invalid"),
        (structure(unit("one", " ")), "course.structure_invalid"),
        (structure(), "course.structure_invalid"),
        (structure(block("b")), "course.structure_invalid"),
        (structure(unit("one", ALONE)).replace(b'lang="fr"', b'lang="?"'), "course.structure_invalid"),
        (structure(*["<block>"] * 60, *["</block>"] * 60), "course.id_not_iri"),
        (structure(unit("one", ALONE), before=BOMB), "archive.xml_refused"),
        (structure(unit("one", ALONE), before=OUTSIDE), "archive.xml_refused"),
        (structure(unit("one", ALONE))[:-9], "archive.xml_refused"),
        (package(b"<courseStructure/>"), "course.structure_invalid"),
        (package(structure(unit("one", ALONE)), Raw("cmi5/x.js", b"1")), "course.structure_invalid"),
        (structure(*[block(f"b{no}", unit(f"u{no}", ALONE)) for no in range(501)]), "course.structure_invalid"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_own_reason(content: bytes, code: str) -> None:
    assert refusal(content) == code


def test_the_scheme_of_an_address_may_be_written_large() -> None:
    course = course_of(structure(unit("one", "HTTPS://example.org/")))
    assert read_course(write_course(course)) == course


def test_blocks_may_not_lie_in_one_another_without_end() -> None:
    nested = unit("one", ALONE)
    for number in range(45):
        nested = block(f"b{number}", nested)
    assert refusal(structure(nested)) == "course.structure_invalid"


def test_two_courses_with_one_title_are_two_packs(tmp_path: Path) -> None:
    packs = []
    for course in (PUBLISHER, f"{PUBLISHER}/other"):
        path = tmp_path / "course.xml"
        path.write_bytes(structure(unit("one", ALONE), course=course))
        with imported(path, tmp_path / "import", Wishes()) as made:
            packs.append(made.pack)
    assert len(set(packs)) == 2


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"format":2}', b'{"format":1}', b"[" * 100_000, b'{"format":1,"units":[{}]}']
)
def test_a_course_file_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(CourseMalformed):
        read_course(content)
    with pytest.raises(CourseMalformed):
        cmi5.read_pointer(content)
