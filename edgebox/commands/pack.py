"""`edgebox pack`: build, verify, install, list and remove course packs; importing and publishing are beside it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from content_packs.format.errors import BlobAltered, BlobMissing, PackNotFound
from edgebox.commands import pack_diff, pack_import, pack_publish
from edgebox.commands.answer import answer, operate
from edgebox.commands.options import add_common_options, only_pack, settings_from
from edgebox.commands.publisher_key import add_key_options, publisher_key
from edgebox.commands.wording import day_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from content_packs.base.signing import VerifyKey
    from edgebox.commands import Subparsers


def register(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "pack",
        help="build, import, verify, install, list, remove, publish",
        epilog="example: edgebox pack install /media/usb0",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _register_build(actions)
    pack_diff.register(actions)
    pack_import.register(actions)
    verify = actions.add_parser(
        "verify", help="check a pack from end to end", epilog="example: edgebox pack verify out --trust press.pub"
    )
    verify.add_argument("folder", type=Path, metavar="FOLDER", help="the pack, or a folder that holds just one")
    verify.add_argument("--trust", type=Path, metavar="PUB", help="public key of the publisher")
    install = actions.add_parser(
        "install", help="put a pack on the box", epilog="example: edgebox pack install out --trust press.pub"
    )
    install.add_argument(
        "folder",
        type=_place,
        nargs="?",
        metavar="FOLDER|URL",
        help="the pack, a folder that holds just one, a patch, or an address",
    )
    install.add_argument(
        "--trust", type=Path, metavar="FILE", help="trust this publisher (.pub) or platform (root) from now on"
    )
    install.add_argument(
        "--parts", metavar="IDS", help="take only these parts, with commas between, besides those the box has [all]"
    )
    listed = actions.add_parser("list", help="list the packs on the box", epilog="example: edgebox pack list --json")
    listed.add_argument("--updates", action="store_true", help="look for newer versions at the hub, depots, neighbours")
    remove = actions.add_parser(
        "remove", help="take a pack off the box", epilog="example: edgebox pack remove org.example.fractions"
    )
    remove.add_argument("pack", metavar="ID", help="id of the pack")
    pack_publish.register(actions)
    for action, run in ((verify, _verify), (install, _install), (listed, _list), (remove, _remove)):
        add_common_options(action)
        action.set_defaults(run=run)
    install.set_defaults(refuse=install.error)


def _register_build(actions: "Subparsers[argparse.ArgumentParser]") -> None:
    build = actions.add_parser(
        "build",
        help="make a signed pack of a course folder",
        epilog="example: edgebox pack build fractions/ -o /media/usb0 --key press.key",
    )
    build.add_argument("source", type=Path, metavar="SRC", help="folder with pack.toml")
    build.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help="folder or stick to write to")
    add_key_options(build)
    add_common_options(build)
    build.set_defaults(run=_build)


def _build(options: argparse.Namespace) -> int:
    from content_packs.builder import build

    public_key, key = publisher_key(options)
    built = build(options.source, options.out, key)
    result = {
        "folder": str(built.folder),
        "pack": built.manifest.pack,
        "version": built.manifest.version,
        "files": built.files,
        "size_bytes": built.size_bytes,
        "public_key": str(public_key),
    }
    lines = [
        f"{built.manifest.pack} version {built.manifest.version}: {built.files} files, {built.size_bytes} bytes",
        f"Pack: {built.folder}",
        f"Boxes trust it with: {public_key}",
    ]
    return answer(options, result, lines)


def _verify(options: argparse.Namespace) -> int:
    from content_packs.installer import verify

    report = verify(only_pack(options.folder), _trusted(options))
    manifest = report.manifest
    bad_files = [{"file": bad.file, "code": bad.code} for bad in report.bad_files]
    result = {"pack": manifest.pack, "version": manifest.version, "is_good": report.is_good, "bad_files": bad_files}
    lines = [f"{bad.file}: {bad.code}" for bad in report.bad_files]
    if report.is_good:
        lines = [f"{manifest.pack} version {manifest.version} is good: {len(manifest.files)} files"]
    answer(options, result, lines)
    for bad in report.bad_files:
        raise {error.code: error for error in (BlobMissing, BlobAltered)}[bad.code](file=bad.file)
    return 0


def _trusted(options: argparse.Namespace) -> "Mapping[bytes, VerifyKey]":
    """Return the key given, or the rules by which the box takes packs; those it made itself only it can check."""
    from content_packs.base.clock import SystemClock
    from content_packs.format import keyfile
    from edgebox.services.trust import Trust

    if options.trust is None:
        trust = Trust(settings_from(options), SystemClock())
        trust.reload()
        return trust.keyring()
    key, _name = keyfile.parse_public(_read(options.trust), options.trust.name)
    return {key.key_id: key}


def _install(options: argparse.Namespace) -> int:
    if options.folder is None and options.trust is None:
        options.refuse("name a pack, a file to --trust, or both")
    trust = _read(options.trust).decode(errors="replace") if options.trust else None
    parts = None if options.parts is None else [part for part in options.parts.split(",") if part]
    if isinstance(options.folder, str):
        result = operate(options, "pack.fetch", {"address": options.folder, "trust": trust})
    else:
        folder = str(only_pack(options.folder)) if options.folder else None
        result = operate(options, "pack.install", {"folder": folder, "trust": trust, "parts": parts})
    lines = [f"Trusted from now on: {result['trusted']}"] if "trusted" in result else []
    lines += [f"Installed {result['pack']} version {result['version']}"] if options.folder else []
    return answer(options, result, lines)


def _list(options: argparse.Namespace) -> int:
    if options.updates:
        return _list_updates(options)
    result = operate(options, "pack.list", {})
    lines = [line for pack in result["packs"] for line in _lines(pack)]
    made = [f"The list of packs is from {day_of(result['list_made_ms'])}."] if "list_made_ms" in result else []
    return answer(options, result, [*(lines or ["No packs are installed."]), *made])


def _lines(pack: dict[str, Any]) -> list[str]:
    """Return a pack in one line, and below it what is special about it."""
    lines = [f"{pack['pack']}  version {pack['version']}  {pack['size_bytes']} bytes  {pack['publisher']}"]
    if pack["standing"] != "good":
        lines[0] += f"  {pack['standing']}"
    if pack["overlay_of"]:
        return [*lines, f"  lies over {pack['overlay_of']}"]
    lines.append("  " + ", ".join(f"{language} {percent} %" for language, percent in pack["localised_percent"].items()))
    if pack["overlays"]:
        lines.append("  under " + ", ".join(pack["overlays"]))
    if pack["parts"]:
        words = [part if taken else f"{part} (left out)" for part, taken in pack["parts"].items()]
        lines.append("  parts: " + ", ".join(words))
    return lines


def _list_updates(options: argparse.Namespace) -> int:
    result = operate(options, "pack.updates", {})
    lines = [
        f"{update['pack']}  version {update['version']}  {update['state']}  {', '.join(update['sources'])}"
        for update in result["updates"]
    ]
    return answer(options, result, lines or ["No newer versions were found."])


def _remove(options: argparse.Namespace) -> int:
    result = operate(options, "pack.remove", {"pack": options.pack})
    return answer(options, result, [f"Removed {result['removed']}"])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PackNotFound(place=str(path)) from error


def _place(text: str) -> Path | str:
    """Return an address as it is, anything else as a path."""
    return text if text.startswith(("http://", "https://")) else Path(text)
