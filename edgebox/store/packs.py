"""Rows of `pack`: which packs this box has and had. The manifests themselves are files."""

import sqlite3

from content_packs.format.manifest import Manifest
from edgebox.store.jobs import JobState, update_job
from edgebox.store.log import append_change
from sync.records.kinds import Kind


def record_install(connection: sqlite3.Connection, manifest: Manifest, signer: bytes, now_ms: int) -> None:
    """Make this version the active one of its pack; safe to repeat."""
    pack, version = manifest.pack, manifest.version
    active = _active_versions(connection, pack)
    if version in active:
        return
    for older in active:
        _deactivate(connection, pack, older)
    connection.execute(
        "INSERT INTO pack (id, version, root, signer, size_bytes, installed_ms) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id, version) DO UPDATE SET root = excluded.root, signer = excluded.signer,"
        " size_bytes = excluded.size_bytes, installed_ms = excluded.installed_ms, is_active = 1",
        (pack, version, manifest.root, signer, manifest.size_bytes, now_ms),
    )
    append_change(connection, Kind.PACK_INSTALL, _key(pack, version))


def finish_install(connection: sqlite3.Connection, job_no: int, manifest: Manifest, signer: bytes, now_ms: int) -> None:
    """Write the pack and the end of the job that brought it; safe to repeat."""
    record_install(connection, manifest, signer, now_ms)
    update_job(connection, job_no, JobState.DONE, now_ms=now_ms)


def record_removal(connection: sqlite3.Connection, pack: str) -> None:
    """Note that no version of a pack is active any more; safe to repeat."""
    for version in _active_versions(connection, pack):
        _deactivate(connection, pack, version)


def list_roots(connection: sqlite3.Connection) -> dict[tuple[str, int], bytes]:
    """Return the Merkle root of every active version, by pack and version."""
    rows = connection.execute("SELECT id, version, root FROM pack WHERE is_active = 1").fetchall()
    return {(row[0], row[1]): row[2] for row in rows}


def _active_versions(connection: sqlite3.Connection, pack: str) -> list[int]:
    rows = connection.execute("SELECT version FROM pack WHERE id = ? AND is_active = 1", (pack,))
    return [row[0] for row in rows.fetchall()]


def _deactivate(connection: sqlite3.Connection, pack: str, version: int) -> None:
    connection.execute("UPDATE pack SET is_active = 0 WHERE id = ? AND version = ?", (pack, version))
    append_change(connection, Kind.PACK_INSTALL, _key(pack, version))


def _key(pack: str, version: int) -> bytes:
    """Return the key of a row in the log: `<pack>@<version>`."""
    return f"{pack}@{version}".encode()
