"""Copies that merge end the same, whatever the order, the grouping and the repetition: every kind, by properties."""

import functools
import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.records import facts, merging, rows
from sync.records.facts import AssignmentField, ClassField, Entity, HandInField, LearnerField
from sync.records.kinds import KINDS, Direction, Kind, find_flaw, kind_of
from sync.records.merging import is_member, join, key_of, open_marks, read_tags, tag_of, write_tags
from sync.records.sizes import state_travels

HUB = b"hub-------------"
BOX = b"box-one---------"
OTHER = b"box-two---------"

few = st.integers(0, 3)
ids = st.sampled_from([b"row-a-----------", b"row-b-----------"])
origins = st.sampled_from([HUB, BOX, OTHER])
texts = st.sampled_from(["", "1", "x", "y"])
tags = st.lists(st.tuples(few, origins), max_size=3).map(write_tags)
BY_KIND: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.FACT: st.builds(
        rows.Fact, st.sampled_from([1, 2]), ids, st.sampled_from([1, 2, 3]), texts, few, origins
    ),
    Kind.MEMBER: st.builds(rows.Member, st.just(1), ids, ids, few, origins, st.booleans()),
    Kind.MARK: st.builds(rows.Mark, ids, ids, texts, texts, few, origins, tags),
    Kind.STATE: st.builds(
        rows.State, ids, texts, texts, texts, st.binary(max_size=1), few, st.just(b""), origins, st.booleans()
    ),
    Kind.MESSAGE: st.builds(rows.Message, ids, texts, few, few),
    Kind.OFFER: st.builds(rows.Offer, texts, few, st.just(bytes(32)), texts, few, few, st.none() | few),
    Kind.REVOCATION: st.builds(rows.Revocation, st.just(1), texts, few),
    Kind.HEALTH: st.builds(rows.Health, texts, few, few, few, few, few, few, few, few, origins),
    Kind.HAND_IN: st.builds(rows.HandIn, ids, ids, ids, texts, few, st.just(bytes(32)), few, origins),
}  # fmt: skip
Replica = dict[tuple[Any, ...], Any]


def merged(*parts: Iterable[Any]) -> Replica:
    """Return what a replica holds that has seen these records."""
    replica: Replica = {}
    for record in itertools.chain(*parts):
        key = key_of(record)
        replica[key] = join(replica[key], record, HUB) if key in replica else record
    return replica


def test_every_kind_that_merges_is_tested() -> None:
    assert set(BY_KIND) == set(merging.KEYS) == {kind for kind in Kind if kind >= Kind.FACT}


@pytest.mark.parametrize("kind", BY_KIND)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_order_grouping_and_repetition_make_no_difference(kind: Kind, data: st.DataObject) -> None:
    records = data.draw(st.lists(BY_KIND[kind], max_size=8))
    shuffled = data.draw(st.permutations(records))
    cut = data.draw(st.integers(0, len(records)))
    expected = merged(records)
    assert merged(shuffled) == expected
    assert merged(shuffled, records, shuffled[:cut]) == expected
    assert merged(merged(shuffled[:cut]).values(), merged(shuffled[cut:]).values()) == expected


@pytest.mark.parametrize("kind", BY_KIND)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_merging_is_a_maximum(kind: Kind, data: st.DataObject) -> None:
    """Commutative, associative and idempotent, said of the function itself."""
    one = data.draw(BY_KIND[kind])
    alike = BY_KIND[kind].map(lambda record: replace(record, **dict(zip(merging.KEYS[kind], key_of(one), strict=True))))
    two, three = data.draw(alike), data.draw(alike)
    joined = functools.partial(join, hub=HUB)
    assert joined(one, two) == joined(two, one)
    assert joined(joined(one, two), three) == joined(one, joined(two, three))
    assert joined(one, one) == one


def title(value: str, stamp: int, origin: bytes) -> rows.Fact:
    return rows.Fact(Entity.CLASS, BOX, ClassField.TITLE, value, stamp, origin)


def code(value: str, stamp: int, origin: bytes) -> rows.Fact:
    return rows.Fact(Entity.CLASS, BOX, ClassField.CODE, value, stamp, origin)


def test_the_hub_has_the_last_word_on_official_fields_only() -> None:
    assert join(title("hub", 1, HUB), title("box", 9, BOX), HUB).value == "hub"
    assert join(code("hub", 1, HUB), code("box", 9, BOX), HUB).value == "box"
    assert join(title("old", 1, HUB), title("new", 2, HUB), HUB).value == "new"
    assert join(title("hub", 1, HUB), title("box", 9, BOX), None).value == "box"


def test_writes_at_one_moment_are_told_apart_by_origin_and_then_by_value() -> None:
    assert join(code("a", 5, OTHER), code("b", 5, BOX), HUB).origin == OTHER
    assert join(code("a", 5, BOX), code("b", 5, BOX), HUB).value == "b"


def test_fields_of_one_row_merge_apart() -> None:
    early, late = code("K7QF", 1, BOX), rows.Fact(Entity.CLASS, BOX, ClassField.IS_ACTIVE, "", 9, OTHER)
    assert len(merged([early, late])) == 2


def test_who_is_added_while_another_box_takes_the_learner_out_stays() -> None:
    first = rows.Member(1, BOX, OTHER, 1, BOX)
    removed, added = replace(first, is_removed=True), rows.Member(1, BOX, OTHER, 2, OTHER)
    assert is_member([first])
    assert not is_member(merged([first], [removed]).values())
    assert is_member(merged([removed], [first, added]).values())


def test_a_late_copy_of_a_putting_does_not_bring_a_removed_member_back() -> None:
    first = rows.Member(1, BOX, OTHER, 1, BOX)
    assert not is_member(merged([replace(first, is_removed=True)], [first]).values())


def mark(value: str, stamp: int, origin: bytes, *replaced: rows.Mark) -> rows.Mark:
    return rows.Mark(
        b"assignment------", b"learner---------", value, "", stamp, origin, write_tags(map(tag_of, replaced))
    )


def test_marks_given_at_once_are_both_kept_until_one_replaces_both() -> None:
    first = mark("5", 1, BOX)
    here, there = mark("6", 2, BOX, first), mark("7", 3, OTHER, first)
    known = merged([there, first], [here])
    assert open_marks(known.values()) == [there, here]
    chosen = mark("7", 4, BOX, here, there)
    assert open_marks(merged(known.values(), [chosen]).values()) == [chosen]


def test_a_mark_replaces_one_that_comes_later() -> None:
    first = mark("5", 1, BOX)
    second = mark("6", 2, BOX, first)
    assert open_marks(merged([second], [first]).values()) == [second]


@given(st.lists(st.tuples(st.integers(0, (1 << 63) - 1), st.binary(min_size=16, max_size=16)), max_size=4))
def test_tags_come_back_in_order(given_tags: list[tuple[int, bytes]]) -> None:
    assert read_tags(write_tags(given_tags)) == sorted(given_tags)
    assert read_tags(write_tags(given_tags) + b"rest") == sorted(given_tags)


def test_names_go_down_only() -> None:
    names = {(Entity.CLASS, ClassField.TITLE), (Entity.LEARNER, LearnerField.GIVEN_NAME)}
    names.add((Entity.LEARNER, LearnerField.FAMILY_NAME))
    down = {key for key, field in facts.FACT_FIELDS.items() if Direction.UP not in field.directions}
    assert down - names == {(Entity.HAND_IN, HandInField.ARRIVED_MS)}
    assert names <= down
    for entity, field in names:
        fact = rows.Fact(entity, BOX, field, "Amina", 1)
        assert facts.may_go(fact, Direction.DOWN)
        assert not facts.may_go(fact, Direction.UP)


@pytest.mark.parametrize(
    ("entity", "field", "value"),
    [
        (Entity.ASSIGNMENT, AssignmentField.VERSION, "two"),
        (Entity.ASSIGNMENT, AssignmentField.VERSION, "9" * 17),
        (Entity.ASSIGNMENT, AssignmentField.IS_ACTIVE, "yes"),
        (Entity.CLASS, ClassField.CODE, "x" * 17),
        (Entity.CLASS, 77, "x"),
        (99, 1, "x"),
    ],
)
def test_a_fact_that_no_table_allows_goes_nowhere(entity: int, field: int, value: str) -> None:
    fact = rows.Fact(entity, BOX, field, value, 1)
    assert not facts.may_go(fact, Direction.UP)
    assert not facts.may_go(fact, Direction.DOWN)


def test_kinds_go_the_ways_their_table_says() -> None:
    down_only = {kind for kind, rule in KINDS.items() if rule.directions == Direction.DOWN}
    up_only = {kind for kind, rule in KINDS.items() if rule.directions == Direction.UP}
    assert down_only == {Kind.MESSAGE, Kind.OFFER, Kind.REVOCATION}
    assert up_only == {Kind.CLASS, Kind.ENROLLMENT, Kind.PACK_INSTALL, Kind.ASSIGNMENT, Kind.BOOT, Kind.HEALTH}


def test_an_assignment_has_one_id_at_every_box_and_no_other_shares_it() -> None:
    assert facts.assignment_id(BOX, "ab", "c") == facts.assignment_id(BOX, "ab", "c")
    assert len({facts.assignment_id(BOX, *names) for names in (("ab", "c"), ("a", "bc"), ("abc", ""))}) == 3


def test_a_state_that_may_travel_fits_its_kind() -> None:
    state = rows.State(BOX, "http://a", "place", "text/plain", bytes(8192), 1)
    assert state_travels(len(state.content)) and find_flaw(state) is None
    assert not state_travels(8193) and find_flaw(replace(state, content=bytes(8193))) == "content"


@pytest.mark.parametrize("kind", BY_KIND)
@given(data=st.data())
def test_the_maker_of_a_bundle_is_not_written_into_its_records(kind: Kind, data: st.DataObject) -> None:
    record = data.draw(BY_KIND[kind])
    assert kind_of(record) is kind
    bare = merging.without_origin(record, BOX)
    assert merging.with_origin(bare, BOX) == record
    assert getattr(bare, "origin", None) != BOX
