"""Building: the same course gives the same bytes, and what an author got wrong is named before anything is written."""

import contextlib
import json
import os
import shutil
from pathlib import Path

import pytest

from content_packs import builder, installer
from content_packs.base.errors import EdgeboxError
from content_packs.builder.media import check_beginning
from content_packs.format.errors import FileTooLarge, PackNotFound, PathRefused, SourceInvalid
from content_packs.format.fragment import clean_fragment
from content_packs.installer import verify
from tests.support.course import PACK, PUBLISHER, STRANGER, TRUSTED, build_course, tree_bytes, write_course
from tests.support.power_cut import CuttableDisk, PowerCut

SAMPLE = Path(builder.__file__).parents[1] / "samples" / "fractions"


def built_file(tmp_path: Path, path: str, **course: object) -> bytes:
    source = write_course(tmp_path / "source", **course)  # type: ignore[arg-type]
    result = builder.build(source, tmp_path / "stick", PUBLISHER)
    entry = next(entry for entry in result.manifest.files if entry.path == path)
    return tree_bytes(result.folder)[f"blobs/{entry.hash.hex()[:2]}/{entry.hash.hex()}"]


def refusal(tmp_path: Path, **course: object) -> dict[str, str]:
    source = write_course(tmp_path / "source", **course)  # type: ignore[arg-type]
    with pytest.raises((SourceInvalid, PathRefused, FileTooLarge)) as caught:
        builder.build(source, tmp_path / "stick", PUBLISHER)
    assert not (tmp_path / "stick").exists()
    return dict(caught.value.fields)


def copy_backwards(source: Path, target: Path) -> None:
    """Copy so that the directory lists its entries in another order, with other times."""
    for name in sorted(tree_bytes(source), reverse=True):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
        os.utime(target / name, (86_400, 86_400))


def test_same_course_gives_the_same_bytes_whatever_order_and_times(tmp_path: Path) -> None:
    source = write_course(tmp_path / "one")
    copy_backwards(source, tmp_path / "two")
    builder.build(source, tmp_path / "a", PUBLISHER)
    builder.build(tmp_path / "two", tmp_path / "b", PUBLISHER)
    assert tree_bytes(tmp_path / "a") == tree_bytes(tmp_path / "b")


def test_building_again_changes_nothing_and_leaves_nothing_over(tmp_path: Path) -> None:
    first = build_course(tmp_path)
    before = tree_bytes(tmp_path / "stick")
    (first.folder / "blobs" / "stale").mkdir()
    (first.folder / "blobs" / "stale" / "x.part").write_bytes(b"x")
    build_course(tmp_path)
    assert tree_bytes(tmp_path / "stick") == before
    assert not (first.folder / "blobs" / "stale").exists()


def test_damaged_file_of_an_earlier_build_is_written_again(tmp_path: Path) -> None:
    result = build_course(tmp_path)
    victim = next((result.folder / "blobs").rglob("*/*"))
    victim.write_bytes(bytes(victim.stat().st_size))
    build_course(tmp_path)
    assert verify(result.folder, TRUSTED).is_good


def test_built_pack_verifies_and_has_every_file(tmp_path: Path) -> None:
    result = build_course(tmp_path)
    assert result.folder == tmp_path / "stick" / "edgebox" / "packs" / PACK / "1"
    assert verify(result.folder, TRUSTED).is_good
    assert {entry.path for entry in result.manifest.files} >= {
        "states/read.en.html",
        "states/quiz.json",
        "kettle/app.js",
        "states/drop.svg",
        "sheet.pdf",
    }
    assert not any(entry.path.endswith((".md", ".toml")) for entry in result.manifest.files)


def test_other_key_changes_the_manifest_only(tmp_path: Path) -> None:
    source = write_course(tmp_path / "source")
    builder.build(source, tmp_path / "a", PUBLISHER)
    builder.build(source, tmp_path / "b", STRANGER)
    a, b = tree_bytes(tmp_path / "a"), tree_bytes(tmp_path / "b")
    assert [name for name in a if a[name] != b[name]] == [f"edgebox/packs/{PACK}/1/manifest.ebm"]


def test_release_day_is_taken_from_the_author_never_from_the_clock(tmp_path: Path) -> None:
    assert build_course(tmp_path).manifest.released_ms is None
    source = write_course(tmp_path / "dated", more_top="released = 2026-11-01\n")
    assert builder.build(source, tmp_path / "b", PUBLISHER).manifest.released_ms == 1_793_491_200_000


def test_markdown_becomes_a_fragment_with_relative_pictures(tmp_path: Path) -> None:
    html = built_file(tmp_path, "states/read.en.html").decode()
    assert "<h1>Ice</h1>" in html
    assert '<img src="drop.svg" alt="A drop"' in html
    assert '<td align="right">2</td>' in html
    assert clean_fragment(html) == html


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        '[x](<http://a" onclick=alert(1)>)',
        "<iframe src='http://a'></iframe>",
        "<style>*{}</style>",
        "`<svg/onload=alert(1)>`",
    ],
)
def test_markup_inside_markdown_is_shown_not_run(tmp_path: Path, hostile: str) -> None:
    html = built_file(tmp_path, "states/read.en.html", files={"states/read.en.md": hostile.encode()}).decode()
    assert not any(mark in html.lower() for mark in ("<script", "<img", "<iframe", "<style", "<svg", " onclick="))


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:image/png;base64,AAAA", "http://a/x.png", "//a/x.png", "/x.png"]
)
def test_picture_from_outside_the_course_is_refused_or_dropped(address: str, tmp_path: Path) -> None:
    assert "src" not in clean_fragment(f'<img src="{address}" alt="x">')
    if not address.startswith("javascript"):
        fields = refusal(tmp_path, files={"states/read.en.md": f"\n\n![x]({address})".encode()})
        assert fields["file"] == "states/read.en.md"


def test_picture_of_a_text_comes_along_without_being_listed(tmp_path: Path) -> None:
    result = build_course(tmp_path)
    read = next(resource for resource in result.manifest.resources if resource.id == "states-read")
    assert read.files == ("states/drop.svg",)


def test_quiz_becomes_canonical_json(tmp_path: Path) -> None:
    data = built_file(tmp_path, "states/quiz.json")
    quiz = json.loads(data)
    assert data == json.dumps(quiz, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    assert quiz["item"][0]["option"][1]["text"] == {"und": "H2O2"}
    assert quiz["item"][0]["image"] == "drop.svg"
    assert quiz["item"][1] == {"id": "q2", "type": "number", "prompt": {"und": "2 + 2 = ?"}, "answer": 4}


def test_words_of_texts_captions_and_quizzes_can_be_searched(tmp_path: Path) -> None:
    text = {resource.id: resource.text for resource in build_course(tmp_path).manifest.resources}
    assert text["states-read"]["en"].startswith("Ice\nWater can be hard.\nA drop\na\nb\n1\n2")
    assert "صلبًا" in text["states-read"]["ar"]
    assert text["states-film"]["en"] == "Water boils.\nSteam!"
    assert "Solid water" in text["states-quiz"]["en"]
    assert "ماء صلب" in text["states-quiz"]["ar"]


def test_search_text_ends_at_64_kb_on_a_character(tmp_path: Path) -> None:
    source = write_course(tmp_path / "s", files={"states/read.ar.md": ("ك" * 40_000).encode()})
    resources = builder.build(source, tmp_path / "b", PUBLISHER).manifest.resources
    assert next(one for one in resources if one.id == "states-read").text["ar"] == "ك" * 32_768


READ, QUIZ, PAGE, CAPTIONS = "states/read.ar.md", "states/quiz.toml", "kettle/index.html", "states/film.en.vtt"
NUMBER = "[[item]]\nid='q'\ntype='number'\n"
CHOICE = "[[item]]\nid='q'\ntype='choice'\nprompt='?'\n[[item.option]]\nid='a'\ntext='x'\n"
OPTION = "[[item.option]]\nid='b'\ntext='y'\n"

# What the author wrote instead: file, content; then the file that is named and a part of the reason.
MISTAKES = {
    "not toml": ("pack.toml", "id = ", "pack.toml", "TOML"),
    "no id": ("pack.toml", "version = 1\ninLanguage = ['en']", "pack.toml", "missing"),
    "missing file": (
        QUIZ,
        NUMBER + "prompt='?'\nanswer=1\nimage='no.svg'\nimage_alt='x'",
        "states/no.svg",
        "no such file",
    ),
    "capital letters": (READ, "![x](Drop.svg)", "states/Drop.svg", "capital letters"),
    "picture outside": (READ, "![x](../../x.svg)", "../../x.svg", "outside"),
    "not utf-8": (READ, b"\xff\xfe", READ, "UTF-8"),
    "not utf-8 script": ("kettle/app.js", b"\xff\xfe", "kettle/app.js", "UTF-8"),
    "renamed document": ("sheet.pdf", b"PK\x03\x04 a document", "sheet.pdf", "ending"),
    "unknown kind of file": ("kettle/tool.exe", b"MZ", "kettle/tool.exe", "cannot show"),
    "inline script": (PAGE, "<script>alert(1)</script>", PAGE, ".js"),
    "inline handler": (PAGE, "\n<p onclick='x()'>", PAGE, ".js"),
    "inline style": (PAGE, "<p style='x'>", PAGE, ".css"),
    "script from the web": (PAGE, "<script src='https://a/b.js'></script>", PAGE, "not in the pack"),
    "script that is not there": (PAGE, "<script src='b.js'></script>", "kettle/b.js", "no such file"),
    "captions of another kind": (CAPTIONS, "1\n00:00:01,000 --> 00:00:02,000\nHi", CAPTIONS, "WEBVTT"),
    "captions without times": (CAPTIONS, "WEBVTT\n\nHi there", CAPTIONS, "time"),
    "no correct option": (QUIZ, CHOICE + OPTION, QUIZ, "exactly one"),
    "all options correct": (QUIZ, CHOICE + "correct=true\n" + OPTION + "correct=true", QUIZ, "exactly one"),
    "none of several": (QUIZ, CHOICE.replace("choice", "multiple") + OPTION, QUIZ, "at least one option"),
    "one option": (QUIZ, CHOICE, QUIZ, "two options"),
    "option twice": (QUIZ, CHOICE + OPTION * 2, QUIZ, "twice"),
    "question twice": (QUIZ, (NUMBER + "prompt='?'\nanswer=1\n") * 2, QUIZ, "twice"),
    "answer no number": (QUIZ, NUMBER + "prompt='?'\nanswer=nan", QUIZ, "number"),
    "answer yes": (QUIZ, NUMBER + "prompt='?'\nanswer=true", QUIZ, "number"),
    "language forgotten": (QUIZ, NUMBER + "prompt.en='?'\nanswer=1", QUIZ, "missing"),
    "slip of the pen": (QUIZ, NUMBER + "promt='?'\nprompt='?'\nanswer=1", QUIZ, "not known"),
    "empty quiz": (QUIZ, "", QUIZ, "at least one question"),
    "text too large": (READ, "x" * (1024 * 1024 + 1), READ, ""),
    "case twins": ("kettle/APP.js", "1", "kettle/app.js", "capital letters"),
    "reserved name": ("kettle/con.js", "1", "kettle/con.js", "device"),
}


def test_a_picture_may_be_called_like_another_kind_of_picture(tmp_path: Path) -> None:
    place = tmp_path / "rain.jpg"
    place.write_bytes(b"\x89PNG\r\n\x1a\n")
    check_beginning(place, "rain.jpg", "image/jpeg", wanted_by="x")
    place.write_bytes(b"%PDF-1.7")
    with pytest.raises(SourceInvalid):
        check_beginning(place, "rain.jpg", "image/jpeg", wanted_by="x")


@pytest.mark.parametrize(("written", "content", "named", "reason"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_is_named_with_its_file_and_nothing_is_written(
    tmp_path: Path, written: str, content: str | bytes, named: str, reason: str
) -> None:
    fields = refusal(tmp_path, files={written: content.encode() if isinstance(content, str) else content})
    assert fields["file"] == named
    assert reason in fields.get("reason", "")


SHEET = "[[lesson.resource]]\nid='x'\nkind='pdf'\n"
TITLED = SHEET + "title='x'\n"
WHOLE = TITLED + "path='sheet.pdf'\n"


@pytest.mark.parametrize(
    ("more", "where", "reason"),
    [
        (WHOLE.replace("pdf'", "game'", 1), "lesson trying resource x kind", "possible"),
        (WHOLE.replace("'x'", "'X'", 1), "lesson trying resource X id", "letters"),
        (SHEET + "path='sheet.pdf'", "lesson trying resource x title", "missing"),
        (SHEET + "title={}\npath='sheet.pdf'", "lesson trying resource x title", "missing"),
        (SHEET + "title=7\npath='sheet.pdf'", "lesson trying resource x title", "text"),
        (TITLED, "lesson trying resource x path", "missing"),
        (TITLED + "path='rain.mp3'", "lesson trying resource x", "stand here"),
        (TITLED + "path.fr='sheet.pdf'", "lesson trying resource x path.fr", "inLanguage"),
        (SHEET + "title.fr='x'\npath='sheet.pdf'", "lesson trying resource x title.fr", "inLanguage"),
        (WHOLE + "captions.en='states/film.en.vtt'", "lesson trying resource x captions", "captions"),
        (WHOLE + "timeRequired='1h'", "lesson trying resource x timeRequired", "duration"),
        (WHOLE + "files=['nothing/*']", "lesson trying resource x", "no file"),
        (WHOLE + "files='rain.mp3'", "lesson trying resource x files", "list"),
        (WHOLE.replace("'x'", "'sheet'", 1), "lesson trying resource sheet", "twice"),
        ("[[lesson]]\nid='trying'\ntitle='x'", "lesson trying lesson trying", "twice"),
        ("[[lesson]]\nid='z'\ntitle='x'\nthumbnail='sheet.pdf'", "lesson z", "stand here"),
    ],
)
def test_mistake_in_the_table_of_a_resource_is_placed(tmp_path: Path, more: str, where: str, reason: str) -> None:
    fields = refusal(tmp_path, more_resources=more)
    assert fields["where"] == where
    assert reason in fields["reason"]


@pytest.mark.parametrize("top", ["released = 'soon'\n", "released = 2026-11-01T10:00:00Z\n", "edition = 2\n"])
def test_mistake_at_the_top_is_named(tmp_path: Path, top: str) -> None:
    assert refusal(tmp_path, more_top=top)["where"] == top.split()[0]


def test_link_in_the_source_is_not_followed(tmp_path: Path) -> None:
    source = write_course(tmp_path / "source")
    (source / "rain.mp3").unlink()
    (tmp_path / "secret.mp3").write_bytes(b"ID3 secret")
    (source / "rain.mp3").symlink_to(tmp_path / "secret.mp3")
    with pytest.raises(SourceInvalid, match="rain"):
        builder.build(source, tmp_path / "stick", PUBLISHER)


def test_hidden_files_and_litter_stay_out(tmp_path: Path) -> None:
    source = write_course(tmp_path / "source", files={"kettle/.DS_Store": b"x", "kettle/Thumbs.db": b"x"})
    paths = {entry.path for entry in builder.build(source, tmp_path / "b", PUBLISHER).manifest.files}
    assert {path for path in paths if path.startswith("kettle/")} == {
        "kettle/index.html",
        "kettle/app.js",
        "kettle/app.css",
    }


def test_accents_stored_in_another_form_are_found_under_the_usual_name(tmp_path: Path) -> None:
    source = write_course(tmp_path / "source", files={"kettle/the\u0301ie\u0300re.svg": b"<svg/>"})
    paths = {entry.path for entry in builder.build(source, tmp_path / "b", PUBLISHER).manifest.files}
    assert "kettle/th\u00e9i\u00e8re.svg" in paths


def test_folder_without_a_course_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SourceInvalid) as caught:
        builder.build(tmp_path, tmp_path / "b", PUBLISHER)
    assert caught.value.fields["file"] == "pack.toml"
    with pytest.raises(PackNotFound):
        builder.build(tmp_path / "gone", tmp_path / "b", PUBLISHER)


@pytest.mark.parametrize("part_bytes", [999, 1000, 3000, 2999])
def test_large_files_are_parted_and_put_together_again(tmp_path: Path, part_bytes: int) -> None:
    source = write_course(tmp_path / "source")
    result = builder.build(source, tmp_path / "b", PUBLISHER, part_bytes=part_bytes)
    film = next(entry for entry in result.manifest.files if entry.path == "states/film.mp4")
    parts = sorted(result.folder.rglob(f"{film.hash.hex()}*"))
    assert len(parts) == -(-3000 // part_bytes)
    assert all(path.stat().st_size <= part_bytes for path in result.folder.rglob("blobs/*/*"))
    assert verify(result.folder, TRUSTED).is_good
    assert builder.build(source, tmp_path / "whole", PUBLISHER).manifest == result.manifest


def test_file_of_too_many_parts_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    source = write_course(tmp_path / "source")
    with pytest.raises(FileTooLarge):
        builder.build(source, tmp_path / "b", PUBLISHER, part_bytes=2)
    assert not (tmp_path / "b").exists()


def test_going_from_parts_to_whole_files_leaves_no_parts(tmp_path: Path) -> None:
    source = write_course(tmp_path / "source")
    result = builder.build(source, tmp_path / "b", PUBLISHER, part_bytes=500)
    builder.build(source, tmp_path / "b", PUBLISHER)
    assert not list(result.folder.rglob("*.000"))
    assert verify(result.folder, TRUSTED).is_good


def test_power_cut_at_any_write_leaves_no_half_pack_that_verifies(tmp_path: Path) -> None:
    source = write_course(tmp_path / "source")
    has_ended, cut_at = False, 0
    while not has_ended:
        cut_at += 1
        for lose in (False, True):
            out = tmp_path / f"{cut_at}-{lose}"
            out.mkdir()
            with pytest.MonkeyPatch.context() as patch:
                disk = CuttableDisk(out, patch, cut_at)
                with contextlib.suppress(PowerCut):
                    builder.build(source, out, PUBLISHER)
                    has_ended = True
                disk.settle(lose_contents=lose, lose_names=lose)
            manifests = list(out.rglob("manifest.ebm"))
            assert manifests or not has_ended
            assert all(verify(manifest.parent, TRUSTED).is_good for manifest in manifests)
            assert verify(builder.build(source, out, PUBLISHER).folder, TRUSTED).is_good
            shutil.rmtree(out)
    assert cut_at > 50


def test_key_is_private_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "publisher.key"
    key = builder.create_key(path, "Test school")
    assert builder.read_key(path).seed == key.seed
    assert path.stat().st_mode & 0o077 == 0
    assert installer.publishers(path.parent)[key.verify_key.key_id].name == "Test school"
    with pytest.raises(SourceInvalid):
        builder.create_key(path, "Test school")
    with pytest.raises(PackNotFound):
        builder.read_key(tmp_path / "none.key")


def test_public_key_is_no_secret_key(tmp_path: Path) -> None:
    path = tmp_path / "publisher.key"
    builder.create_key(path, "Test school")
    with pytest.raises(SourceInvalid):
        builder.read_key(builder.public_path(path))


def test_sample_course_builds_the_same_twice_and_verifies(tmp_path: Path) -> None:
    copy_backwards(SAMPLE, tmp_path / "copy")
    first = builder.build(SAMPLE, tmp_path / "a", PUBLISHER)
    builder.build(tmp_path / "copy", tmp_path / "b", PUBLISHER)
    assert tree_bytes(tmp_path / "a") == tree_bytes(tmp_path / "b")
    report = verify(first.folder, TRUSTED)
    assert report.is_good
    assert {resource.kind for resource in report.manifest.resources} == {"text", "video", "app", "pdf", "quiz"}
    assert set(report.manifest.languages) == {"en", "ar"}


def test_every_refusal_has_a_sentence_that_its_fields_fill(tmp_path: Path) -> None:
    source = write_course(tmp_path / "source", files={"rain.mp3": b"no sound"})
    with pytest.raises(EdgeboxError) as caught:
        builder.build(source, tmp_path / "b", PUBLISHER)
    sentence = caught.value.sentence.format(**caught.value.fields)
    assert (
        sentence
        == "rain.mp3, lesson trying resource sound: the content of the file is not what the ending of its name says."
    )
