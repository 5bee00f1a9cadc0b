"""Records and bundles for the tests of sync."""

from dataclasses import dataclass, field

from content_packs.base.signing import PairKey, SealingKey, SigningKey, VerifyKey
from sync.bundle.body import Body
from sync.bundle.layout import BundleKind
from sync.bundle.paired import Paired, unseal_paired
from sync.bundle.read import verify_bundle
from sync.bundle.write import Range, write_bundle
from sync.records.facts import assignment_id
from sync.records.merging import write_tags
from sync.records.rows import (
    Activity,
    Assignment,
    Class,
    Device,
    Enrollment,
    Fact,
    HandIn,
    Health,
    Learner,
    Mark,
    Member,
    Message,
    Offer,
    PackInstall,
    Record,
    Revocation,
    State,
    Statement,
    Verb,
)

NOW_MS = 1_780_300_800_000
DEVICE = bytes(range(16))
COMPLETED = "http://adlnet.gov/expapi/verbs/completed"
ANSWERED = "http://adlnet.gov/expapi/verbs/answered"


def registries() -> list[Record]:
    """Return a class of two, one tablet, two verbs, two activities, a pack and an assignment."""
    return [
        Verb(1, ANSWERED),
        Verb(2, COMPLETED),
        Activity(1, "urn:x-edgebox:org.example.sums:adding:q1"),
        Activity(2, "urn:x-edgebox:org.example.sums:adding"),
        Device(1, DEVICE),
        Learner(1, b"learner-one-----"),
        Learner(2, b"learner-two-----"),
        Class(1, b"class-four------", "K7QF"),
        Enrollment(1, 1),
        Enrollment(1, 2),
        PackInstall("org.example.sums", 1, bytes(32), NOW_MS),
        Assignment(1, "org.example.sums", "adding", NOW_MS),
    ]


def merging() -> list[Record]:
    """Return records of every kind that merges, with and without what is optional."""
    one, two, other = b"learner-one-----", b"learner-two-----", b"another-box-----"
    class_id, stamp = b"class-four------", NOW_MS << 16
    given = assignment_id(class_id, "org.example.sums", "adding")
    return [
        Fact(1, class_id, 2, "K7QF", stamp),
        Fact(1, class_id, 3, "", stamp + 1, other),
        Member(1, class_id, one, stamp + 2),
        Member(1, class_id, two, stamp + 3, other, True),
        Mark(given, one, "7", "gut gemacht", stamp + 4),
        Mark(given, one, "8", "", stamp + 5, other, write_tags([(stamp + 4, other), (3, one)])),
        State(one, "urn:x-edgebox:org.example.sums:adding", "place", "text/plain", b"q2", stamp + 6),
        State(two, "http://a", "place", "", b"", stamp + 7, bytes(16), other, True),
        Message(b"message-one-----", "Die Prüfung ist am Montag.", NOW_MS + 1, stamp + 8),
        Offer("org.example.sums", 2, bytes(32), '{"en":"Sums"}', 1 << 40, stamp + 9, 1, 700),
        Offer("org.example.more", 1, bytes(32), '{"en":"More"}', 5, (1 << 63) - 1),
        Revocation(1, "org.example.sums@1", stamp + 10),
        Health("1.2.3", 3600, 1 << 35, 1 << 36, 4, 160, 9, 1_000_000, stamp + 11),
        HandIn(b"hand-in-one-----", given, one, "image/jpeg", 70_000, bytes(32), stamp + 12),
    ]


def answered(seq: int, *, learner: int = 1, success: bool = True) -> Statement:
    """Return an answer given on the tablet."""
    return Statement(
        1, 1, NOW_MS + seq * 10_000, learner_no=learner, device_no=1, device_seq=seq, attempt_seq=1, success=success,
        score_raw=float(success), score_max=1.0, score_scaled=float(success), duration_ms=8_000 + seq, response="b",
    )  # fmt: skip


def completed(seq: int, *, learner: int = 1) -> Statement:
    """Return the end of a resource."""
    return Statement(
        2, 2, NOW_MS + seq * 10_000, learner_no=learner, device_no=1, device_seq=seq, attempt_seq=1, completion=True
    )


def crowd(count: int, seq: int = 100) -> list[Statement]:
    """Return statements of which very many take hardly a byte in codec 1."""
    return [Statement(1, 1, NOW_MS, device_no=1, device_seq=seq) for seq in range(seq, seq + count)]


def open_paired(bundle: Paired, pair: PairKey) -> list[Record]:
    """Return the records of a short bundle. Raises like `unseal_paired`, and like `Body.unpack`."""
    return Body.from_head(bundle.head).unpack(unseal_paired(bundle, pair))


@dataclass
class Maker:
    """A box as far as bundles go: its key, its epoch, and the chain of what it made."""

    receiver: SealingKey = field(default_factory=SealingKey.generate)
    key: SigningKey = field(default_factory=SigningKey.generate)
    epoch: int = 1
    seq: int = 0
    through: int = 0
    previous: bytes | None = None
    codec_no: int = 1
    is_coarse: bool = False

    def next(self, records: list[Record]) -> bytes:
        """Return the next bundle."""
        span = Range(self.epoch, self.seq + 1, self.through + 1, self.through + len(records), self.previous)
        content = write_bundle(
            records,
            span,
            key=self.key,
            receiver_public=self.receiver.public,
            created_ms=NOW_MS + self.seq,
            codec_no=self.codec_no,
            is_coarse=self.is_coarse,
        )
        head = verify_bundle(content, self.trusted).head
        self.seq, self.through, self.previous = head.seq, head.through_change, head.hash
        return content

    def express(self, records: list[Record], seq: int = 1) -> bytes:
        """Return an express bundle of rows that the next bundles of the chain may bring as well."""
        return write_bundle(
            records,
            Range(self.epoch, seq, 1, max(len(records), 1)),
            key=self.key,
            receiver_public=self.receiver.public,
            created_ms=NOW_MS + seq,
            kind=BundleKind.EXPRESS,
        )

    @property
    def trusted(self) -> dict[bytes, VerifyKey]:
        """Return the table a receiver checks origins with."""
        return {self.key.verify_key.key_id: self.key.verify_key}
