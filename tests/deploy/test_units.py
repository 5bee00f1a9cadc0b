"""The services of a box run with little: systemd's own judgement stays low."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from content_packs.base.clock import SystemClock
from edgebox.settings import MOUNT_ROOTS

ROOT = Path(__file__).parents[2]
PI = ROOT / "deploy" / "raspberry-pi"
UNITS = sorted((PI / "systemd").glob("*.service"))
RULE = PI / "99-edgebox-stick.rules"
EXPOSURE_MAX = 2.0
# In a mount namespace of its own, where `/proc` shows what the service sees of it.
HIDDEN = ("unshare", "--mount", "sh", "-c", 'mount -t proc -o subset=pid proc /proc && exec "$@"', "sh")
LOOK = """
from content_packs.base.clock import SystemClock
from edgebox.services import link_watch
print((link_watch._PROC / "route").read_text()[:5], SystemClock().run_id())
"""


def test_there_are_units_for_both_processes() -> None:
    assert [unit.name for unit in UNITS] == ["edgebox-content.service", "edgebox.service"]


def test_sticks_come_read_only_and_harmless_by_themselves() -> None:
    (run,) = [line for line in RULE.read_text().splitlines() if line.startswith("RUN")]
    options = re.search(r"--options=(\S+)", run)
    assert options is not None
    assert set(options[1].split(",")) >= {"ro", "nosuid", "nodev", "noexec"}
    # An automount is no mounted device before somebody looks into it, so the box would not list the stick.
    assert "--automount=no" in run
    assert any(f" {root}/" in run for root in MOUNT_ROOTS)


def test_the_pages_may_write_where_sticks_appear_and_pack_content_nowhere() -> None:
    content, pages = (unit.read_text().splitlines() for unit in UNITS)
    assert f"ReadWritePaths={' '.join(f'-{root}' for root in MOUNT_ROOTS)}" in pages
    for lines in (content, pages):
        assert "ProtectSystem=strict" in lines
    assert not any(line.startswith("ReadWritePaths") for line in content)


def test_pack_content_sees_packs_and_nothing_else_of_the_data() -> None:
    content, pages = (unit.read_text().splitlines() for unit in UNITS)
    assert "TemporaryFileSystem=/var/lib/edgebox:ro" in content
    shown = [line.partition("=")[2] for line in content if line.startswith("Bind")]
    assert shown == ["/var/lib/edgebox/packs /var/lib/edgebox/blobs"]
    # The folders exist before the content is started, whichever of the two is asked for.
    assert {"Type=exec", "StateDirectory=edgebox edgebox/packs edgebox/blobs"} <= set(pages)
    assert {"After=network.target edgebox.service", "Requires=edgebox.service"} <= set(content)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_exposure_stays_low(unit: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("install Debian package systemd")
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.search(r"exposure level for \S+: ([0-9.]+)", output)
    assert found is not None, output
    assert float(found[1]) <= EXPOSURE_MAX


def test_of_proc_the_box_reads_nothing_that_the_unit_hides_but_what_the_unit_tells_it() -> None:
    pages = UNITS[1].read_text().splitlines()
    assert "ProcSubset=pid" in pages
    hidden = {path for path in _paths_in_proc() if not path.startswith("/proc/self/")}
    assert hidden == {"/proc/sys/kernel/random/boot_id"}
    assert "Environment=EDGEBOX_RUN_ID=%b" in pages


@pytest.mark.parametrize("told", ["", "0f-1e"])
def test_where_proc_shows_processes_only_the_way_out_and_the_run_are_known(told: str) -> None:
    if (
        shutil.which("unshare") is None
        or subprocess.run([*HIDDEN, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("no right to mount: run as root")
    environment = {**os.environ, "EDGEBOX_RUN_ID": told}
    command = [*HIDDEN, sys.executable, "-c", LOOK]
    output = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    assert output.split() == (["Iface", "0f1e"] if told else ["Iface"])


def test_a_command_in_a_shell_names_the_run_like_the_service_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEBOX_RUN_ID", raising=False)
    of_kernel = SystemClock().run_id()
    assert re.fullmatch("[0-9a-f]{32}", of_kernel)
    monkeypatch.setenv("EDGEBOX_RUN_ID", of_kernel)
    assert SystemClock().run_id() == of_kernel


def _paths_in_proc() -> Iterator[str]:
    """Yield every text that begins like a path there, of everything that runs on a box."""
    for package in ("edgebox", "sync", "content_packs"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("/proc/"):
                    yield node.value
