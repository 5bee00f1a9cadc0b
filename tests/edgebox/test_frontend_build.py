"""What a tablet loads is built, complete, small, and never tracked."""

import gzip
import json
import re
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from edgebox.domain.secret import PICTURES

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "edgebox" / "web"
PLAIN_NAMES = {
    "learner.js", "teacher.js", "courier.js",
    "learner.ltr.css", "learner.rtl.css", "staff.ltr.css", "staff.rtl.css",
    "ui.svg", "avatars.svg", "pictures.svg",
}  # fmt: skip
BUDGET_BYTES = {
    "learner.js": 8700,
    "learner.ltr.css": 4096,
    "learner.rtl.css": 4096,
    "teacher.js": 1450,
    "courier.js": 4200,
}


@pytest.fixture(scope="module")
def built() -> Path:
    return Path(str(files("edgebox") / "web" / "static"))


@pytest.fixture(scope="module")
def manifest(built: Path) -> dict[str, Any]:
    return dict(json.loads((built / "manifest.json").read_text()))


def test_the_lock_file_has_hashes_and_no_addresses() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    assert all("integrity" in entry and "resolved" not in entry for entry in packages.values())
    assert "://" not in (WEB / "package-lock.json").read_text()


def test_the_manifest_names_every_file_and_each_is_there_twice(built: Path, manifest: dict[str, Any]) -> None:
    assert set(manifest) == PLAIN_NAMES
    for entry in manifest.values():
        content = (built / entry["name"]).read_bytes()
        assert gzip.decompress((built / f"{entry['name']}.gz").read_bytes()) == content
        assert len(content) == entry["size_bytes"]


@pytest.mark.parametrize(("name", "budget_bytes"), BUDGET_BYTES.items())
def test_core_files_stay_small(manifest: dict[str, Any], name: str, budget_bytes: int) -> None:
    assert manifest[name]["gzip_bytes"] <= budget_bytes


def test_style_sheets_use_no_property_that_old_chromium_lacks(built: Path, manifest: dict[str, Any]) -> None:
    for name in PLAIN_NAMES:
        if name.endswith(".css"):
            css = (built / manifest[name]["name"]).read_text()
            assert not re.search(r"inline-(start|end)|[;{](gap|inset|aspect-ratio):|:(is|where|has)\(|clamp\(", css)


def test_scripts_use_no_syntax_after_es2015(built: Path, manifest: dict[str, Any]) -> None:
    for name in ("learner.js", "teacher.js", "courier.js"):
        script = (built / manifest[name]["name"]).read_text()
        assert not re.search(r"\basync\b|\?\.[a-z(\[]|\?\?|\*\*[^/]|\.\.\.[a-z]+\}", script)


def test_licences_of_everything_bundled_are_shipped(built: Path) -> None:
    texts = (built / "THIRD_PARTY_LICENSES.txt").read_text()
    for name in json.loads((WEB / "package.json").read_text())["dependencies"]:
        assert f"{name} " in texts


def test_there_is_a_drawing_for_every_secret_picture() -> None:
    assert {path.stem for path in (WEB / "icons" / "pictures").glob("*.svg")} == set(PICTURES)
    assert len(list((WEB / "icons" / "avatars").glob("*.svg"))) >= 24


def test_no_built_file_is_tracked() -> None:
    tracked = subprocess.run(["git", "ls-files", "edgebox/web"], cwd=ROOT, capture_output=True, check=True, text=True)
    built = [name for name in tracked.stdout.splitlines() if re.search(r"/static/|node_modules|\.mo$|\.min\.", name)]
    assert built == []
