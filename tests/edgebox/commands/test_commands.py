"""The commands pack, usb, users and sync, as processes: with a box that runs on the folder, and without one."""

import asyncio
import functools
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from content_packs.base.signing import SealingKey, SigningKey
from content_packs.fetch.errors import AddressInvalid
from content_packs.format import keyfile
from content_packs.format.errors import BlobAltered, PackNotFound, PackRollback, SignerUnknown, SourceInvalid
from content_packs.patch.making import make_patch
from content_packs.usb.errors import NothingChosen
from edgebox.app import BoxBusy, open_box
from edgebox.cli import main
from edgebox.services.signing_in import StaffSignInFailed
from edgebox.services.sync_state import NotEnrolled
from edgebox.settings import Settings
from edgebox.store import changes
from edgebox.store.connections import open_writer
from edgebox.store.roster import LoginUnknown
from sync.enrolment import Hub, parse_code
from sync.transport.errors import LinkDown, StickMissing
from tests.support.cmi5 import package, structure, unit
from tests.support.small_course import PACK, build_small

KEY = SigningKey(b"k" * 32)
COMMAND = (sys.executable, "-m", "edgebox")


@dataclass(frozen=True)
class Shell:
    """Runs commands on one data folder."""

    data: Path
    stick: Path
    public_key: Path

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        environment = os.environ | {"EDGEBOX_DATA": str(self.data)}
        return subprocess.run(
            [*COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    def result(self, *arguments: str) -> dict[str, Any]:
        """Run a command that must succeed and return what it gives to programs."""
        done = self.run(*arguments, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        value: dict[str, Any] = json.loads(done.stdout)
        return value


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    public_key = tmp_path / "press.pub"
    public_key.write_text(keyfile.format_public(KEY.verify_key, "Example Press"))
    return Shell(tmp_path / "box", tmp_path / "stick", public_key)


@pytest.fixture(params=["with a running box", "without a box"])
def either(shell: Shell, request: pytest.FixtureRequest) -> Iterator[Shell]:
    """Give the shell twice: commands must not tell the difference."""
    if request.param == "without a box":
        yield shell
        return
    arguments = ["serve", "--data", str(shell.data), "--port", "0", "--content-port", "0"]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as box:
        assert box.stdout is not None
        while "ready" not in (line := box.stdout.readline()):
            assert line, "the box did not start"
        try:
            yield shell
        finally:
            box.terminate()
            assert box.wait(30) == 0


def test_a_pack_is_installed_listed_and_removed(either: Shell) -> None:
    folder = build_small(either.stick, KEY)
    refused = either.run("pack", "install", str(folder))
    assert refused.returncode == SignerUnknown.exit_code
    assert refused.stderr.startswith(f"edgebox: {SignerUnknown.code}: ")
    assert refused.stderr.count("\n") == 1
    installed = either.result("pack", "install", str(folder), "--trust", str(either.public_key))
    assert (installed["pack"], installed["version"]) == (PACK, 1)
    (listed,) = either.result("pack", "list")["packs"]
    assert (listed["pack"], listed["publisher"]) == (PACK, "Example Press")
    assert either.result("pack", "remove", PACK) == {"removed": PACK}
    assert either.result("pack", "list") == {"packs": []}
    assert either.run("pack", "remove", PACK).returncode == PackNotFound.exit_code


def test_a_stick_is_scanned_and_what_is_new_is_loaded(either: Shell) -> None:
    first = build_small(either.stick, KEY, version=1)
    build_small(either.stick, KEY, pack="org.example.second")
    either.result("pack", "install", str(first), "--trust", str(either.public_key))
    build_small(either.stick, KEY, version=2)
    offers = either.result("usb", "scan", str(either.stick))["offers"]
    assert [(offer["pack"], offer["version"], offer["change"]) for offer in offers] == [
        (PACK, 1, "here"),
        (PACK, 2, "update"),
        ("org.example.second", 1, "new"),
    ]
    installed = either.result("usb", "install", str(either.stick))["installed"]
    assert [(pack["pack"], pack["version"]) for pack in installed] == [(PACK, 2), ("org.example.second", 1)]
    assert either.result("usb", "install", str(either.stick))["installed"] == []
    older = either.run("pack", "install", str(first), "--json")
    assert older.returncode == PackRollback.exit_code
    assert json.loads(older.stderr)["code"] == PackRollback.code


def test_an_older_version_on_a_stick_is_not_called_nothing(shell: Shell, tmp_path: Path) -> None:
    new = build_small(shell.stick, KEY, version=2)
    shell.result("pack", "install", str(new), "--trust", str(shell.public_key))
    old = tmp_path / "old"
    build_small(old, KEY, version=1)
    for _ in ("while it is there", "after it was removed"):
        refused = shell.run("usb", "install", str(old))
        assert refused.returncode == PackRollback.exit_code
        assert f"A newer version of {PACK} is or was on the box: 2." in refused.stderr
        (offer,) = shell.result("usb", "scan", str(old))["offers"]
        assert offer["change"] == "older"
        shell.run("pack", "remove", PACK)
    build_small(old, KEY, pack="org.example.second")
    done = shell.run("usb", "install", str(old))
    assert done.returncode == 0
    assert "Installed org.example.second version 1" in done.stdout
    assert f"Not loaded: {PACK} version 1; version 2 is or was on the box." in done.stdout


def test_a_stick_is_filled_from_the_command_line_and_loaded_from_there(either: Shell, tmp_path: Path) -> None:
    either.result("pack", "install", str(build_small(either.stick, KEY)), "--trust", str(either.public_key))
    stick = tmp_path / "NEXT"
    stick.mkdir()
    done = either.result("usb", "export", str(stick), "--language", "fr", "--level", "Primary 3", "--fit")
    assert [(pack["pack"], pack["version"]) for pack in done["exported"]] == [(PACK, 1)]
    (offer,) = either.result("usb", "scan", str(stick))["offers"]
    assert (offer["pack"], offer["change"]) == (PACK, "here")
    assert either.run("usb", "export", str(stick), "org.example.none").returncode == PackNotFound.exit_code
    assert either.run("usb", "export", str(stick), "--language", "sw").returncode == NothingChosen.exit_code


def test_a_pack_is_installed_by_its_address_and_newer_versions_are_listed(shell: Shell, tmp_path: Path) -> None:
    stick = build_small(shell.stick, KEY)
    depot = tmp_path / "depot"
    shutil.copytree(stick.parents[2], depot)
    make_patch(None, stick, depot / "patches" / PACK / "full.ebp", KEY)
    with static_server(depot) as address:
        place = f"{address}/packs/{PACK}"
        result = shell.result("pack", "install", place, "--trust", str(shell.public_key))
        assert (result["pack"], result["version"]) == (PACK, 1)
        assert shell.run("pack", "install", f"{address}/nothing").returncode == AddressInvalid.exit_code
    assert shell.result("pack", "list", "--updates") == {"updates": []}


@contextmanager
def static_server(folder: Path) -> Iterator[str]:
    """Serve a folder with a server that knows nothing of Edgebox, and no ranges either."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class QuietHandler(SimpleHTTPRequestHandler):
    """Writes no log."""

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name is the library's
        """Do nothing."""


def test_one_pack_of_a_stick_can_be_chosen(either: Shell) -> None:
    either.result("pack", "install", str(build_small(either.stick, KEY)), "--trust", str(either.public_key))
    build_small(either.stick, KEY, pack="org.example.second")
    build_small(either.stick, KEY, pack="org.example.third")
    installed = either.result("usb", "install", str(either.stick), "org.example.third")["installed"]
    assert [pack["pack"] for pack in installed] == ["org.example.third"]
    assert either.run("usb", "install", str(either.stick), "org.example.none").returncode == PackNotFound.exit_code


def test_learners_are_added_with_secrets_that_are_printed_once(either: Shell) -> None:
    made = either.result("users", "add", "--class", "Class 4", "--kind", "pin", "Amina", "Bilal")
    assert [learner["name"] for learner in made["learners"]] == ["Amina", "Bilal"]
    assert all(len(learner["secret"]) == 4 and learner["secret"].isdigit() for learner in made["learners"])
    again = either.result("users", "add", "--class", made["class"]["code"], "Chen")
    assert again["class"]["no"] == made["class"]["no"]
    assert len(again["learners"][0]["secret"].split(",")) == 4
    teacher = either.result("users", "add", "--teacher", "karimi", "Ms", "Karimi")
    assert teacher["name"] == "Ms Karimi"
    assert len(teacher["password"]) >= 20
    listed = either.result("users", "list")
    assert [person["login"] for person in listed["teachers"]] == ["karimi"]
    (school_class,) = listed["classes"]
    assert [(learner["name"], learner["secret_kind"]) for learner in school_class["learners"]] == [
        ("Amina", "pin"),
        ("Bilal", "pin"),
        ("Chen", "picture"),
    ]
    assert not any(learner["secret"] in json.dumps(listed) for learner in made["learners"])


def test_a_fault_of_a_running_box_is_not_taken_for_a_busy_one(shell: Shell) -> None:
    environment = os.environ | {"EDGEBOX_DATA": str(shell.data)}
    arguments = ["serve", "--data", str(shell.data), "--port", "0", "--content-port", "0"]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as box:
        assert box.stdout is not None
        while "ready" not in box.stdout.readline():
            pass
        command = [*COMMAND, "users", "add", "--class", "4", os.fsdecode(b"a\xff")]
        failed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        box.terminate()
    assert failed.returncode not in (0, BoxBusy.exit_code)
    assert failed.stderr.startswith("edgebox: ")


def test_a_teacher_who_forgot_the_password_gets_a_new_one(either: Shell) -> None:
    old = either.result("users", "add", "--teacher", "karimi", "Ms Karimi")["password"]
    new = either.result("users", "new-password", " Karimi ")
    assert new["name"] == "Ms Karimi"
    assert new["password"] != old
    assert len(new["password"]) >= 20
    with pytest.raises(StaffSignInFailed):
        asyncio.run(sign_in(either.data, old))
    asyncio.run(sign_in(either.data, new["password"]))
    unknown = either.run("users", "new-password", "nobody")
    assert unknown.returncode == LoginUnknown.exit_code
    assert unknown.stderr.startswith(f"edgebox: {LoginUnknown.code}: ")


async def sign_in(data: Path, password: str) -> None:
    """Sign in with a copy of what is on the disk, so that a running box is not disturbed."""
    copy = await asyncio.to_thread(
        shutil.copytree, data, data.with_name("copy"), ignore=shutil.ignore_patterns("*.sock")
    )
    try:
        async with open_box(Settings(data=Path(copy))) as box:
            await box.signing_in.sign_in_staff("karimi", password, "0" * 40)
    finally:
        await asyncio.to_thread(shutil.rmtree, copy)


def test_sync_without_a_centre_says_so(either: Shell) -> None:
    status = either.result("sync", "status")
    assert status["hub_url"] is None
    assert status["line"]["spent_today_bytes"] == 0
    assert [lane["name"] for lane in status["line"]["lanes"]] == ["closing", "progress", "small", "large", "telemetry"]
    for arguments in (["now"], ["export", str(either.stick)], ["import", str(either.stick)]):
        refused = either.run("sync", *arguments)
        assert refused.returncode == NotEnrolled.exit_code
        assert refused.stderr.startswith(f"edgebox: {NotEnrolled.code}: ")


def test_what_goes_wrong_is_one_line_and_what_waits_goes_onto_a_stick(shell: Shell) -> None:
    shell.result("users", "add", "--class", "Class 4", "Amina")
    enrol_with_nobody(shell.data)
    refused = shell.run("sync", "now")
    assert refused.returncode == LinkDown.exit_code
    assert refused.stderr.startswith(f"edgebox: {LinkDown.code}: ")
    assert refused.stderr.count("\n") == 1
    assert shell.result("sync", "status")["waiting_changes"] > 0
    shell.stick.mkdir()
    assert shell.result("sync", "export", str(shell.stick))["bundles"] == 1
    assert shell.result("sync", "import", str(shell.stick))["acks"] == 0
    assert shell.run("sync", "import", str(shell.stick)).stdout.startswith("No receipts for this box")


@pytest.mark.parametrize("program", ["sync", "hub"])
def test_a_stick_that_is_not_there_is_no_success(shell: Shell, program: str) -> None:
    shell.result("users", "add", "--class", "Class 4", "Amina")
    enrol_with_nobody(shell.data)
    refused = shell.run(program, "import", str(shell.stick))
    assert refused.returncode == StickMissing.exit_code
    assert refused.stderr.startswith(f"edgebox: {StickMissing.code}: ")
    shell.stick.mkdir()
    empty = shell.run(program, "import", str(shell.stick))
    assert (empty.returncode, empty.stdout[:3]) == (0, "No ")


def test_a_box_with_nothing_to_send_says_so(shell: Shell) -> None:
    shell.result("users", "list")
    enrol_with_nobody(shell.data)
    confirm_all(shell.data)
    shell.stick.mkdir(exist_ok=True)
    assert shell.run("sync", "export", str(shell.stick)).stdout.startswith("Nothing waits")


def confirm_all(data: Path) -> None:
    """Let the box believe that a hub has all it wrote down, the start of its clock among it."""
    connection = open_writer(data / "box.db")
    connection.execute(
        "INSERT INTO bundle_out (epoch, seq, from_change, through_change, hash, size_bytes, created_ms, acked_ms)"
        " SELECT 1, 1, 1, max(seq), x'', 0, 1, 1 FROM change"
    )
    connection.close()


def enrol_with_nobody(data: Path) -> None:
    """Make the box know a hub that does not answer."""
    hub = Hub(SigningKey.generate().verify_key, SealingKey.generate().public, 1)
    connection = open_writer(data / "box.db")
    changes.put_hub(connection, "http://127.0.0.1:9", hub, 1)
    connection.close()


def test_a_course_is_built_with_a_new_key_and_verified(shell: Shell, tmp_path: Path) -> None:
    build_small(tmp_path / "other", KEY)
    source = next(tmp_path.glob("source-*"))
    key = tmp_path / "press.key"
    built = shell.result("pack", "build", str(source), "-o", str(shell.stick), "--key", str(key), "--publisher", "Us")
    assert (built["pack"], built["version"]) == (PACK, 1)
    again = shell.result("pack", "build", str(source), "-o", str(tmp_path / "again"), "--key", str(key))
    renamed = shell.run(
        "pack", "build", str(source), "-o", str(tmp_path / "x"), "--key", str(key), "--publisher", "Them"
    )
    assert renamed.returncode == SourceInvalid.exit_code
    assert "another name already" in renamed.stderr
    assert not (tmp_path / "x").exists()
    shell.result("pack", "build", str(source), "-o", str(tmp_path / "x"), "--key", str(key), "--publisher", "Us")
    assert Path(again["folder"], "manifest.ebm").read_bytes() == Path(built["folder"], "manifest.ebm").read_bytes()
    assert shell.result("pack", "verify", str(shell.stick), "--trust", built["public_key"])["is_good"]
    stranger = shell.run("pack", "verify", str(shell.stick), "--trust", str(shell.public_key))
    assert stranger.returncode == SignerUnknown.exit_code


def test_verifying_names_every_altered_file(shell: Shell) -> None:
    folder = build_small(shell.stick, KEY)
    blobs = [path for path in (folder / "blobs").rglob("*") if path.is_file()]
    for blob in blobs:
        blob.write_bytes(b"x" * blob.stat().st_size)
    done = shell.run("pack", "verify", str(folder), "--trust", str(shell.public_key), "--json")
    assert done.returncode == BlobAltered.exit_code
    assert len(json.loads(done.stdout)["bad_files"]) == len(blobs)
    assert json.loads(done.stderr)["code"] == BlobAltered.code


@pytest.mark.parametrize(
    "command",
    ["pack build", "pack verify", "pack install", "pack list", "pack remove", "usb scan", "usb install", "usb export",
     "users add", "users new-password", "users list", "sync now", "sync status", "sync export", "sync import"],
)  # fmt: skip
def test_every_command_explains_itself_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert f"example: edgebox {command}" in " ".join(text.split())
    assert "--data" in text
    assert "--json" in text


def test_the_code_in_the_example_has_the_shape_of_a_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["sync", "now", "--help"])
    example = "".join(capsys.readouterr().out.split("--code")[-1].split())
    assert [len(group) for group in example.split("-")] == [4] * 6
    parse_code(example)


def test_a_hub_without_its_code_is_refused(shell: Shell) -> None:
    done = shell.run("sync", "now", "--hub", "http://127.0.0.1:9")
    assert done.returncode == 2
    assert "go together" in done.stderr
    assert not shell.data.exists()


def test_a_cmi5_course_is_imported_as_a_package_and_alone(shell: Shell, tmp_path: Path) -> None:
    alone, packed = tmp_path / "rocks.xml", tmp_path / "rocks.zip"
    alone.write_bytes(structure(unit("one", "https://example.org/")))
    packed.write_bytes(package(structure(unit("one"), unit("two"))))
    key = ("--key", str(tmp_path / "press.key"), "--publisher", "Us")
    found = [
        shell.result("pack", "import", str(path), "-o", str(tmp_path / path.suffix), *key) for path in (alone, packed)
    ]
    assert [(made["format"], len(made["remarks"])) for made in found] == [("cmi5", 1), ("cmi5", 0)]
    assert found[0]["pack"] == found[1]["pack"]  # by the id of the course
    alone.write_bytes(structure(unit("one")))
    refused = shell.run("pack", "import", str(alone), "-o", str(tmp_path / "x"), *key)
    assert (refused.returncode, "course.url_relative" in refused.stderr) == (153, True)
