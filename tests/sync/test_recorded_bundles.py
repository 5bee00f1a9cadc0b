"""What the first version wrote is read for ever: its bundles by this hub, its hub's acks by this box."""

import json
from pathlib import Path
from typing import Any

import pytest

from content_packs.base.signing import SealingKey, SigningKey
from sync.bundle.layout import Notice
from sync.bundle.read import open_bundle, read_ack, verify_bundle
from sync.hub.store import boxes
from sync.records.kinds import kind_of
from sync.records.rows import Record
from tests.sync.hub_support import hub_on

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "docs" / "vectors" / "bundle-codec0-recorded.json").read_text("utf-8")
)
BOX = SigningKey(bytes.fromhex(RECORDED["box_seed"]))
HUB = SigningKey(bytes.fromhex(RECORDED["hub_seed"]))
SEALING = SealingKey(bytes.fromhex(RECORDED["sealing_seed"]))
TRUSTED = {BOX.verify_key.key_id: BOX.verify_key}


def plain(record: Record) -> list[Any]:
    values = {name: getattr(record, name) for name in record.__slots__}
    return [
        int(kind_of(record)),
        {
            name: value.hex() if isinstance(value, bytes) else value
            for name, value in values.items()
            if value is not None
        },
    ]


@pytest.mark.parametrize("number", range(len(RECORDED["bundles"])))
def test_a_recorded_bundle_is_read_as_it_was_written(number: int) -> None:
    recorded = RECORDED["bundles"][number]
    found = open_bundle(verify_bundle(bytes.fromhex(recorded["file"]), TRUSTED), SEALING)
    assert [plain(record) for record in found] == recorded["records"]


def test_a_recorded_ack_is_believed() -> None:
    ack = read_ack(bytes.fromhex(RECORDED["ack"]), HUB.verify_key)
    assert (ack.vector.through_seq, ack.vector.ranges, ack.notice) == (2, ((4, 4),), Notice.NONE)


async def test_a_hub_of_today_takes_a_box_of_the_first_version(tmp_path: Path) -> None:
    """The hub of today has the keys of the hub that the bundles were made for."""
    (tmp_path / "keys").mkdir(mode=0o700)
    (tmp_path / "keys" / "hub.key").write_bytes(HUB.seed)
    (tmp_path / "keys" / "hub.seal").write_bytes(SEALING.seed)
    async with hub_on(tmp_path) as hub:
        assert hub.listening.hub.keys.signing.verify_key == HUB.verify_key
        await hub.listening.hub.store.run(
            lambda db: boxes.add_box(db, BOX.verify_key, boxes.Invitation("Hill School"), 1)
        )
        for number, recorded in enumerate(RECORDED["bundles"], 1):
            ack = await hub.post(bytes.fromhex(recorded["file"]))
            assert ack.vector.through_seq == 2 - number % 2
        statements = sum(kind == 1 for recorded in RECORDED["bundles"] for kind, _ in recorded["records"])
        assert await hub.rows("SELECT count(*) FROM statement") == [(statements,)]
