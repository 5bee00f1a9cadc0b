"""From a file to a pack: what is taken from the file, who may say what, and what is left of it afterwards."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from content_packs.base.errors import EdgeboxError
from content_packs.builder import build
from content_packs.format.envelope import open_envelope
from content_packs.importers import staging
from content_packs.importers.errors import ImportFailed, ImportUnsupported
from content_packs.importers.importing import LICENSE_UNKNOWN, Wishes, imported
from content_packs.importers.reading import Receiver
from tests.support.course import PUBLISHER, TRUSTED
from tests.support.power_cut import CuttableDisk, PowerCut
from tests.support.raw_zip import Raw, make_zip
from tests.support.tree import tree_of
from tests.support.web_app import zipped_app

# A child that does not do what it should stands for one that a file has broken into.
LIAR = "import sys; from content_packs.base.codec import encode; out = sys.stdout.buffer\n"
SAY = "say = lambda *v: out.write(len(encode(list(v))).to_bytes(4, 'big') + encode(list(v)))\n"
COURSE = "say('course', 'X', 't', 'en', 'l', '', [], 10)\n"

SLOW = """
import os, sys, time
from content_packs.base.limited import give_up_rights
give_up_rights(memory_max_bytes=2**30, cpu_max_seconds=9)
sys.stdout.buffer.write(os.getpid().to_bytes(4, "big"))
sys.stdout.buffer.flush()
time.sleep(60)
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "Kettle (1).zip"
    path.write_bytes(zipped_app(top="kettle/"))
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "import"


def test_an_app_becomes_a_signed_pack_with_what_its_page_says(app: Path, root: Path, tmp_path: Path) -> None:
    with imported(app, root, Wishes()) as course:
        result = build(course.source, tmp_path / "stick", PUBLISHER)
    manifest, signer = open_envelope((result.folder / "manifest.ebm").read_bytes(), TRUSTED)
    assert signer == PUBLISHER.verify_key.key_id
    assert (manifest.pack, manifest.version) == ("imported.la-bouilloire-c05a0b28", 1)
    assert dict(manifest.title) == {"fr": "La bouilloire"}
    assert (manifest.license, manifest.languages) == ("CC-BY-4.0", ("fr",))
    (resource,) = manifest.resources
    assert (resource.kind, dict(resource.paths)) == ("app", {"und": "files/index.html"})
    assert {"files/js/heat.js", "files/index.inline-1.css"} <= set(resource.files)
    assert [remark.file for remark in course.remarks] == ["index.html", "index.html", "README.md"]
    assert list(root.iterdir()) == []


def test_what_the_person_says_counts_more_than_what_the_file_says(app: Path, root: Path, tmp_path: Path) -> None:
    wishes = Wishes("local.x", str, len, " Der\tKessel ", "de", "CC0", "Primary 3")
    with imported(app, root, wishes) as course:
        manifest = build(course.source, tmp_path / "stick", PUBLISHER).manifest
    assert (manifest.pack, manifest.version, dict(manifest.title)) == ("local.x", 7, {"de": "Der Kessel"})
    assert (manifest.license, manifest.educational_level) == ("CC0", "Primary 3")


def test_an_app_that_says_nothing_has_the_name_of_its_file(root: Path, tmp_path: Path) -> None:
    path = tmp_path / 'درس "1" \\.zip'
    path.write_bytes(make_zip([Raw("index.html", b"<p>x</p>")]))
    with imported(path, root, Wishes()) as course:
        manifest = build(course.source, tmp_path / "stick", PUBLISHER).manifest
    assert dict(manifest.title) == {"und": 'درس "1" \\'}
    assert manifest.license == LICENSE_UNKNOWN
    assert manifest.pack.startswith("imported.1-")


def test_the_same_file_gives_the_same_pack_byte_by_byte(app: Path, root: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        with imported(app, root, Wishes()) as course:
            build(course.source, tmp_path / name, PUBLISHER)
    assert tree_of(tmp_path / "a") == tree_of(tmp_path / "b")


def test_progress_goes_from_nothing_to_all(app: Path, root: Path) -> None:
    seen: list[tuple[int, int]] = []
    with imported(app, root, Wishes(), lambda done, total: seen.append((done, total))):
        pass
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] > 0


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "out.write(b'\\xff' * 100)",
        "out.write((2**31).to_bytes(4, 'big'))",
        "say('course', 1)",
        COURSE,
        COURSE + "say('end')",
        COURSE + "say('file', '../x', 3, 'app', '', ''); say('bytes', b'abc'); say('end')",
        COURSE + "say('file', '/x', 3, 'app', '', ''); say('bytes', b'abc'); say('end')",
        COURSE + "say('file', 'x', 3, 'app', '', ''); say('bytes', b'abcd'); say('end')",
        COURSE + "say('file', 'x', 3, 'app', '', ''); say('bytes', b'ab'); say('end')",
        COURSE + "say('file', 'x', 11, 'app', '', ''); say('bytes', b'abc')",
        COURSE + "say('file', 'x', -1, 'app', '', ''); say('end')",
        COURSE + "say('file', 'x', 1, 'root', '', ''); say('bytes', b'a'); say('end')",
        COURSE + "say('file', 'x', 1, 'app', '', '../x'); say('bytes', b'a'); say('end')",
        COURSE + "say('file', 'x', 1, 'app', '', ''); say('bytes', b''); say('end')",
        COURSE + "say('file', 'x', 1, 'app', '', ''); say('bytes', b'a'); say('end'); say('file', 'y', 1, '', '', '')",
        COURSE + "[(say('file', n, 1, 'app', '', ''), say('bytes', b'a')) for n in 'xX']; say('end')",
        COURSE + "say('file', 'x', 1, 'app', '', ''); say('bytes', b'a'); say('end'); out.flush(); sys.exit(1)",
        "say('error', 'box.busy', {})",
        "say('error', 'archive.link', {'name': ['x']})",
        "say('error', 'nonsense')",
        "say('error', 'archive.too_large', {})",
        "say('error', 'archive.too_large', {'size_bytes': 'many', 'limit_bytes': 1})",
        "say('error', 'archive.link', {})",
    ],
)
def test_a_child_that_was_taken_over_gets_nothing_past_the_checks(app: Path, root: Path, answer: str) -> None:
    before = tree_of(root.parent.parent)
    with pytest.raises(EdgeboxError) as caught, imported(app, root, Wishes(), child=("-c", LIAR + SAY + answer)):
        pass
    assert caught.value.code in {"import.failed", "import.unsupported", "pack.path_refused"}
    assert list(root.iterdir()) == []
    assert {name: content for name, content in tree_of(root.parent.parent).items() if content} == before


def test_a_child_that_takes_too_long_is_killed(app: Path, root: Path) -> None:
    with (
        pytest.raises(ImportFailed),
        imported(app, root, Wishes(), child=("-c", "while True: pass"), child_seconds=0.3),
    ):
        pass
    assert list(root.iterdir()) == []


def test_a_course_without_a_resource_is_none(app: Path, root: Path) -> None:
    answer = COURSE + "say('file', 'x', 1, '', '', ''); say('bytes', b'a'); say('end')"
    with pytest.raises(ImportUnsupported), imported(app, root, Wishes(), child=("-c", LIAR + SAY + answer)):
        pass


def test_a_file_that_reaches_its_limit_says_so(app: Path, root: Path) -> None:
    with pytest.raises(EdgeboxError) as caught, imported(app, root, Wishes(), total_max_bytes=100):
        pass
    assert caught.value.code == "archive.too_large"


def test_every_cut_of_the_messages_is_refused() -> None:
    import io

    from content_packs.importers.child import IMPORTERS
    from content_packs.importers.contract import Source
    from content_packs.importers.reading import tell

    told = b"".join(tell(Source(io.BytesIO(zipped_app())), IMPORTERS))
    for cut in range(0, len(told), 11):
        receiver = Receiver(io.BytesIO(told[:cut]).read)
        with pytest.raises(ImportFailed):
            receiver.course()
            for _file, content in receiver.files():
                list(content)


def test_the_child_dies_with_its_parent(app: Path, root: Path) -> None:
    """The parent is killed as the kernel kills: nothing of it runs afterwards."""
    program = f"""
import sys
from pathlib import Path
from content_packs.importers import reading
from content_packs.importers.importing import Wishes, imported
slow = ("-c", {SLOW!r})
def course(receiver):
    print(int.from_bytes(receiver._read(4), "big"), flush=True)
    sys.stdin.read()
reading.Receiver.course = course
with imported(Path({str(app)!r}), Path({str(root)!r}), Wishes(), child=slow):
    pass
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdin is not None
    pid = int(parent.stdout.readline())
    assert len(list(root.iterdir())) == 1
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    _wait_until_gone(pid)
    staging.sweep(root)
    assert list(root.iterdir()) == []


def _wait_until_gone(pid: int) -> None:
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the child lives on")


def test_a_staging_in_use_is_not_swept(root: Path) -> None:
    with staging.staging(root) as one, staging.staging(root) as other:
        staging.sweep(root)
        assert one.is_dir()
        assert other.is_dir()
    assert list(root.iterdir()) == []


def test_what_a_power_cut_leaves_is_swept_before_the_next_import(
    app: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_at = 1
    while True:
        with monkeypatch.context() as patch:
            disk = CuttableDisk(root.parent.parent, patch, cut_at)
            try:
                with imported(app, root, Wishes()) as course:
                    assert (course.source / "pack.toml").is_file()
            except PowerCut:
                disk.settle(lose_contents=True, lose_names=False)
                with imported(app, root, Wishes()):
                    assert len(list(root.iterdir())) == 1
                assert list(root.iterdir()) == []
                cut_at += 1
                continue
        break
    assert cut_at > 5
