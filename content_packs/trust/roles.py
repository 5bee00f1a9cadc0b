"""The roles of a depot, their names on disk, how long they hold, and how large they may be (docs/pack-format.md).

Names are lower case and safe on FAT32, so that a depot can be copied to a stick as it is.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from content_packs.format import layout
from content_packs.format.fields import is_local, is_pack_id

METADATA_NAME: Final = "metadata"
TOP_ROLES: Final = (Root.type, Targets.type, Snapshot.type, Timestamp.type)

# Roles that are kept offline hold for a year; the two at the hub for a school term, because sticks are carried slowly.
DAYS: Final = {Root.type: 366, Targets.type: 366, Snapshot.type: 120, Timestamp.type: 120}
PUBLISHER_DAYS: Final = 366
THRESHOLDS: Final = {Root.type: 2, Targets.type: 2, Snapshot.type: 1, Timestamp.type: 1}
KEY_COUNTS: Final = {Root.type: 3, Targets.type: 3, Snapshot.type: 1, Timestamp.type: 1}

PUBLISHERS_MAX: Final = 256
ROOT_ROTATIONS_MAX: Final = 256
ROOT_MAX_BYTES: Final = 64 * 1024
TIMESTAMP_MAX_BYTES: Final = 8 * 1024
SNAPSHOT_MAX_BYTES: Final = 256 * 1024
TARGETS_MAX_BYTES: Final = 4 * 1024 * 1024

# Our own fields in TUF records, all signed with the record they are in.
MADE_FIELD: Final = "edgebox_made_ms"
NAME_FIELD: Final = "edgebox_name"
WITHDRAWN_FIELD: Final = "edgebox_withdrawn"
SIGNER_FIELD: Final = "signer"


def target_path(pack: str, version: int) -> str:
    """Return the name of a pack version in a list, which is the place of its manifest in the depot."""
    return f"{layout.PACKS_NAME}/{pack}/{version}/{layout.MANIFEST_NAME}"


def parse_target_path(path: str) -> tuple[str, int] | None:
    """Return pack and version, or nothing when `path` cannot name a pack version."""
    parts = path.split("/")
    if len(parts) != 4 or not parts[2].isascii() or not parts[2].isdigit() or not is_pack_id(parts[1]):
        return None
    version = int(parts[2][:11])
    return (parts[1], version) if target_path(parts[1], version) == path and version <= layout.VERSION_MAX else None


def patterns(prefix: str) -> list[str]:
    """Return the TUF paths of what a publisher with this prefix may publish: the id itself, and all below it."""
    tail = f"*/{layout.MANIFEST_NAME}"
    return [f"{layout.PACKS_NAME}/{prefix}/{tail}", f"{layout.PACKS_NAME}/{prefix}.*/{tail}"]


def can_be_prefix(prefix: str) -> bool:
    """Return whether a publisher may be given this prefix; it is also the name of the publisher's role."""
    return is_pack_id(prefix) and prefix not in TOP_ROLES and not is_local(f"{prefix}.")


def overlap(one: str, other: str) -> bool:
    """Return whether two prefixes share a pack id."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def file_name(role: str, version: int) -> str:
    """Return the place of a role's record in the depot."""
    name = f"{role}.json" if role == Timestamp.type else f"{version}.{role}.json"
    return f"{METADATA_NAME}/{name}"


def to_time(now_ms: int) -> datetime:
    """Return milliseconds UTC as TUF has times: whole seconds."""
    return datetime.fromtimestamp(now_ms // 1000, UTC)


def to_ms(time: datetime) -> int:
    """Return a time as milliseconds UTC."""
    return int(time.timestamp() * 1000)


def expiry(role: str, now_ms: int) -> datetime:
    """Return until when a record made now holds."""
    return to_time(now_ms) + timedelta(days=DAYS.get(role, PUBLISHER_DAYS))
