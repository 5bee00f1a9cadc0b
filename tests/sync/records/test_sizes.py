"""What is too large to travel by itself is asked in one way, of values and of columns."""

from sqlalchemy import create_engine, literal, select

from sync.records.kinds import VALUE_MAX_BYTES
from sync.records.sizes import TEXT_TYPE, is_file


def test_what_a_file_is_is_one_rule_in_python_and_in_sql() -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        for media_type in (TEXT_TYPE, "image/jpeg"):
            for size_bytes in (0, VALUE_MAX_BYTES, VALUE_MAX_BYTES + 1):
                asked = select(is_file(literal(media_type), literal(size_bytes)))
                assert bool(connection.execute(asked).scalar()) == is_file(media_type, size_bytes)
    engine.dispose()
    assert [is_file(TEXT_TYPE, size_bytes) for size_bytes in (VALUE_MAX_BYTES, VALUE_MAX_BYTES + 1)] == [False, True]
