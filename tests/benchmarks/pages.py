"""Bytes of the pages a learner opens, as they cross the Wi-Fi: gzip, HTML, script and style, without pictures."""

import gzip
import re
import sys
import tempfile
import urllib.request
from pathlib import Path

from content_packs.base.signing import SigningKey
from content_packs.builder import build
from content_packs.format import keyfile
from content_packs.installer import Installer
from tests.benchmarks import processes
from tests.benchmarks.table import show, verdict
from tests.support.box import School, make_school

COURSE = Path(__file__).resolve().parents[2] / "content_packs" / "samples" / "fractions"
LESSON = "/learn/org.edgebox.samples.fractions/equal-parts"
FIRST_GOAL_BYTES = 15_000
NEXT_GOAL_BYTES = 3_000
PEER = "Kolibri: 2,788 kB in 25 requests"
_ASSETS = re.compile(rb'(?:<link rel="stylesheet" href|<script [^>]*src)="([^"]+)"')
# A visit from the start: what comes before signing in is asked for without a session.
DOORS = ("/", "/class/", "/sign-in/")
PAGES = [
    ("first page: classes", "/"),
    ("faces of a class", "/class/{class_no}"),
    ("secret pictures", "/sign-in/{person_no}"),
    ("my lessons", "/learn"),
    ("lesson", LESSON),
    ("text", f"{LESSON}/equal-parts-read"),
    ("film", f"{LESSON}/equal-parts-film"),
    ("experiment", f"{LESSON}/equal-parts-experiment"),
    ("worksheet", f"{LESSON}/equal-parts-worksheet"),
    ("quiz of 10", f"{LESSON}/equal-parts-quiz"),
]


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        school = make_school(Path(folder) / "box", learners=8)
        key = SigningKey.generate()
        built = build(COURSE, Path(folder) / "stick", key)
        _install(school, built.folder, key)
        port, content_port = processes.free_port(), processes.free_port()
        command = [sys.executable, "-m", "edgebox", "serve", "--data", str(school.settings.data)]
        command += ["--port", str(port), "--content-port", str(content_port)]
        with processes.server(command, port):
            rows = _measure(f"http://127.0.0.1:{port}", school)
    show(f"Pages of a learner ({PEER})", ["page", "requests", "HTML", "script + style", "goal"], rows)


def _install(school: School, folder: Path, key: SigningKey) -> None:
    publishers = school.settings.keys / "publishers"
    publishers.mkdir()
    (publishers / "bench.pub").write_text(keyfile.format_public(key.verify_key, "Bench"))
    Installer(folder, school.settings.data, {key.verify_key.key_id: key.verify_key}).run()


def _measure(origin: str, school: School) -> list[list[str]]:
    cached: set[str] = set()
    rows = []
    for number, (name, pattern) in enumerate(PAGES):
        path = pattern.format(class_no=school.class_no, person_no=school.learners[0].no)
        html, html_bytes = _fetch(origin, path, school)
        fresh = [asset.decode() for asset in _ASSETS.findall(html) if asset.decode() not in cached]
        asset_bytes = sum(_fetch(origin, asset, school)[1] for asset in fresh)
        cached.update(fresh)
        total = html_bytes + asset_bytes
        goal = NEXT_GOAL_BYTES if number else FIRST_GOAL_BYTES
        is_met = total <= goal and (number == 0 or not fresh)
        rows.append([name, str(1 + len(fresh)), str(html_bytes), str(asset_bytes), _goal(total, goal, is_met)])
    return rows


def _goal(total: int, goal: int, is_met: bool) -> str:
    return f"{total} <= {goal} ({verdict(is_met)})"


def _fetch(origin: str, path: str, school: School) -> tuple[bytes, int]:
    """Return the content and the number of bytes it took on the wire."""
    headers = {"Accept-Encoding": "gzip"}
    if path != DOORS[0] and not path.startswith(DOORS[1:]):
        headers["Cookie"] = f"edgebox_session={school.learners[0].session}"
    with urllib.request.urlopen(urllib.request.Request(origin + path, headers=headers), timeout=20) as response:
        body: bytes = response.read()
        is_gzip = response.headers["Content-Encoding"] == "gzip"
    return (gzip.decompress(body) if is_gzip else body), len(body)


if __name__ == "__main__":
    main()
