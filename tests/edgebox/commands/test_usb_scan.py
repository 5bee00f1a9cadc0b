"""What `edgebox usb scan` tells a technician: what each pack is, what it would change, and whether there is room."""

from pathlib import Path

import pytest

from content_packs.base.signing import SigningKey
from content_packs.format import keyfile
from content_packs.patch.making import make_patch
from edgebox.cli import main
from edgebox.commands.wording import size_text
from tests.support.course import PUBLISHER
from tests.support.shelf import WATER, build_water
from tests.support.small_course import PACK, build_small

KEY = SigningKey(b"k" * 32)
STRANGER = SigningKey(b"s" * 32)


def scan(stick: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    assert main(["usb", "scan", str(stick), "--data", str(data)]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    publishers = tmp_path / "box" / "keys" / "publishers"
    publishers.mkdir(parents=True)
    (publishers / "press.pub").write_text(keyfile.format_public(KEY.verify_key, "Example Press"))
    return tmp_path / "box"


def test_a_scan_names_title_signer_change_and_free_space(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = build_small(tmp_path / "stick", KEY, version=1)
    title, facts, free = scan(tmp_path / "stick", data, capsys)
    assert not title.startswith(PACK)
    assert facts.startswith(f"  {PACK} version 1 · ")
    assert "signed by Example Press · new, takes " in facts
    assert free.startswith("Free for packs on this box: ")
    assert main(["pack", "install", str(first), "--data", str(data)]) == 0
    assert "already on the box" in scan(tmp_path / "stick", data, capsys)[1]
    build_small(tmp_path / "other", KEY, version=2)
    assert "update from version 1, takes " in scan(tmp_path / "other", data, capsys)[1]


def test_a_scan_says_why_a_pack_cannot_be_loaded_and_what_to_do(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_small(tmp_path / "stick", STRANGER)
    _title, facts, error, _free = scan(tmp_path / "stick", data, capsys)
    assert "unknown signer · cannot be loaded" in facts
    assert error.startswith("  pack.signer_unknown: ")
    assert "ask your technician" in error


def test_parts_are_named_for_one_pack_and_added_later(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stick = tmp_path / "stick"
    build_water(tmp_path, stick)
    (data / "keys" / "publishers" / "water.pub").write_text(keyfile.format_public(PUBLISHER.verify_key, "Water Press"))
    install = ["usb", "install", str(stick)]
    with pytest.raises(SystemExit):
        main([*install, "--parts", "films", "--data", str(data)])
    for parts, taken in (("arabic", "films (left out), arabic"), ("films", "films, arabic")):
        assert main([*install, WATER, "--parts", parts, "--data", str(data)]) == 0
        capsys.readouterr()
        assert main(["pack", "list", "--data", str(data)]) == 0
        assert f"parts: {taken}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "0 B"), (999, "999 B"), (2_191_767, "2.2 MB"), (65_500_000_000, "65.5 GB")]
)
def test_sizes_are_read_by_people(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text


def test_a_scan_names_an_update_that_is_a_patch_and_install_takes_it(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = build_small(tmp_path / "built", KEY, version=1, more="one " * 500)
    second = build_small(tmp_path / "built", KEY, version=2, more="one " * 500 + "and two")
    make_patch(first, second, tmp_path / "stick", KEY)
    assert scan(tmp_path / "stick", data, capsys)[0] == "No packs here."
    assert main(["pack", "install", str(first), "--data", str(data)]) == 0
    title, facts, _free = scan(tmp_path / "stick", data, capsys)
    assert title == "Equal parts"
    (patch,) = (tmp_path / "stick").rglob("*.ebp")
    assert facts.startswith(
        f"  {PACK} version 2 · {size_text(patch.stat().st_size)} · signed by Example Press · update"
    )
    assert main(["usb", "install", str(tmp_path / "stick"), "--data", str(data)]) == 0
    assert f"Installed {PACK} version 2" in capsys.readouterr().out
    assert scan(tmp_path / "stick", data, capsys)[0] == "No packs here."
