"""The plan of a patch: how the new manifest and the new contents come out of the old ones (docs/pack-format.md, Patch,
Plan). Read against the old manifest; decides nothing about trust.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from content_packs.base import codec, hashing
from content_packs.base.codec import CodecMalformed
from content_packs.base.hashing import HASH_BYTES
from content_packs.base.signing import KEY_ID_BYTES, SIGNATURE_BYTES
from content_packs.format import texts
from content_packs.format.envelope import FORMAT as ENVELOPE_FORMAT
from content_packs.format.envelope import Envelope
from content_packs.format.errors import ManifestMalformed
from content_packs.format.fields import Fields
from content_packs.format.manifest import MANIFEST_MAX_BYTES
from content_packs.format.selection import Selection
from content_packs.patch import table
from content_packs.patch.compact import CompactBases, CompactEntries, CompactTargets
from content_packs.patch.containers import KINDS
from content_packs.patch.errors import PatchMalformed, PatchUnsupported
from content_packs.patch.head import FEATURE_PARTS, PatchHead
from content_packs.patch.table import HASH, NO_BASE, SIZE, Entry, Table, Target

STREAMS_MAX: Final = 1_000_000
PLAN_MAX_BYTES: Final = MANIFEST_MAX_BYTES + 32 * 1024**2
_TOLD_ELSEWHERE: Final = ("files", "root", "pack", "version")


@dataclass(frozen=True, slots=True)
class Container:
    """How a target is put together from its opened form.

    Attributes:
        kind: which opener the base goes through, and the target came through.
        opened_bytes: length of the opened form of the target.
        left: the streams of the base, by number, that stay as they are.
        parameters: one per stream of the target, for the compressor.
    """

    kind: int
    opened_bytes: int
    left: tuple[int, ...]
    parameters: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """One frame of the body.

    Attributes:
        frame_bytes: its length, 0 when there is nothing in it or it is a copy.
        targets: how many whole targets it holds; their bases, each once and in order, are what it is read against.
        piece_bytes: instead, how much of one target it holds; read against `length` bytes at `offset` of its base,
            or, without a frame, a copy of those.
    """

    frame_bytes: int
    targets: int = 0
    piece_bytes: int = 0
    offset: int = 0
    length: int = 0

    @property
    def is_copy(self) -> bool:
        """Return whether it is a part of the base as it is."""
        return bool(self.piece_bytes) and not self.frame_bytes


@dataclass(frozen=True, slots=True)
class Work:
    """How the new contents are made. Holds none of the lists of files, which may be long.

    Attributes:
        bases: hash and size of the old contents that are needed, by their number in the old list.
        parts: the numbers of the parts that each target is in which a box may do without.
        order: the numbers of the targets as the groups make them.
    """

    targets: Sequence[Target]
    bases: Mapping[int, tuple[bytes, int]]
    containers: Mapping[int, Container]
    parts: Mapping[int, tuple[int, ...]]
    order: Sequence[int]
    groups: tuple[Group, ...]

    def stream_bytes(self, target: int) -> int:
        """Return how many bytes of the groups make this target."""
        opened = self.containers.get(target)
        return opened.opened_bytes if opened else self.targets[target].size_bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything but the contents.

    Attributes:
        told: the hashes of the targets that a box may do without.
    """

    rest: Mapping[str, Any]
    signatures: tuple[tuple[bytes, bytes], ...]
    table: Table
    work: Work
    told: Mapping[int, bytes]

    @property
    def title(self) -> Mapping[str, str]:
        """Return the title of the new version; empty when the new manifest would be refused for it."""
        try:
            return Fields(dict(self.rest), "").some_by_language("title", longest=texts.TITLE_MAX)
        except ManifestMalformed:
            return {}

    def left_out(self, selection: Selection) -> frozenset[int]:
        """Return the numbers of the parts that are not in `selection`.

        Raises:
            PatchMalformed: the new manifest does not say what its parts are.
        """
        try:
            ids = [str(part["id"]) for part in self.rest.get(FEATURE_PARTS, ())]
        except (TypeError, LookupError) as error:
            raise PatchMalformed(reason="parts") from error
        return frozenset(number for number, one in enumerate(ids, 1) if not selection.takes_id(one))


@dataclass(frozen=True, slots=True)
class Known:
    """What both sides know of a version: its file entries, and the other fields of its manifest as they are."""

    fields: Mapping[str, Any]
    entries: Sequence[Entry]

    @property
    def root(self) -> bytes:
        """Return the Merkle root its publisher signed."""
        return bytes(self.fields["root"])

    @property
    def rest(self) -> dict[str, Any]:
        """Return what a plan tells in full: all but files, root, pack and version."""
        return {key: value for key, value in self.fields.items() if key not in _TOLD_ELSEWHERE}

    def plan_base(self) -> bytes:
        """Return what the plan of a patch from this version is compressed against."""
        return codec.encode(self.rest) if self.fields else b""


def known(envelope: Envelope | None) -> Known:
    """Return what an envelope tells that was verified when its pack was installed or built.

    Raises:
        CodecMalformed: it is damaged.
    """
    if envelope is None:
        return Known({}, ())
    fields, places = codec.split_list(envelope.signed, "files", max_bytes=MANIFEST_MAX_BYTES)
    return Known(fields, CompactEntries(envelope.signed, places))


def write_plan(
    old: Known,
    new: Envelope,
    steps: Sequence[Any],
    containers: Mapping[int, Container],
    groups: Sequence[Group],
    signer: bytes,
    told: Sequence[bytes],
    *,
    is_by_name: bool,
) -> bytes:
    """Return the plan; a signature by the key that signs the patch leaves that key's id out.

    `told` are the hashes of the targets that a box may do without, in the order of their numbers.
    """
    rest = known(new).rest
    return codec.encode(
        [
            None if rest == old.rest else rest,
            [signature if key_id == signer else key_id + signature for key_id, signature in new.signatures],
            list(steps),
            [
                [target, one.kind, one.opened_bytes, list(one.left), _runs(one.parameters)]
                for target, one in sorted(containers.items())
            ],
            is_by_name,
            _group_records(groups),
            *([b"".join(told)] if told else []),
        ]
    )


def read_plan(data: bytes, old: Known, signer: bytes) -> Plan:
    """Return the plan in `data`, given what is known of the old version.

    Raises:
        PatchMalformed, PatchUnsupported: it cannot be followed.
    """
    match _decoded(data):
        case [
            dict() | None as rest,
            list(signatures),
            list(steps),
            list(containers),
            bool(is_by_name),
            list(groups),
            *hashes,
        ]:
            pass
        case _:
            raise PatchMalformed(reason="plan")
    files, targets, paths = table.read_table(old.entries, steps)
    parts = table.parts_by_target(files.entries)
    bases = sorted({target.base for target in targets} - {NO_BASE})
    work = Work(
        targets=CompactTargets(targets),
        bases=CompactBases((base, *old.entries[base][SIZE : HASH + 1]) for base in bases),
        containers=dict(_read_container(one, len(targets)) for one in containers),
        parts=parts,
        order=array("q", table.order_of(paths, parts, is_by_name=is_by_name)),
        groups=_read_groups(groups),
    )
    _check_groups(work)
    return Plan(
        rest=old.rest if rest is None else rest,
        signatures=tuple(_read_signature(one, signer) for one in signatures),
        table=files,
        work=work,
        told=_read_told(hashes, sorted(parts)),
    )


def rebuild(plan: Plan, head: PatchHead, hashes: Sequence[bytes]) -> bytes:
    """Return the envelope of the new manifest, given the hash of every target; nothing in it is verified."""
    files = plan.table.with_hashes(hashes)
    root = hashing.merkle_root([hashing.leaf_hash(codec.encode(entry)) for entry in files])
    told = {"files": files, "root": root, "pack": head.pack, "version": head.to_version}
    signed = codec.encode({**plan.rest, **told})
    signatures = [list(pair) for pair in plan.signatures]
    return codec.encode({"format": ENVELOPE_FORMAT, "signed": signed, "signatures": signatures})


def _decoded(data: bytes) -> Any:
    try:
        return codec.decode(data, max_bytes=PLAN_MAX_BYTES)
    except CodecMalformed as error:
        raise PatchMalformed(reason="plan") from error


def _runs(parameters: Sequence[int]) -> list[int]:
    """Return how often, and which, again and again."""
    return [number for value, run in groupby(parameters) for number in (len(list(run)), value)]


def _read_signature(value: Any, signer: bytes) -> tuple[bytes, bytes]:
    if isinstance(value, bytes) and len(value) == SIGNATURE_BYTES:
        return signer, value
    if isinstance(value, bytes) and len(value) == KEY_ID_BYTES + SIGNATURE_BYTES:
        return value[:KEY_ID_BYTES], value[KEY_ID_BYTES:]
    raise PatchMalformed(reason="signatures")


def _read_told(hashes: list[Any], targets: Sequence[int]) -> dict[int, bytes]:
    """Return the hashes of `targets`; a plan that has none has no seventh place."""
    match hashes:
        case [bytes(told)] if targets and len(told) == HASH_BYTES * len(targets):
            return {target: told[at * HASH_BYTES : (at + 1) * HASH_BYTES] for at, target in enumerate(targets)}
        case [] if not targets:
            return {}
    raise PatchMalformed(reason="hashes")


def _read_container(value: Any, targets: int) -> tuple[int, Container]:
    match value:
        case [int(target), int(kind), int(opened_bytes), list(left), list(runs)] if (
            0 <= target < targets and opened_bytes >= 0 and all(type(one) is int for one in [*left, *runs])
        ):
            if kind not in KINDS:
                raise PatchUnsupported(feature=f"container {kind}")
            return target, Container(kind, opened_bytes, tuple(left), _spread(runs, opened_bytes))
    raise PatchMalformed(reason="containers")


def _spread(runs: list[int], most: int) -> tuple[int, ...]:
    """Return one parameter per stream; a stream takes at least a byte of the opened form, and they are so many only."""
    counts = runs[::2]
    if len(runs) % 2 or any(count < 1 for count in counts) or sum(counts) > min(most, STREAMS_MAX):
        raise PatchMalformed(reason="containers")
    return tuple(value for count, value in zip(counts, runs[1::2], strict=True) for _ in range(count))


def _group_records(groups: Sequence[Group]) -> list[list[int]]:
    """Return the groups; where a piece begins in its base is told from where the piece before it ended."""
    records: list[list[int]] = []
    at = 0
    for group in groups:
        if group.targets:
            records.append([group.frame_bytes, group.targets])
        elif group.is_copy:
            records.append([group.frame_bytes, group.piece_bytes, group.offset - at])
        else:
            records.append([group.frame_bytes, group.piece_bytes, group.offset - at, group.length])
        at = group.offset + group.length
    return records


def _read_groups(values: list[Any]) -> tuple[Group, ...]:
    groups: list[Group] = []
    at = 0
    for value in values:
        groups.append(_read_group(value, at))
        at = groups[-1].offset + groups[-1].length
    return tuple(groups)


def _read_group(value: Any, at: int) -> Group:
    if not isinstance(value, list) or not all(type(one) is int for one in value):
        raise PatchMalformed(reason="groups")
    match value:
        case [frame_bytes, targets] if frame_bytes >= 0 and targets > 0:
            return Group(frame_bytes, targets=targets)
        case [0, piece_bytes, skipped] if piece_bytes > 0 and at + skipped >= 0:
            return Group(0, piece_bytes=piece_bytes, offset=at + skipped, length=piece_bytes)
        case [frame_bytes, piece_bytes, skipped, length] if (
            min(frame_bytes, piece_bytes) > 0 <= min(at + skipped, length)
        ):
            return Group(frame_bytes, piece_bytes=piece_bytes, offset=at + skipped, length=length)
    raise PatchMalformed(reason="groups")


def _check_groups(work: Work) -> None:
    """Every target is made exactly once, in order."""
    place, made_bytes = 0, 0
    for group in work.groups:
        if group.targets and not made_bytes:
            place += group.targets
        elif group.piece_bytes and place < len(work.order):
            made_bytes += group.piece_bytes
            wanted_bytes = work.stream_bytes(work.order[place])
            if made_bytes > wanted_bytes:
                raise PatchMalformed(reason="groups")
            if made_bytes == wanted_bytes:
                place, made_bytes = place + 1, 0
        else:
            raise PatchMalformed(reason="groups")
    if place != len(work.order) or made_bytes:
        raise PatchMalformed(reason="groups")
