"""Real contents in two versions each, laid out as trees of files in a cache folder under `var`."""

import contextlib
import gzip
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from content_packs.base.errors import EdgeboxError
from content_packs.format.names import check_path

CACHE: Final = Path(__file__).resolve().parents[2] / "var/benchmarks/updates"

_SENTENCE = b" Corrected in the second edition: see also the new exercise below.</p>"
_DEBIAN: Final = {
    "pgdoc": ("postgresql-doc-15", "15.18-0+deb12u1", "15.20-0+deb12u1", "usr/share/doc"),
    "pydoc": ("python3.11-doc", "3.11.2-6+deb12u8", "3.11.2-6+deb12u9", "usr/share/doc"),
    "nodedoc": ("nodejs-doc", "18.20.4+dfsg-1~deb12u2", "18.20.4+dfsg-1~deb12u3", "usr/share/doc"),
    "linuxdoc": ("linux-doc-6.1", "6.1.190-1", "6.1.192-2", "usr/share/doc/linux-doc-6.1/html"),
}
_NPM: Final = {
    "h5p": ("h5p-standalone", "3.8.0", "3.8.2"),
    "perseus": ("@khanacademy/perseus", "84.0.2", "84.1.0"),
    "pdfjs": ("pdfjs-dist", "6.4.299", "6.5.438"),
}


class NotHad(Exception):
    """Something that this machine cannot get or make; the message says what."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A content in two versions."""

    name: str
    old: Path
    new: Path


def pair(name: str) -> Pair:
    """Return the pair, laid out if need be.

    Raises:
        NotHad: it cannot be had here.
    """
    folder = CACHE / "trees" / name
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        for version in ("old", "new"):
            (folder / version).mkdir(parents=True)
        _MAKERS[name](folder)
        (folder / "done").touch()
    return Pair(name, folder / "old", folder / "new")


@contextlib.contextmanager
def fresh_folder(name: str) -> Iterator[Path]:
    """Give an empty folder in the cache, without what a run that was killed left in it; removed at the end."""
    folder = CACHE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def files_of(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in order."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _debian(name: str, folder: Path) -> None:
    package, *versions, inside = _DEBIAN[name]
    for version, place in zip(versions, ("old", "new"), strict=True):
        archive = _download(f"{package}_{version}_all.deb", ["apt-get", "download", f"{package}={version}"])
        with fresh_folder("scratch") as scratch:
            _run(["dpkg-deb", "-x", str(archive), str(scratch)])
            _lay_out(scratch / inside, folder / place)


def _npm(name: str, folder: Path) -> None:
    package, *versions = _NPM[name]
    for version, place in zip(versions, ("old", "new"), strict=True):
        file = f"{package.lstrip('@').replace('/', '-')}-{version}.tgz"
        archive = _download(file, ["npm", "pack", "--silent", f"{package}@{version}"])
        with fresh_folder("scratch") as scratch, tarfile.open(archive) as packed:
            packed.extractall(scratch, filter="data")
            _lay_out(scratch, folder / place)


def _epub(_name: str, folder: Path) -> None:
    """A book of one documentation set; in the new one three paragraphs of one chapter have a sentence more."""
    archive = _download("debian-handbook_11.20220922_all.deb", ["apt-get", "download", "debian-handbook=11.20220922"])
    with fresh_folder("scratch") as scratch:
        _run(["dpkg-deb", "-x", str(archive), str(scratch)])
        chapters = scratch / "usr/share/doc/debian-handbook/html/en-US"
        for place in ("old", "new"):
            _write_epub(chapters, folder / place / "book.epub", is_edited=place == "new")


def _write_epub(chapters: Path, out: Path, *, is_edited: bool) -> None:
    pages = [path for path in files_of(chapters) if path.suffix == ".html"]
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as book:
        book.writestr(zipfile.ZipInfo("mimetype"), "application/epub+zip", zipfile.ZIP_STORED)
        for path in files_of(chapters):
            content = path.read_bytes()
            if is_edited and path == pages[len(pages) // 2]:
                content = content.replace(b"</p>", _SENTENCE, 3)
            name = zipfile.ZipInfo(str(path.relative_to(chapters)))
            book.writestr(name, content, zipfile.ZIP_DEFLATED, 9)


def _pdf(_name: str, folder: Path) -> None:
    """A printed manual; in the new one the title and one page are changed and the file is saved again."""
    try:
        import pikepdf
    except ImportError as error:
        raise NotHad("pikepdf is not installed") from error
    archive = _download("debian-reference-en_2.100_all.deb", ["apt-get", "download", "debian-reference-en=2.100"])
    with fresh_folder("scratch") as scratch:
        _run(["dpkg-deb", "-x", str(archive), str(scratch)])
        source = next((scratch / "usr/share/debian-reference").glob("*.pdf"))
        for place in ("old", "new"):
            with pikepdf.open(source) as book:
                if place == "new":
                    book.docinfo["/Title"] = "Debian Reference, second printing"
                    book.pages[40].contents_add(b"BT /F1 9 Tf 60 40 Td (erratum) Tj ET")
                mode = pikepdf.ObjectStreamMode.generate
                book.save(folder / place / "book.pdf", object_stream_mode=mode, deterministic_id=True)


def _mp4(_name: str, folder: Path) -> None:
    """A film of 30 seconds; the new one has a title and subtitles and its index in front, with the same pictures."""
    old, new = folder / "old" / "film.mp4", folder / "new" / "film.mp4"
    sound = "aevalsrc='0.3*sin(300*t)*sin(2*t)+0.05*random(0)':s=32000"
    made = ["-t", "30", "-c:v", "libx264", "-preset", "veryfast", "-crf", "34", "-c:a", "aac", "-b:a", "64k"]
    _run(
        ["ffmpeg", "-y", "-f", "lavfi", "-i", "mandelbrot=s=640x360:r=15", "-f", "lavfi", "-i", sound, *made, str(old)]
    )
    captions = folder / "captions.srt"
    captions.write_text("".join(_caption(number) for number in range(50)))
    title = ["-metadata", "title=Lesson 7 (revised)", "-movflags", "+faststart"]
    copied = ["-map", "0", "-map", "1", "-c", "copy", "-c:s", "mov_text"]
    _run(["ffmpeg", "-y", "-i", str(old), "-i", str(captions), *copied, *title, str(new)])


def _caption(number: int) -> str:
    start = f"00:{number * 3 // 60:02d}:{number * 3 % 60:02d}"
    end = f"00:{(number * 3 + 2) // 60:02d}:{(number * 3 + 2) % 60:02d}"
    return f"{number}\n{start},000 --> {end},000\nSentence number {number} of the lesson, translated.\n\n"


def _lay_out(source: Path, target: Path) -> None:
    """Copy plain files whose names a pack may have; what is stored compressed for the disk is unpacked."""
    for path in files_of(source):
        name = path.relative_to(source)
        if path.is_symlink() or not _is_pack_name(name.as_posix()):
            continue
        content = path.read_bytes()
        if name.suffix == ".gz":
            content, name = gzip.decompress(content), name.with_suffix("")
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content)


def _is_pack_name(name: str) -> bool:
    try:
        check_path(name)
    except EdgeboxError:
        return False
    return True


def _download(file: str, command: list[str]) -> Path:
    folder = CACHE / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / file).exists():
        _run(command, folder)
    if not (folder / file).exists():
        raise NotHad(f"{file} cannot be had any more")
    return folder / file


def _run(command: list[str], folder: Path | None = None) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NotHad(f"{command[0]} does not work here") from error


_MAKERS: Final[dict[str, Callable[[Path], None]]] = {
    **{name: (lambda folder, name=name: _debian(name, folder)) for name in _DEBIAN},
    **{name: (lambda folder, name=name: _npm(name, folder)) for name in _NPM},
    "epub": lambda folder: _epub("epub", folder),
    "pdf": lambda folder: _pdf("pdf", folder),
    "mp4": lambda folder: _mp4("mp4", folder),
}
NAMES: Final = tuple(_MAKERS)
