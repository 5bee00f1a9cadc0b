"""`edgebox pack import`: one file in a foreign format becomes a signed pack."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from content_packs.format.errors import PackNotFound
from edgebox.commands.answer import answer
from edgebox.commands.options import add_common_options, settings_from
from edgebox.commands.publisher_key import add_key_options, publisher_key

if TYPE_CHECKING:
    from edgebox.commands import Subparsers


def register(actions: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the action to those of `pack`."""
    parser = actions.add_parser(
        "import",
        help="make a signed pack of a zipped web app or a cmi5 course",
        epilog="example: edgebox pack import kettle.zip -o /media/usb0 --language en --license CC-BY-4.0",
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="ZIP file with index.html or cmi5.xml, or a cmi5 course structure"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help="folder or stick to write to")
    parser.add_argument("--title", default="", metavar="TEXT", help="title [that of the first page]")
    parser.add_argument("--language", default="", metavar="TAG", help="language such as en [that of the first page]")
    parser.add_argument("--license", default="", metavar="TEXT", help="licence [what the first page says]")
    parser.add_argument("--level", default="", metavar="TEXT", help="school level")
    parser.add_argument("--id", default="", dest="pack", metavar="ID", help="id of the pack [made of the title]")
    parser.add_argument("--version", type=int, default=1, metavar="N", help="version of the pack [1]")
    add_key_options(parser)
    add_common_options(parser)
    parser.set_defaults(run=_import)


def _import(options: argparse.Namespace) -> int:
    from content_packs.builder import build
    from content_packs.importers.importing import Wishes, imported
    from edgebox.commands.operation import progress_bar

    if not options.file.is_file():
        raise PackNotFound(place=str(options.file))
    wishes = Wishes(
        pack=options.pack,
        version=lambda _pack: options.version,
        title=options.title,
        language=options.language,
        license=options.license,
        level=options.level,
    )
    public_key, key = publisher_key(options)
    with (
        progress_bar() as bar,
        imported(options.file, settings_from(options).staging, wishes, bar.show) as course,
    ):
        built = build(course.source, options.out, key)
    remarks = [{"file": remark.file, "reason": remark.reason} for remark in course.remarks]
    result = {
        "folder": str(built.folder),
        "pack": built.manifest.pack,
        "version": built.manifest.version,
        "format": course.format,
        "files": built.files,
        "size_bytes": built.size_bytes,
        "remarks": remarks,
        "public_key": str(public_key),
    }
    lines = [
        f"{built.manifest.pack} version {built.manifest.version}: {built.files} files, {built.size_bytes} bytes",
        *(f"{remark.file}: {remark.reason}" for remark in course.remarks),
        f"Pack: {built.folder}",
        f"Boxes trust it with: {public_key}",
    ]
    return answer(options, result, lines)
