"""What an operator writes: every kind of line, and every mistake named by its line."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgebox.cli import main
from sync.hub import posting
from sync.hub.errors import LetterMalformed
from sync.hub.letter import LETTER_MAX_BYTES, read_letter
from tests.sync.hub_support import hub_on
from tests.sync.school_scene import LETTER, PACK, WHOLE, SchoolScene, school_scene

LINES: list[dict[str, Any]] = [
    *LETTER,
    {"kind": "setting", "name": "local_scripts", "on": True},
    {"kind": "membership", "class": "5B", "learner": "N-2", "active": False},
    {"kind": "offer", "pack": PACK, "version": 2, "root": "00" * 32, "titles": {"en": "Sums"}, "size_bytes": 9},
    {"kind": "revocation", "pack": PACK, "version": 1},
    {"kind": "revocation", "courier": "ab" * 16},
    {"kind": "revocation", "box": "cd" * 16},
]
MISTAKES = [
    ("nonsense", "not JSON"),
    ("[]", "kind"),
    ({"kind": "poem"}, "kind: one of message"),
    ({"kind": "message"}, "text is missing"),
    ({"kind": "message", "text": 5}, "text: text is needed"),
    ({"kind": "message", "text": "x", "mood": 1}, "mood: not a field of message"),
    ({"kind": "message", "text": "x", "days": True}, "days: a number is needed"),
    ({"kind": "message", "text": "x", "days": -1}, "days: a number is needed"),
    ({"kind": "message", "text": "x", "days": 9_999}, "days: 1 to"),
    ({"kind": "message", "text": "x" * 5_000}, "text: not what is needed, or too long"),
    ({"kind": "setting", "name": "moon", "on": True}, "name: one of local_scripts"),
    ({"kind": "class", "id": "", "title": "x"}, "id: 1 to 200 characters"),
    ({"kind": "class", "id": "a", "title": "x" * 300}, "too long"),
    ({"kind": "learner", "id": "a", "classes": [1]}, "classes: a list of ids"),
    ({"kind": "assignment", "class": "code:ZZZZ", "pack": PACK, "lesson": "a"}, "no class with the code:ZZZZ"),
    ({"kind": "offer", "pack": PACK, "version": 1, "root": "zz", "titles": {}, "size_bytes": 1}, "root: hexadecimal"),
    ({"kind": "offer", "pack": PACK, "version": 1, "root": "00", "titles": {}, "size_bytes": 1}, "root: not what"),
    ({"kind": "revocation", "pack": PACK}, "pack and version, courier, or box"),
]


async def send(scene: SchoolScene, *lines: dict[str, Any]) -> None:
    await scene.send(*lines)
    assert await scene.sync() is None


async def test_every_kind_of_line_takes_effect_on_the_box(tmp_path: Path) -> None:
    async with school_scene(tmp_path) as scene:
        await send(scene, *LINES)
        told = await scene.told()
        assert told["learners"] == [("Class 5B", "Awa", "Diop")]
        assert await scene.box.local_packs.scripts_allowed()
        assert [offer.version for offer in scene.box.hub_news.offers()] == [2]
        assert scene.box.library.trust.withdrawn == {(PACK, 1)}
        assert len(await scene.rows("SELECT * FROM revocation")) == 3


async def test_what_the_hub_took_back_stays_so_after_a_restart(tmp_path: Path) -> None:
    async with school_scene(tmp_path) as scene:
        await send(scene, *LINES)
        await scene.restart_box()
        assert scene.box.library.trust.withdrawn == {(PACK, 1)}


async def test_a_class_that_a_teacher_made_is_found_by_its_code(tmp_path: Path) -> None:
    async with school_scene(tmp_path) as scene:
        await scene.sync()
        ((code,),) = await scene.hub.rows("SELECT code FROM class")
        await send(scene, {"kind": "assignment", "class": f"code:{code}", "pack": PACK, "lesson": "adding"})
        assert await scene.rows("SELECT class.code, lesson FROM assignment JOIN class ON class.no = class_no") == [
            (code, "adding")
        ]


async def test_the_ids_of_the_operator_are_seen_by_nobody(tmp_path: Path) -> None:
    async with school_scene(tmp_path) as scene:
        await send(scene, {"kind": "learner", "id": "PASSPORT-1234567", "given_name": "Awa", "classes": ["5B"]})
        assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"PASSPORT-1234567" in path.read_bytes()]


@pytest.mark.parametrize(("line", "reason"), MISTAKES)
async def test_a_mistake_is_named_by_its_line_and_nothing_is_written(
    tmp_path: Path, line: dict[str, Any] | str, reason: str
) -> None:
    text = json.dumps(LETTER[-1]) + "\n\n" + (line if isinstance(line, str) else json.dumps(line))
    async with hub_on(tmp_path) as hub:
        await hub.enrolled()
        with pytest.raises(LetterMalformed) as refused:
            await hub.listening.hub.posting.send(text, "Hill School")
        assert refused.value.fields["where"] == "line 3"
        assert reason in refused.value.fields["reason"]
        assert await hub.rows("SELECT * FROM message") == []


async def test_a_letter_that_was_stopped_half_way_is_whole_when_it_is_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "WRITES_AT_ONCE", 3)
    async with school_scene(tmp_path) as scene:
        store, runs = scene.hub.listening.hub.store, iter(range(100))
        run = store.run

        async def stop_soon(job: Any) -> Any:
            if next(runs) == 3:
                raise ConnectionResetError
            return await run(job)

        with monkeypatch.context() as stopping:
            stopping.setattr(store, "run", stop_soon)
            with pytest.raises(ConnectionResetError):
                await scene.send()
        await scene.sync()
        await scene.restart_hub()
        await send(scene)
        assert await scene.told() == WHOLE


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_letter_is_none(text: str) -> None:
    with pytest.raises(LetterMalformed):
        read_letter(text)


def test_nesting_without_end_is_a_mistake() -> None:
    with pytest.raises(LetterMalformed, match="line 1"):
        read_letter("[" * 100_000)


def test_the_command_sends_a_file_to_a_hub_that_does_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, file = str(tmp_path / "hub"), tmp_path / "letter.jsonl"
    main(["hub", "enroll", "--data", data, "--school", "Hill School"])
    file.write_text("\n".join(map(json.dumps, LETTER)), "utf-8")
    assert main(["hub", "send", "--data", data, "--school", "Nowhere", str(file)]) == LetterMalformed.exit_code
    assert "there is none called Nowhere" in capsys.readouterr().err
    assert main(["hub", "send", "--data", data, "--all", "--json", str(file)]) == 0
    assert json.loads(capsys.readouterr().out) == {"lines": len(LETTER)}
    file.write_bytes(b"\xff")
    assert main(["hub", "send", "--data", data, "--all", str(file)]) == LetterMalformed.exit_code
    file.write_bytes(b" " * (LETTER_MAX_BYTES + 1))
    assert main(["hub", "send", "--data", data, "--all", str(file)]) == LetterMalformed.exit_code
