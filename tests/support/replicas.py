"""Boxes of one school and their hub as databases alone: what each sends the other is handed over as records."""

from dataclasses import dataclass, field
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from sqlalchemy import Connection as HubConnection

from content_packs.base.signing import SigningKey
from edgebox.store import changes, spans
from edgebox.store.connections import open_writer
from edgebox.store.downstream import apply_records
from edgebox.store.stamping import put_origin
from edgebox.store.upgrade import upgrade
from sync.bundle import codec0
from sync.enrolment import Hub
from sync.hub.store import boxes, merged
from sync.hub.store.applying import Applier
from sync.hub.store.boxes import Box
from sync.hub.store.bundles import Place
from sync.hub.store.database import open_engine, sqlite_url
from sync.hub.store.database import upgrade as upgrade_hub
from sync.hub.store.outgoing import read_due
from sync.hub.store.writing import SchoolWriter
from sync.records.rows import Record

NOW_MS = 1_780_300_800_000
_RECORDS_MAX = 10_000


class HubReplica:
    """A hub's database with one school."""

    def __init__(self, folder: Path) -> None:
        self.key = SigningKey.generate()
        self.engine = open_engine(sqlite_url(folder / "hub.db"))
        upgrade_hub(self.engine)
        with self.engine.begin() as connection:
            merged.put_origin(connection, self.key.verify_key.key_id)

    def close(self) -> None:
        """Close the database."""
        self.engine.dispose()

    def enrol(self, key: SigningKey, school: str = "Hill School") -> Box:
        """Add a box."""
        with self.engine.begin() as connection:
            no = boxes.add_box(connection, key.verify_key, boxes.Invitation(school), NOW_MS)
            return boxes.get_box(connection, no)

    def write(self, school_no: int, job: Any, now_ms: int = NOW_MS) -> None:
        """Let the operator write something."""
        with self.engine.begin() as connection:
            job(SchoolWriter(connection, school_no, now_ms))

    def read(self, query: Any) -> Any:
        """Return what a query gives."""
        with self.engine.begin() as connection:
            return query(connection)

    def take(self, box: Box, epoch: int, seq: int, records: list[Record], now_ms: int) -> None:
        """Apply what a box sent."""

        def apply(connection: HubConnection) -> None:
            Applier(connection, box, Place(box.no, epoch, seq), now_ms).apply(records)

        with self.engine.begin() as connection:
            apply(connection)


@dataclass
class BoxReplica:
    """A box's database, and how far it has told the hub and been told."""

    folder: Path
    hub: HubReplica
    school: str = "Hill School"
    key: SigningKey = field(default_factory=SigningKey.generate)
    sent: int = 0
    seq: int = 0
    told: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        upgrade(self.folder / "box.db")
        self.db: Connection = open_writer(self.folder / "box.db")
        self.enrolled = self.hub.enrol(self.key, self.school)
        put_origin(self.db, self.key.verify_key.key_id)
        changes.put_hub(self.db, "http://hub", Hub(self.hub.key.verify_key, bytes(32), self.enrolled.no), NOW_MS)

    def close(self) -> None:
        """Close the database."""
        self.db.close()

    def send(self, now_ms: int = NOW_MS) -> list[Record]:
        """Hand the hub everything that it was not told yet, through the codec, and return it."""
        span = spans.read_span(self.db, self.sent + 1, max_changes=_RECORDS_MAX, max_bytes=1 << 24)
        if span is None:
            return []
        self.sent, self.seq = span.through_change, self.seq + 1
        self.hub.take(self.enrolled, 1, self.seq, through_codec(span.records), now_ms)
        return span.records

    def fetch(self, now_ms: int = NOW_MS, max_records: int = _RECORDS_MAX) -> list[Record]:
        """Take what is due from the hub, through the codec, and return it."""
        records = self.read_due(max_records)
        self.take(records, now_ms)
        return records

    def read_due(self, max_records: int) -> list[Record]:
        """Return what is due from the hub, and move on behind it."""
        records, self.told = self.hub.read(
            lambda connection: read_due(connection, self.enrolled.school_no, self.enrolled.no, self.told, max_records)
        )
        return list(records)

    def take(self, records: list[Record], now_ms: int = NOW_MS) -> None:
        """Apply records of the hub in one transaction."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            apply_records(
                self.db, through_codec(records), origin=self.hub.key.verify_key.key_id, epoch=1, now_ms=now_ms
            )
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def ask(self, query: str, *values: Any) -> list[Any]:
        """Return the rows of a query."""
        return self.db.execute(query, values).fetchall()


def through_codec(records: list[Record]) -> list[Record]:
    """Return records as a bundle would bring them."""
    return codec0.decode_records(codec0.encode_records(records), codec0.count_by_kind(records))
