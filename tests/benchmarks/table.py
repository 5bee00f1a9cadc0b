"""The form in which figures are printed."""


def show(title: str, header: list[str], rows: list[list[str]]) -> None:
    """Print a Markdown table with aligned columns."""
    widths = [max(len(line[column]) for line in [header, *rows]) for column in range(len(header))]
    print(f"\n## {title}\n")
    for line in [header, ["-" * width for width in widths], *rows]:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |")


def verdict(is_met: bool) -> str:
    """Return the word for a goal reached or missed."""
    return "met" if is_met else "MISSED"
