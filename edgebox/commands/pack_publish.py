"""`edgebox pack publish`: what the operator of a depot does; docs/operator.md has a worked example."""

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from content_packs.base.clock import SystemClock
from content_packs.base.errors import N_
from content_packs.format.errors import PackNotFound
from edgebox.commands.answer import answer
from edgebox.commands.options import add_common_options, only_pack

if TYPE_CHECKING:
    from content_packs.base.signing import SigningKey, VerifyKey
    from content_packs.trust.depot import Depot, Keys
    from edgebox.commands import Subparsers

KEY_SUFFIX = ".key"
NOT_A_FOLDER = N_("--keys has to name one folder first, for the keys that are made now")


def register(actions: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the action to those of `edgebox pack`."""
    parser = actions.add_parser(
        "publish",
        help="put packs into a depot, whose list tells boxes whom to trust",
        epilog="example: edgebox pack publish out/edgebox/packs/org.example.water/1 --depot depot --keys hub press.key",
    )
    parser.add_argument("folders", type=Path, nargs="*", metavar="PACK", help="packs; without any, the list is renewed")
    parser.add_argument("--depot", type=Path, required=True, metavar="DIR", help="the depot")
    parser.add_argument(
        "--keys", type=Path, nargs="+", required=True, metavar="PATH", help="secret keys, or folders of them"
    )
    step = parser.add_mutually_exclusive_group()
    step.add_argument("--init", action="store_true", help="begin a depot; its keys are made in the folder of --keys")
    step.add_argument(
        "--delegate", nargs=2, metavar=("PUB", "PREFIX"), help="let this publisher publish ids that begin with PREFIX"
    )
    step.add_argument("--undelegate", metavar="PREFIX", help="take a publisher's right away")
    step.add_argument("--withdraw", nargs=2, metavar=("ID", "VERSION"), help="take a version of a pack back")
    step.add_argument("--replace-key", type=Path, metavar="PUB", help="make a new key in the place of this one")
    add_common_options(parser)
    parser.set_defaults(run=_publish, refuse=parser.error)


def _publish(options: argparse.Namespace) -> int:
    from content_packs.trust.depot import Depot, key_ids

    now_ms = SystemClock().now_ms()
    if options.init:
        return _init(options, now_ms)
    depot = Depot.open(options.depot)
    keys = key_ids(_read_keys(options.keys))
    lines = list(_steps(options, depot, keys, now_ms))
    return _commit(options, depot, keys, lines, now_ms)


def _init(options: argparse.Namespace, now_ms: int) -> int:
    from content_packs.trust import roles
    from content_packs.trust.depot import Depot, key_ids

    folder = _key_folder(options)
    names = {
        role: [role if count == 1 else f"{role}-{no}" for no in range(1, count + 1)]
        for role, count in roles.KEY_COUNTS.items()
    }
    keys = {role: [_key(folder / f"{name}{KEY_SUFFIX}", name) for name in names[role]] for role in names}
    verify_keys = {role: [key.verify_key for key in made] for role, made in keys.items()}
    depot = Depot.create(options.depot, verify_keys, now_ms)
    root = options.depot / roles.file_name("root", 1)
    lines = [f"Keys: {folder}; keep those of root and targets offline, with three people", f"Boxes begin with: {root}"]
    return _commit(options, depot, key_ids(key for made in keys.values() for key in made), lines, now_ms)


def _steps(options: argparse.Namespace, depot: "Depot", keys: "Keys", now_ms: int) -> Iterator[str]:
    """Do what was asked for in memory, and give a line about each step."""
    from content_packs.trust import publishing

    if options.delegate:
        key, name = _public(Path(options.delegate[0]))
        publishing.delegate(depot, options.delegate[1], key, name)
        yield f"{name} may publish {options.delegate[1]}"
    if options.undelegate:
        publishing.undelegate(depot, options.undelegate)
        yield f"Nobody may publish {options.undelegate} any more"
    if options.withdraw:
        pack, version = options.withdraw
        if not version.isdecimal():
            options.refuse("VERSION is a number")
        publishing.withdraw(depot, pack, int(version), keys)
        yield f"Withdrawn: {pack} version {version}"
    if options.replace_key:
        yield from _replace_key(options, depot, keys)
    for folder in options.folders:
        manifest = publishing.add_pack(depot, only_pack(folder), keys)
        yield f"Published: {manifest.pack} version {manifest.version}"
    publishing.renew(depot, keys, now_ms)


def _replace_key(options: argparse.Namespace, depot: "Depot", keys: "Keys") -> Iterator[str]:
    from content_packs.builder import create_key
    from content_packs.trust import publishing

    old, _name = _public(options.replace_key)
    role = publishing.roles_of(depot, old)[0]
    folder = _key_folder(options)
    path = _free_path(folder, role)
    new = create_key(path, path.stem)
    publishing.replace_key(depot, old, new.verify_key)
    keys[new.verify_key.key_id.hex()] = new
    yield f"New key of {role}: {path}"


def _commit(options: argparse.Namespace, depot: "Depot", keys: "Keys", lines: list[str], now_ms: int) -> int:
    is_seen = depot.commit(keys, now_ms)
    result: dict[str, Any] = {"depot": str(options.depot), "list": depot.version, "is_seen": is_seen, "steps": lines}
    if is_seen:
        result["expires_ms"] = depot.holds_until("timestamp")
        lines = [*lines, f"List {depot.version} is in {options.depot}"]
    else:
        lines = [*lines, "Boxes see it after the hub's next: edgebox pack publish --depot DIR --keys HUB"]
    return answer(options, result, lines)


def _key_folder(options: argparse.Namespace) -> Path:
    from content_packs.trust.errors import DepotRefused

    folder: Path = options.keys[0]
    if folder.exists() and not folder.is_dir():
        raise DepotRefused(place=str(folder), reason=NOT_A_FOLDER)
    return folder


def _free_path(folder: Path, role: str) -> Path:
    """Return a file for a role's next key; where the secret half of one was taken offline its public half is left."""
    taken = {path.name.removesuffix(".pub") for path in folder.glob(f"{role}-*")}
    names = (f"{role}-{number}{KEY_SUFFIX}" for number in itertools.count(2))
    return folder / next(name for name in names if name not in taken)


def _key(path: Path, name: str) -> "SigningKey":
    """Return the key in `path`, made if need be: an interrupted beginning is begun again with the same keys."""
    from content_packs.builder import create_key, read_key

    return read_key(path) if path.exists() else create_key(path, name)


def _read_keys(paths: list[Path]) -> "list[SigningKey]":
    from content_packs.builder import read_key

    files = [file for path in paths for file in (sorted(path.glob(f"*{KEY_SUFFIX}")) if path.is_dir() else [path])]
    return [read_key(file) for file in files]


def _public(path: Path) -> "tuple[VerifyKey, str]":
    from content_packs.format import keyfile

    try:
        content = path.read_bytes()
    except OSError as error:
        raise PackNotFound(place=str(path)) from error
    return keyfile.parse_public(content, path.name)
