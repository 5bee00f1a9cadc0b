"""Files put onto a box as if a pack of them had been installed; and HTTP spoken by hand."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from content_packs.base.hashing import blake2b_256
from content_packs.base.signing import SigningKey
from content_packs.format import envelope, layout
from content_packs.format.manifest import FileEntry, Manifest

PACK = "org.example.pack"


def install_files(
    data: Path, files: Mapping[str, tuple[bytes, str]], *, pack: str = PACK, version: int = 1
) -> dict[str, bytes]:
    """Install `path: (content, media type)` and return the hash of each; blocks."""
    entries = []
    for path, (content, media_type) in sorted(files.items()):
        entry = FileEntry(path, len(content), blake2b_256(content), media_type)
        blob = data / layout.blob_name(entry.hash)
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        entries.append(entry)
    manifest = Manifest(
        pack=pack,
        version=version,
        title={"en": "Test"},
        description={},
        languages=("en",),
        license="https://creativecommons.org/publicdomain/zero/1.0/",
        files=tuple(entries),
        lessons=(),
        resources=(),
    )
    folder = data / "packs"
    folder.mkdir(parents=True, exist_ok=True)
    sealed = envelope.seal_envelope(manifest, [SigningKey.generate()])
    (folder / layout.installed_name(pack, version)).write_bytes(sealed)
    return {entry.path: entry.hash for entry in entries}


async def send_raw(port: int, request: bytes) -> bytes:
    """Send bytes, and return all that comes until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        await writer.drain()
        return await reader.read()
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
