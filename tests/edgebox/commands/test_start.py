"""What keeps box and hub from starting is one line with a code and a remedy, and changes nothing."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from content_packs.base.errors import EdgeboxError
from content_packs.base.starting import (
    FolderUnusable,
    HostUnknown,
    PortRefused,
    PortTaken,
    StoreDamaged,
    hold_lock,
)
from edgebox.app import BoxBusy
from edgebox.cli import main
from edgebox.store.connections import open_writer
from edgebox.store.upgrade import upgrade
from sync.hub.errors import HubBusy

SERVE = (("serve", "--content-port", "0"), ("hub", "serve"))
GARBAGE = b"This is not a database. " * 400


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def assert_refused(error: type[EdgeboxError], capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
    assert main(arguments) == error.exit_code
    printed = capsys.readouterr().err.splitlines()
    assert printed[-1].startswith(f"edgebox: {error.code}: ")
    assert not any("Traceback" in line for line in printed)


@pytest.mark.parametrize("serve", SERVE)
def test_a_port_that_is_taken_is_named(
    serve: tuple[str, ...], taken_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused(PortTaken, capsys, *serve, "--data", str(tmp_path), "--port", str(taken_port))


def test_pages_and_content_cannot_have_one_port(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = str(unused.getsockname()[1])
    assert_refused(PortTaken, capsys, "serve", "--data", str(tmp_path), "--port", port, "--content-port", port)


@pytest.mark.parametrize("serve", SERVE)
@pytest.mark.parametrize("port", ["65536", "-1"])
def test_a_number_that_is_no_port_is_refused(
    serve: tuple[str, ...], port: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused(PortRefused, capsys, *serve, "--data", str(tmp_path), "--port", port)


@pytest.mark.parametrize("serve", SERVE)
@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_refused(
    serve: tuple[str, ...], host: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused(HostUnknown, capsys, *serve, "--data", str(tmp_path), "--port", "0", "--host", host)


@pytest.mark.parametrize("below", ["", "inner"])
@pytest.mark.parametrize(
    "command",
    [("serve", "--port", "0", "--content-port", "0"), ("serve", "--role", "content", "--content-port", "0"),
     ("users", "list"), ("hub", "serve", "--port", "0"), ("hub", "enroll")],
)  # fmt: skip
def test_a_folder_that_is_a_file_is_refused(
    command: tuple[str, ...], below: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("notes")
    assert_refused(FolderUnusable, capsys, *command, "--data", str(tmp_path / "file" / below))
    assert (tmp_path / "file").read_text() == "notes"


@pytest.mark.parametrize(
    ("command", "name"),
    [(("serve", "--port", "0", "--content-port", "0"), "box.db"), (("users", "list"), "box.db"),
     (("hub", "serve", "--port", "0"), "hub.db"), (("hub", "enroll"), "hub.db"), (("hub", "report"), "hub.db")],
)  # fmt: skip
def test_a_damaged_database_is_left_as_it_is(
    command: tuple[str, ...], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(GARBAGE)
    assert_refused(StoreDamaged, capsys, *command, "--data", str(tmp_path))
    assert (tmp_path / name).read_bytes() == GARBAGE


def test_a_database_with_a_good_head_and_damaged_pages_is_named_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "box.db"
    upgrade(path)
    connection = open_writer(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))
    assert_refused(StoreDamaged, capsys, "users", "list", "--data", str(tmp_path))


@pytest.mark.parametrize(
    ("lock", "busy", "serve"),
    [("box.lock", BoxBusy, ("serve", "--content-port", "0")), ("hub.lock", HubBusy, ("hub", "serve"))],
)
def test_a_second_program_on_one_folder_is_refused(
    lock: str, busy: type[EdgeboxError], serve: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with hold_lock(tmp_path / lock, busy(folder=str(tmp_path))):
        assert_refused(busy, capsys, *serve, "--data", str(tmp_path), "--port", "0")


def started(*arguments: str) -> tuple[str, str]:
    """Start a program, stop it once it says that it is ready, and return what it printed and what it logged."""
    command = [sys.executable, "-m", "edgebox", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        while "ready" not in (line := program.stdout.readline()):
            assert line, "the program did not start"
        program.terminate()
        rest, logged = program.stdout.read(), program.stderr.read()
        assert program.wait(30) == 0
    return line + rest, logged


def test_a_first_start_prints_the_code_and_logs_nothing(tmp_path: Path) -> None:
    printed, logged = started("serve", "--data", str(tmp_path), "--port", "0", "--content-port", "0")
    assert "/staff/set-up and enter the code" in printed
    assert logged == ""
    printed, logged = started("hub", "serve", "--data", str(tmp_path / "hub"), "--port", "0")
    assert "?code=" in printed
    assert logged == ""


def test_a_process_for_content_does_not_promise_pages(tmp_path: Path) -> None:
    printed, _ = started("serve", "--role", "content", "--data", str(tmp_path), "--content-port", "0")
    assert printed.startswith("The content of packs is ready below http://127.0.0.1:")
    assert "/c/" in printed
    assert "Edgebox is ready" not in printed


@pytest.mark.parametrize("megabytes", ["inf", "nan", "-1", "1e30", "many"])
def test_bytes_of_a_day_that_are_no_number_of_megabytes_are_refused(
    megabytes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(("serve", "--data", str(tmp_path), "--fetch-mb", megabytes))
    assert "--fetch-mb" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kilobits", ["-5", "0", "1.5", "fast", "10000000000"])
def test_a_rate_that_is_none_is_refused(kilobits: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(("serve", "--data", str(tmp_path), "--line-kbit", kilobits))
    assert "--line-kbit" in capsys.readouterr().err
