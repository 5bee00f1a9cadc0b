"""What is out of the bounds of the format stays at the box, and stops no other record."""

from dataclasses import replace

from edgebox.services.packing import STAYING_MAX, sort_out
from sync.records.rows import Record
from tests.sync.makers import answered, registries


def test_records_within_the_bounds_all_go() -> None:
    records = [*registries(), answered(1), answered(2)]
    assert sort_out(records) == (records, [])


def test_a_record_out_of_bounds_stays_and_the_others_go() -> None:
    sound = [*registries(), answered(1), answered(3)]
    flawed = [replace(answered(2), progress=1.5), replace(answered(4), device_seq=None)]
    assert sort_out([*sound, *flawed]) == (sound, ["kind=statement field=progress", "kind=statement field=id"])


def test_only_the_first_that_stay_are_named() -> None:
    flawed: list[Record] = [replace(answered(number), progress=-1.0) for number in range(1, STAYING_MAX + 9)]
    assert sort_out(flawed) == ([], STAYING_MAX * ["kind=statement field=progress"])
