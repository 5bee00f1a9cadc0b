"""Every archive of the corpus gets its verdict, by the code of the rule it breaks, in process and in the child."""

import io
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from content_packs.base.errors import EdgeboxError, all_error_classes
from content_packs.importers import errors
from content_packs.importers.child import IMPORTERS
from content_packs.importers.contract import Source
from content_packs.importers.importing import Wishes, imported
from content_packs.importers.reading import Receiver, tell
from tests.support.hostile_archives import Case, cases
from tests.support.tree import tree_of

CASES = cases()
ONE_PER_CODE = list({case.code: case for case in reversed(CASES)}.values())
SECONDS_MAX = 5
MEMORY_MAX_BYTES = 256 * 1024**2


def verdict(content: bytes) -> str:
    """Return the code by which an archive is refused, nothing when all of it can be read."""
    try:
        told = io.BytesIO(b"".join(tell(Source(io.BytesIO(content)), IMPORTERS)))
        receiver = Receiver(told.read)
        receiver.course()
        for file, chunks in receiver.files():
            assert sum(map(len, chunks)) == file.size_bytes
    except EdgeboxError as error:
        return error.code
    return ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_archive_gets_its_verdict(case: Case) -> None:
    assert verdict(case.make()) == case.code


def test_the_corpus_is_large_and_has_every_rule_on_archives() -> None:
    assert len([case for case in CASES if case.code]) >= 200
    rules = {found.code for found in all_error_classes() if found.__module__ == errors.__name__}
    assert rules - {case.code for case in CASES} == {"import.failed"}


@pytest.mark.parametrize("case", ONE_PER_CODE, ids=lambda case: case.name)
def test_a_refused_archive_leaves_nothing(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "brought.zip"
    path.write_bytes(case.make())
    root = tmp_path / "box" / "import"
    before = tree_of(tmp_path)
    code = ""
    try:
        with imported(path, root, Wishes()) as course:
            assert (course.source / "files" / "index.html").is_file()
    except EdgeboxError as error:
        code = error.code
    assert code == case.code
    assert list(root.iterdir()) == []
    assert {name: content for name, content in tree_of(tmp_path).items() if content is not None} == before


@pytest.mark.parametrize("case", ONE_PER_CODE, ids=lambda case: case.name)
def test_a_verdict_takes_little_time_and_memory(case: Case, tmp_path: Path) -> None:
    """The limits are set from outside, so that a child that needs more of either is killed and tells nothing."""
    path = tmp_path / "brought.zip"
    path.write_bytes(case.make())

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS_MAX, SECONDS_MAX))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX_BYTES, MEMORY_MAX_BYTES))

    with path.open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-I", "-m", "content_packs.importers.child"],
            stdin=file,
            capture_output=True,
            preexec_fn=limit,
            env=dict(os.environ),
            check=True,
        )
    receiver = Receiver(io.BytesIO(done.stdout).read)
    try:
        receiver.course()
        assert [file.path for file, chunks in receiver.files() if list(chunks) or True]
        assert case.code == ""
    except EdgeboxError as error:
        assert error.code == case.code
