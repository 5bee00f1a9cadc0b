"""What an operator does with a depot: let publishers in, publish, withdraw, change keys, keep it fresh.

Every function changes records in memory and, for packs, writes files that no list names yet; `Depot.commit` then makes
all of it visible at once.
"""

from pathlib import Path

from tuf.api.metadata import DelegatedRole, Metadata, Root, TargetFile, Targets

from content_packs.base.errors import N_
from content_packs.base.signing import VerifyKey
from content_packs.format import layout
from content_packs.format.envelope import open_envelope, open_unverified, split_envelope
from content_packs.format.manifest import Manifest
from content_packs.trust import roles
from content_packs.trust.depot import KEYS_MISSING, Depot, Keys
from content_packs.trust.errors import DepotRefused
from content_packs.trust.keys import ListKey
from content_packs.usb.reading import PackFolder
from content_packs.usb.writing import PackWriter, check_parts

BAD_PREFIX = N_("this cannot be the beginning of pack ids of a publisher")
OVERLAPS = N_("another publisher has pack ids that begin like this")
TOO_MANY = N_("a depot has at most 256 publishers")
NO_PUBLISHER = N_("no publisher was given this pack id; use --delegate first")
OTHER_CONTENT = N_("the depot has this version with other content; raise the version")
WITHDRAWN = N_("this version was withdrawn and cannot be published again")
NOT_LISTED = N_("the depot does not list this version")
NO_ROLE = N_("no role of this depot has this key")


def delegate(depot: Depot, prefix: str, key: VerifyKey, name: str) -> None:
    """Let the holder of a key publish the pack ids that are `prefix` or begin with it and a dot.

    For a prefix that has a publisher this changes the publisher's key. What was listed under the key before comes back
    with the publisher's next run.

    Raises:
        DepotRefused: the prefix cannot be given.
    """
    if not roles.can_be_prefix(prefix):
        raise DepotRefused(place=prefix, reason=BAD_PREFIX)
    if any(roles.overlap(prefix, other) for other in depot.delegated if other != prefix):
        raise DepotRefused(place=prefix, reason=OVERLAPS)
    given = {**depot.delegated}
    given[prefix] = DelegatedRole(
        prefix, [key.key_id.hex()], 1, True, roles.patterns(prefix), unrecognized_fields={roles.NAME_FIELD: name}
    )
    if len(given) > roles.PUBLISHERS_MAX:
        raise DepotRefused(place=prefix, reason=TOO_MANY)
    depot.delegations.keys[key.key_id.hex()] = ListKey(key)
    _give(depot, given)
    if prefix not in depot.publishers:
        record = Targets(expires=depot.targets.signed.expires)
        record.version = depot.listed_version(prefix)
        depot.publishers[prefix] = Metadata(record)


def undelegate(depot: Depot, prefix: str) -> None:
    """Take a publisher's right away: no box takes a pack of it any more; those on boxes go on working.

    Raises:
        DepotRefused: there is no such publisher.
    """
    if prefix not in depot.delegated:
        raise DepotRefused(place=prefix, reason=NO_PUBLISHER)
    _give(depot, {name: role for name, role in depot.delegated.items() if name != prefix})
    del depot.publishers[prefix]


def add_pack(depot: Depot, folder: Path, keys: Keys, *, part_bytes: int = layout.PART_BYTES) -> Manifest:
    """Copy a pack into the depot and list it; safe to repeat. Blocks.

    Raises:
        SignerUnknown and the other refusals of a manifest: it is not signed by the publisher of its id.
        BlobMissing, BlobAltered: the pack is not whole; nothing is listed then.
        DepotRefused: nobody was given its id, keys are missing, or its version has or had other content.
    """
    with PackFolder(folder) as pack:
        envelope = pack.read_manifest()
        claimed = open_unverified(envelope)
        prefix = _owner(depot, claimed.pack)
        manifest, signer = open_envelope(envelope, _keys_of(depot, prefix))
        if not depot.can_sign(prefix, keys):
            raise DepotRefused(place=prefix, reason=KEYS_MISSING)
        if _is_listed(depot, prefix, manifest, envelope):
            return manifest
        check_parts(manifest, part_bytes)
        writer = PackWriter(depot.folder / layout.PACKS_NAME / manifest.pack / str(manifest.version))
        for entry in manifest.blobs.values():
            writer.write_blob(entry, pack.read_blob(entry))
        writer.finish(manifest, envelope)
    path = roles.target_path(manifest.pack, manifest.version)
    target = TargetFile.from_data(path, envelope, ["sha256"])
    target.unrecognized_fields["custom"] = {roles.SIGNER_FIELD: _keys_of(depot, prefix)[signer].raw.hex()}
    depot.publishers[prefix].signed.targets[path] = target
    depot.touch(prefix)
    return manifest


def withdraw(depot: Depot, pack: str, version: int, keys: Keys) -> None:
    """Take a version back, in the publisher's name if its key is at hand, else in that of the platform.

    Raises:
        DepotRefused: the version is not listed, or neither has its keys here.
    """
    path = roles.target_path(pack, version)
    prefix = _owner(depot, pack)
    record = depot.publishers[prefix]
    if path not in record.signed.targets:
        raise DepotRefused(place=f"{pack} {version}", reason=NOT_LISTED)
    role = prefix if depot.can_sign(prefix, keys) else Targets.type
    if role == prefix:
        del record.signed.targets[path]
    else:
        record = depot.targets
    withdrawn = record.signed.unrecognized_fields.setdefault(roles.WITHDRAWN_FIELD, [])
    withdrawn.append(path)
    depot.touch(role)


def roles_of(depot: Depot, key: VerifyKey) -> list[str]:
    """Return the roles of the platform that have a key.

    Raises:
        DepotRefused: none has.
    """
    having = [role for role in roles.TOP_ROLES if key.key_id.hex() in depot.root.signed.roles[role].keyids]
    if not having:
        raise DepotRefused(place=key.key_id.hex(), reason=NO_ROLE)
    return having


def replace_key(depot: Depot, old: VerifyKey, new: VerifyKey) -> None:
    """Put a new key in the place of one of the platform's, in all roles that have it. Raises like `roles_of`."""
    for role in roles_of(depot, old):
        depot.root.signed.revoke_key(old.key_id.hex(), role)
        depot.root.signed.add_key(ListKey(new), role)
        if role == Targets.type:
            depot.touch(role)
    depot.touch(Root.type)


def renew(depot: Depot, keys: Keys, now_ms: int) -> None:
    """Touch every record of which half the time is over and whose keys are at hand; the list itself is always new."""
    for role in (Root.type, Targets.type, *depot.publishers):
        half_ms = (roles.to_ms(roles.expiry(role, now_ms)) - now_ms) // 2
        if depot.is_written(role) and depot.holds_until(role) - now_ms < half_ms and depot.can_sign(role, keys):
            depot.touch(role)


def _give(depot: Depot, given: dict[str, DelegatedRole]) -> None:
    used = {keyid for role in given.values() for keyid in role.keyids}
    depot.delegations.roles = given
    depot.delegations.keys = {keyid: key for keyid, key in depot.delegations.keys.items() if keyid in used}
    depot.touch(Targets.type)


def _owner(depot: Depot, pack: str) -> str:
    for prefix in depot.delegated:
        if pack == prefix or pack.startswith(f"{prefix}."):
            return prefix
    raise DepotRefused(place=pack, reason=NO_PUBLISHER)


def _keys_of(depot: Depot, prefix: str) -> dict[bytes, VerifyKey]:
    keys = [depot.delegations.keys[keyid] for keyid in depot.delegated[prefix].keyids]
    return {key.verify_key.key_id: key.verify_key for key in keys if isinstance(key, ListKey)}


def _is_listed(depot: Depot, prefix: str, manifest: Manifest, envelope: bytes) -> bool:
    """Return whether the depot lists this very pack; its manifest file is never replaced once readers may have it."""
    path, signed = roles.target_path(manifest.pack, manifest.version), depot.publishers[prefix].signed
    for record in (signed, depot.targets.signed):
        if path in record.unrecognized_fields.get(roles.WITHDRAWN_FIELD, []):
            raise DepotRefused(place=f"{manifest.pack} {manifest.version}", reason=WITHDRAWN)
    if path not in signed.targets:
        return False
    there = (depot.folder / path).read_bytes()
    if split_envelope(there).signed != split_envelope(envelope).signed:
        raise DepotRefused(place=f"{manifest.pack} {manifest.version}", reason=OTHER_CONTENT)
    return True
