import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edgebox.cli import main
from edgebox.services.checking import RecordsLost
from tests.support.filled import make_filled_school

GONE = "DELETE FROM statement WHERE response = 'answer 30'"
ONE_BIT = "UPDATE statement SET response = 'answer 17' WHERE response = 'answer 16'"
TWO_COLUMNS = "UPDATE statement SET device_seq = 999, response = 'x' WHERE response = 'answer 12'"
ONE_BIT_OF_A_VERB = "UPDATE verb SET iri = replace(iri, 'answered', 'answeree')"


def check(data: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    code = main(["check", "--data", str(data), *options])
    return (code, *capsys.readouterr())


@pytest.mark.parametrize(
    ("sql", "code", "damaged", "missing"),
    [
        ("SELECT 1", 0, 0, 0),
        (GONE, RecordsLost.exit_code, 0, 1),
        (ONE_BIT, 0, 1, 0),
        (TWO_COLUMNS, RecordsLost.exit_code, 1, 1),
        (ONE_BIT_OF_A_VERB, 0, 0, 0),
    ],
)
def test_check_fails_once_and_says_how_much_when_records_are_lost(
    sql: str, code: int, damaged: int, missing: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    school, _ids = make_filled_school(tmp_path / "box", 50)
    data = school.settings.data
    with closing(sqlite3.connect(data / "box.db")) as connection:
        connection.execute(sql)
        connection.commit()
    found, said, error = check(data, capsys)
    assert found == code
    assert f"{damaged} were damaged, {missing} are missing" in said
    assert (RecordsLost.code in error) == (code != 0)
    again, said, _error = check(data, capsys, "--json")
    assert again == 0
    result: dict[str, Any] = json.loads(said)
    assert (result["damaged_statements"], result["missing_statements"], result["damaged_names"]) == (0, 0, 0)
