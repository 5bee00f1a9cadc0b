"""The parts of `docs/sync-protocol.md` that are made from the tables of `sync.engine`.

Run `python -m tests.docs.protocol` after a table was changed; it writes the page anew.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from sync.engine import receiver, sender, transfer

PAGE = Path(__file__).parents[2] / "docs" / "sync-protocol.md"
_END = "<!-- end of what is made -->\n"


def state_diagram(transitions: Mapping[tuple[Any, type], Any], start: Enum, ends: Iterable[Enum]) -> str:
    """Return a table of phases and events as a Mermaid state diagram, and what each phase means."""
    arrows: dict[tuple[Enum, Enum], list[str]] = {}
    for (phase, event), rule in transitions.items():
        for target in rule.leads_to:
            if target is not phase:
                arrows.setdefault((phase, target), []).append(event.__name__)
    return _diagram(
        [
            "stateDiagram-v2",
            f"    [*] --> {start.name}",
            *(f"    {before.name} --> {after.name}: {', '.join(names)}" for (before, after), names in arrows.items()),
            *(f"    {phase.name} --> [*]" for phase in ends),
        ]
    ) + _meanings("phase", type(start))


def receiver_diagram() -> str:
    """Return what a receiver does with a bundle, by where it stands, as a Mermaid flow chart."""
    arrows = [f"    {relation.name} --> {verdict.name}" for relation, verdict in receiver.TRANSITIONS.items()]
    tables = _meanings("where it stands", receiver.Relation) + "\n" + _meanings("verdict", receiver.Verdict)
    return _diagram(["flowchart LR", *arrows]) + tables


MADE: Mapping[str, Callable[[], str]] = {
    "upload": lambda: state_diagram(
        transfer.TRANSITIONS, transfer.Phase.START, (transfer.Phase.DONE, transfer.Phase.GIVEN_UP)
    ),
    "sender": lambda: state_diagram(sender.TRANSITIONS, sender.Phase.IDLE, ()),
    "receiver": receiver_diagram,
}


def page(written: str) -> str:
    """Return the page with the parts that are made put into their places."""
    for name, make in MADE.items():
        begin = f"<!-- {name}: made by python -m tests.docs.protocol -->\n"
        before, found, rest = written.partition(begin)
        if not found:
            raise ValueError(f"the page has no place for {name}")
        _, _, after = rest.partition(_END)
        written = before + begin + "\n" + make() + "\n" + _END + after
    return written


def _diagram(lines: list[str]) -> str:
    return "\n".join(["```mermaid", *lines, "```", "", ""])


def _meanings(title: str, names: type[Enum]) -> str:
    rows = [f"| {each.name} | {each.value} |" for each in names]
    return "\n".join([f"| {title} | meaning |", "| --- | --- |", *rows, ""])


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
