"""`edgebox pack diff` makes what `edgebox pack install` takes, with a box that runs and without one."""

from pathlib import Path

from content_packs.format import keyfile
from content_packs.patch.errors import PatchBaseMissing
from edgebox.cli import main
from tests.edgebox.commands.test_commands import KEY, Shell, either, shell
from tests.support.small_course import PACK, build_small

__all__ = ["either", "shell"]


def write_key(folder: Path) -> Path:
    path = folder / "press.key"
    path.write_text(keyfile.format_secret(KEY))
    return path


def test_an_update_is_made_and_installed_as_one_file(either: Shell, tmp_path: Path) -> None:
    old, new = build_small(either.stick, KEY), build_small(either.stick, KEY, version=2, more="Then eat it.")
    either.result("pack", "install", str(old), "--trust", str(either.public_key))
    made = either.result(
        "pack", "diff", str(old), str(new), "-o", str(tmp_path / "depot"), "--key", str(write_key(tmp_path))
    )
    assert (made["from_version"], made["to_version"], made["pack"]) == (1, 2, PACK)
    assert made["size_bytes"] < 900
    installed = either.result("pack", "install", made["path"])
    assert installed["version"] == 2
    assert [(pack["pack"], pack["version"]) for pack in either.result("pack", "list")["packs"]] == [(PACK, 2)]


def test_a_full_patch_is_a_pack_in_one_file(shell: Shell, tmp_path: Path) -> None:
    folder = build_small(shell.stick, KEY)
    made = shell.result(
        "pack", "diff", str(folder), "-o", str(tmp_path / "full.ebp"), "--key", str(write_key(tmp_path))
    )
    assert made["from_version"] is None
    assert shell.result("pack", "install", made["path"], "--trust", str(shell.public_key))["version"] == 1


def test_an_update_without_its_base_is_refused_with_its_exit_code(shell: Shell, tmp_path: Path) -> None:
    old, new = build_small(shell.stick, KEY), build_small(shell.stick, KEY, version=2, more="Then eat it.")
    patch = tmp_path / "p.ebp"
    assert main(["pack", "diff", str(old), str(new), "-o", str(patch), "--key", str(write_key(tmp_path))]) == 0
    done = shell.run("pack", "install", str(patch), "--trust", str(shell.public_key))
    assert done.returncode == PatchBaseMissing.exit_code
    assert done.stderr.startswith("edgebox: patch.base_missing:")
