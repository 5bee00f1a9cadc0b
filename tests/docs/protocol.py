"""The part of `docs/sync-protocol.md` that is made from the machine of an upload.

Run `python -m tests.docs.protocol` after the table was changed; it writes the page anew.
"""

from pathlib import Path

from sync.engine.transfer import TRANSITIONS, Phase

PAGE = Path(__file__).parents[2] / "docs" / "sync-protocol.md"
_BEGIN = "<!-- made by python -m tests.docs.protocol -->\n"
_END = "<!-- end of what is made -->\n"


def diagram() -> str:
    """Return the table as a Mermaid state diagram, and what each phase means."""
    arrows: dict[tuple[Phase, Phase], list[str]] = {}
    for (phase, event), rule in TRANSITIONS.items():
        for target in rule.leads_to:
            if target is not phase:
                arrows.setdefault((phase, target), []).append(event.__name__)
    lines = [f"    {before.name} --> {after.name}: {', '.join(names)}" for (before, after), names in arrows.items()]
    ends = [f"    {phase.name} --> [*]" for phase in (Phase.DONE, Phase.GIVEN_UP)]
    meanings = [f"| {phase.name} | {phase.value} |" for phase in Phase]
    return "\n".join(
        [
            "```mermaid",
            "stateDiagram-v2",
            f"    [*] --> {Phase.START.name}",
            *lines,
            *ends,
            "```",
            "",
            "| phase | meaning |",
            "| --- | --- |",
            *meanings,
            "",
        ]
    )


def page(written: str) -> str:
    """Return the page with the part that is made put into its place."""
    before, _, rest = written.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return before + _BEGIN + "\n" + diagram() + "\n" + _END + after


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
