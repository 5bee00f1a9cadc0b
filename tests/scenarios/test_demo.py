"""`edgebox demo`: everything a visitor is promised, twice with the same data."""

import http.cookiejar
import json
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

STOP_SECONDS = 30
pytestmark = pytest.mark.timeout(180)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def draw_ports() -> list[str]:
    return [f"--{name}={free_port()}" for name in ("port", "content-port", "hub-port")]


@contextmanager
def demo(data: Path, ports: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """Run the demo until the context ends, then press Ctrl-C and expect a clean end."""
    command = [sys.executable, "-m", "edgebox", "demo", "--data", str(data), "--json", *(ports or draw_ports())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield json.loads(line)
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=STOP_SECONDS)
        assert process.returncode == 0, complaints
        assert "Traceback" not in complaints
    finally:
        process.kill()
        process.communicate()


def sign_in_teacher(told: dict[str, Any]) -> str:
    """Sign in with the printed log-in and return the page that follows."""
    jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    browser = urllib.request.build_opener(jar)
    fields = {"login": told["teacher"]["name"], "password": told["teacher"]["secret"]}
    request = urllib.request.Request(f"{told['box']}staff", urllib.parse.urlencode(fields).encode())
    request.add_header("Origin", told["box"].rstrip("/"))
    with browser.open(request, timeout=20) as answer:
        return str(answer.read().decode())


def fetch(address: str) -> str:
    with urllib.request.urlopen(address, timeout=20) as answer:
        return str(answer.read().decode())


def test_the_demo_starts_stops_cleanly_and_goes_on_with_the_same_school(tmp_path: Path) -> None:
    with demo(tmp_path / "demo") as first:
        assert "Class 4" in fetch(first["box"])
        assert "Class 4" in sign_in_teacher(first)
        assert "code=" in first["hub"]
        assert "One-time code" in fetch(first["hub"])
    with demo(tmp_path / "demo") as second:
        assert second["learners"] == first["learners"]
        assert second["teacher"] == first["teacher"]
        assert "Class 4" in sign_in_teacher(second)


def test_a_demo_that_was_killed_while_its_school_was_made_makes_it_again(tmp_path: Path) -> None:
    with demo(tmp_path / "demo") as first:
        assert first["learners"]
    (tmp_path / "demo" / "log-ins.json").unlink()
    (tmp_path / "demo" / "box.unfinished").touch()
    with demo(tmp_path / "demo") as second:
        assert "Class 4" in sign_in_teacher(second)
    assert not (tmp_path / "demo" / "box.unfinished").exists()


def test_a_demo_that_was_killed_can_be_started_again_at_once(tmp_path: Path) -> None:
    ports = draw_ports()
    command = [sys.executable, "-m", "edgebox", "demo", "--data", str(tmp_path / "demo"), "--json", *ports]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        first = json.loads(killed.stdout.readline())
        killed.kill()
    with demo(tmp_path / "demo", ports) as second:
        assert second["learners"] == first["learners"]
