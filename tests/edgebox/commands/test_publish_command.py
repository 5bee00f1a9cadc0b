"""`edgebox pack publish` and `pack install --trust ROOT`, from the first key to a box that has the pack."""

import json
from pathlib import Path

import pytest

from content_packs.format.errors import PackNotFound
from content_packs.format.vouching import PackWithdrawn
from content_packs.trust.errors import DepotRefused, RootRefused
from edgebox.cli import main
from tests.support.course import PACK, write_course


class Operator:
    """Types commands in a folder of her own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def run(self, *arguments: str) -> dict[str, object]:
        """Run a command that succeeds and return what it gives to programs."""
        assert self.fail(*arguments) == 0
        value: dict[str, object] = json.loads(self._out)
        return value

    def fail(self, *arguments: str) -> int:
        """Run a command and return its exit code."""
        code = main([*arguments, "--json"])
        self._out = self._capsys.readouterr().out
        return code

    def publish(self, *arguments: str, keys: str = "hub") -> dict[str, object]:
        """Run `edgebox pack publish` on the depot."""
        return self.run("pack", "publish", *arguments, "--depot", self.at("depot"), "--keys", self.at(keys))

    def at(self, name: str) -> str:
        """Return a path in the folder."""
        return str(self.folder / name)


@pytest.fixture
def operator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Operator:
    """Give one who has a depot, and a publisher with one pack."""
    operator = Operator(tmp_path, capsys)
    operator.publish("--init")
    write_course(tmp_path / "water")
    operator.run("pack", "build", operator.at("water"), "-o", operator.at("out"), "--key", operator.at("press.key"))
    operator.publish("--delegate", operator.at("press.key.pub"), "org.example")
    return operator


def published(operator: Operator) -> dict[str, object]:
    pack = operator.at(f"out/edgebox/packs/{PACK}/1")
    return operator.run(
        "pack", "publish", pack, "--depot", operator.at("depot"), "--keys", operator.at("hub"), operator.at("press.key")
    )


def test_from_the_first_key_to_a_box_that_has_the_pack(operator: Operator) -> None:
    assert sorted(path.name for path in (operator.folder / "hub").glob("*.key")) == [
        "root-1.key", "root-2.key", "root-3.key", "snapshot.key", "targets-1.key", "targets-2.key", "targets-3.key",
        "timestamp.key",
    ]  # fmt: skip
    result = published(operator)
    assert (result["list"], result["is_seen"]) == (3, True)
    assert result["steps"] == [f"Published: {PACK} version 1"]
    box, root = operator.at("box"), operator.at("depot/metadata/1.root.json")
    assert operator.run("pack", "install", "--trust", root, "--data", box) == {"trusted": "edgebox-root.json"}
    stick = operator.folder / "stick"
    stick.mkdir()
    (operator.folder / "depot").rename(stick / "edgebox")
    assert operator.run("usb", "install", str(stick), "--data", box)["installed"]
    (pack,) = operator.run("pack", "list", "--data", box)["packs"]
    assert (pack["pack"], pack["publisher"], pack["standing"]) == (PACK, "Local publisher", "good")
    assert operator.run("pack", "verify", str(stick / f"edgebox/packs/{PACK}/1"), "--data", box)["is_good"]


def test_a_publisher_without_the_hubs_keys_prepares_what_the_hub_then_lists(operator: Operator) -> None:
    pack = operator.at(f"out/edgebox/packs/{PACK}/1")
    assert operator.publish(pack, keys="press.key")["is_seen"] is False
    assert operator.publish()["is_seen"] is True


def test_a_withdrawn_version_is_refused_by_boxes(operator: Operator) -> None:
    published(operator)
    assert operator.publish("--withdraw", PACK, "1")["steps"] == [f"Withdrawn: {PACK} version 1"]
    box = operator.at("box")
    operator.run("pack", "install", "--trust", operator.at("depot/metadata/1.root.json"), "--data", box)
    assert operator.fail("usb", "install", operator.at("depot"), "--data", box) == PackWithdrawn.exit_code


def test_a_key_of_the_platform_is_replaced_and_boxes_follow(operator: Operator) -> None:
    published(operator)
    offline = operator.folder / "offline"
    offline.mkdir()
    (operator.folder / "hub" / "root-3.key").rename(offline / "root-3.key")
    for role in ("timestamp", "root-3", "targets-2"):
        operator.publish("--replace-key", operator.at(f"hub/{role}.key.pub"))
    assert (operator.folder / "hub" / "timestamp-2.key").is_file()
    assert (operator.folder / "hub" / "root-4.key").is_file()
    assert len(list((operator.folder / "hub").glob("*.pub"))) == 11
    box = operator.at("box")
    operator.run("pack", "install", "--trust", operator.at("depot/metadata/1.root.json"), "--data", box)
    assert operator.run("usb", "install", operator.at("depot"), "--data", box)["installed"]


def test_a_publisher_loses_the_right(operator: Operator) -> None:
    operator.publish("--undelegate", "org.example")
    pack = operator.at(f"out/edgebox/packs/{PACK}/1")
    code = operator.fail("pack", "publish", pack, "--depot", operator.at("depot"), "--keys", operator.at("press.key"))
    assert code == DepotRefused.exit_code


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("pack", "publish", "--init", "--depot", "{depot}", "--keys", "{hub}"), DepotRefused.exit_code),
        (("pack", "publish", "--init", "--depot", "{new}", "--keys", "{press.key}"), DepotRefused.exit_code),
        (("pack", "publish", "--depot", "{nowhere}", "--keys", "{hub}"), DepotRefused.exit_code),
        (("pack", "publish", "--depot", "{depot}", "--keys", "{missing.key}"), PackNotFound.exit_code),
        (("pack", "publish", "--withdraw", PACK, "7", "--depot", "{depot}", "--keys", "{hub}"), DepotRefused.exit_code),
        (("pack", "install", "--trust", "{depot}/metadata/timestamp.json", "--data", "{box}"), RootRefused.exit_code),
    ],
)
def test_what_cannot_be_done_says_why(operator: Operator, arguments: tuple[str, ...], code: int) -> None:
    places = [operator.at(word[1:].replace("}", "")) if word.startswith("{") else word for word in arguments]
    assert operator.fail(*places) == code


def test_an_install_names_a_pack_or_a_file_to_trust(operator: Operator) -> None:
    with pytest.raises(SystemExit):
        operator.fail("pack", "install", "--data", operator.at("box"))
