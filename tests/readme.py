"""What the documentation shows: commands, files, and tables."""

import re
import textwrap
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
README = PROJECT / "README.md"
DOCS = sorted((PROJECT / "docs").glob("*.md"))
PROGRAMS = ("make", "snakemake", "serflow", "python", "export", "source", "pip", "git", "ffmpeg", "squeue", "hf", "cp")


def _is_command(text: str) -> bool:
    return text.partition(" ")[0] in PROGRAMS and " " in text


def commands(path: Path = README) -> list[str]:
    """Return the commands of a page, from blocks and from sentences, without comments and each once."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = [line[4:].partition(" #")[0] for line in text.splitlines() if line.startswith("    ")]
    inline = re.findall(r"`([^`]+)`", re.sub(r"^    .*$", "", text, flags=re.M))
    found = [" ".join(command.split()) for command in [*blocks, *inline] if not command.startswith(" ")]
    return list(dict.fromkeys(command for command in found if _is_command(command)))


def files() -> dict[str, str]:
    """Return path → content of the files that the documentation shows in full."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCS)
    shown = re.findall(r"`(\S+\.py)`:\n\n((?:    .*\n|\n)+)", text)
    return {path: textwrap.dedent(text).strip() + "\n" for path, text in shown}


def block(path: Path, first: str) -> str:
    """Return the indented block of a page that begins with a line."""
    (found,) = re.findall(rf"^(    {re.escape(first)}\n(?:    .*\n|\n)*)", path.read_text(encoding="utf-8"), re.M)
    return textwrap.dedent(found).strip() + "\n"


def table(path: Path, header: str) -> list[list[str]]:
    """Return the rows of the table of a page with a header."""
    after = path.read_text(encoding="utf-8").split(f"{header}\n", 1)[1].splitlines()[1:]
    rows = after[: next((number for number, line in enumerate(after) if not line.startswith("|")), len(after))]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
