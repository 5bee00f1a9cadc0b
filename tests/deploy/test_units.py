"""The services of a box run with little: systemd's own judgement stays low."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edgebox.settings import MOUNT_ROOTS

PI = Path(__file__).parents[2] / "deploy" / "raspberry-pi"
UNITS = sorted((PI / "systemd").glob("*.service"))
RULE = PI / "99-edgebox-stick.rules"
EXPOSURE_MAX = 2.0


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
