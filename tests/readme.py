"""What README.md shows: commands, files, and what is seen when something is wrong."""

import re
import textwrap
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
PROGRAMS = ("make", "snakemake", "python", "export", "source", "pip", "git", "ffmpeg", "squeue")


def _is_command(text: str) -> bool:
    return text.partition(" ")[0] in PROGRAMS and " " in text


def commands() -> list[str]:
    """Give every command, those of blocks and those within sentences, without remarks, in their order and each once."""
    text = README.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = [line[4:].partition(" #")[0] for line in text.splitlines() if line.startswith("    ")]
    inline = re.findall(r"`([^`]+)`", re.sub(r"^    .*$", "", text, flags=re.M))
    found = [" ".join(command.split()) for command in [*blocks, *inline] if not command.startswith(" ")]
    return list(dict.fromkeys(command for command in found if _is_command(command)))


def files() -> dict[str, str]:
    """Give the files that are shown whole, by their path."""
    shown = re.findall(r"`(\S+\.py)`:\n\n((?:    .*\n|\n)+)", README.read_text(encoding="utf-8"))
    return {path: textwrap.dedent(text).strip() + "\n" for path, text in shown}


def block(first: str) -> str:
    """Give the indented block that begins with a line."""
    (found,) = re.findall(rf"^(    {re.escape(first)}\n(?:    .*\n|\n)*)", README.read_text(encoding="utf-8"), re.M)
    return textwrap.dedent(found).strip() + "\n"


def table(header: str) -> list[list[str]]:
    """Give the rows of the table whose header is a line."""
    after = README.read_text(encoding="utf-8").split(f"{header}\n", 1)[1].splitlines()[1:]
    rows = after[: next(number for number, line in enumerate(after) if not line.startswith("|"))]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
