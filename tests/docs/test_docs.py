"""The documents keep what they promise: links lead somewhere, commands exist, every error says what to do."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from content_packs.base.errors import EdgeboxError
from edgebox.cli import make_parser
from edgebox.settings import Settings
from tests.docs import protocol
from tests.docs.errors import error_classes, error_table
from tests.docs.pages import DOCUMENTS, ROOT, edgebox_commands, relative_links, why_broken

_MACHINE_PATH = re.compile(r"(?<![\w.])(?:/work|/root|/home|/tmp|/Users|[A-Z]:\\)(?:/|\\)?[\w.-]*")
ARCHITECTURE = ROOT / "docs" / "architecture.md"
_GUIDES = ("teacher.md", "technician.md", "operator.md")
_DOCUMENT_IDS = [str(document.relative_to(ROOT)) for document in DOCUMENTS]


@pytest.mark.parametrize("document", DOCUMENTS, ids=_DOCUMENT_IDS)
def test_every_relative_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    broken = {str(link): reason for link in relative_links(document) if (reason := why_broken(link))}
    assert broken == {}


@pytest.mark.parametrize("document", DOCUMENTS, ids=_DOCUMENT_IDS)
def test_every_command_in_a_code_block_is_accepted_by_the_parser(
    document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = {}
    for arguments in edgebox_commands(document):
        try:
            make_parser().parse_args(arguments)
        except SystemExit:
            refused[" ".join(arguments)] = capsys.readouterr().err
    assert refused == {}


def test_every_folder_of_a_box_has_a_row_that_says_whether_it_may_be_deleted() -> None:
    settings = Settings(Path("box"))
    cells = re.findall(r"^\| `([^|]+)` \|", ARCHITECTURE.read_text("utf-8"), re.MULTILINE)
    members = [getattr(settings, name) for name, found in vars(Settings).items() if isinstance(found, property)]
    folders = {path.relative_to(settings.data).as_posix() for path in members if isinstance(path, Path)}
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "edgebox").rglob("*.py"))
    parts = {f"spool/{name}" for name in re.findall(r'\bspool / "(\w+)"', sources)}
    assert len(folders) >= 8 and len(parts) >= 4
    without_row = {each for each in folders | parts if not any(f"{cell}/".startswith(f"{each}/") for cell in cells)}
    assert without_row == set()


def test_the_guides_for_technician_and_operator_print_commands() -> None:
    for name in _GUIDES[1:]:
        assert len(edgebox_commands(ROOT / "docs" / name)) >= 5, name


def test_a_command_the_parser_does_not_know_would_be_noticed() -> None:
    with pytest.raises(SystemExit):
        make_parser().parse_args(["pack", "bake"])


@pytest.mark.parametrize("document", DOCUMENTS, ids=_DOCUMENT_IDS)
def test_no_document_names_a_path_of_the_machine_it_was_written_on(document: Path) -> None:
    assert _MACHINE_PATH.findall(document.read_text("utf-8")) == []


@pytest.mark.parametrize("error_class", error_classes(), ids=lambda found: found.code)
def test_every_error_says_what_happened_and_what_to_do(error_class: type[EdgeboxError]) -> None:
    assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", error_class.code)
    assert error_class.sentence.strip()
    assert error_class.remedy.strip()
    assert "code" in vars(error_class), "an error without a code of its own"


def test_every_error_has_a_code_and_an_exit_code_of_its_own() -> None:
    assert _used_twice(found.code for found in error_classes()) == []
    assert _used_twice(found.exit_code for found in error_classes()) == []
    # 0 is success, 1 a fault, 2 what argparse says; 126 to 149 are the shell's, for the signals by which people and
    # supervisors end a program, and so is 255. What the shell says of rarer signals is in the message as well.
    assert all(3 <= found.exit_code <= 125 or 150 <= found.exit_code <= 254 for found in error_classes())


def test_the_table_of_errors_is_up_to_date() -> None:
    written = (ROOT / "docs" / "errors.md").read_text("utf-8")
    assert written == error_table(), "run: python -m tests.docs.errors > docs/errors.md"


def test_the_diagram_of_an_upload_is_that_of_its_machine() -> None:
    written = protocol.PAGE.read_text("utf-8")
    assert written == protocol.page(written), "run: python -m tests.docs.protocol"


def _used_twice(values: Iterable[object]) -> list[object]:
    return [value for value, count in Counter(values).items() if count > 1]
