"""Pages of the documentation that follow from the sources: settings, commands, rules.

MkDocs calls :func:`on_files` before it builds the site.
"""

import os
import re
from pathlib import Path

from mkdocs.structure.files import File

PROJECT = Path(__file__).resolve().parents[2]
SECTION = re.compile(r"# ---- (.+?) -*$")
KEY = re.compile(r"( *)([\w.-]+):(?: (.*))?$")


def on_files(files, config):
    """Add the generated pages."""
    for name, page in (("settings", settings_page), ("commands", commands_page), ("rules", rules_page)):
        files.append(File.generated(config, f"reference/{name}.md", content=page()))
    return files


def settings_page() -> str:
    """Return the settings of ``config.yaml`` by section: each group of keys with its comment and defaults."""
    lines = (PROJECT / "config.yaml").read_text(encoding="utf-8").splitlines()
    page = [
        "# Settings\n",
        "Every setting of `config.yaml` with its default. Any of them can be set on the command line, nested ones as "
        'JSON: `--config \'models={"cnn2d": {"epochs": 40}}\'`. `--configfile my.yaml` reads those that differ.\n',
    ]
    path, comment, groups, end_of_list = [], [], [], 0
    for number, line in enumerate(lines):
        if number < end_of_list:
            continue
        if found := SECTION.match(line):
            page += [*table_of(groups), f"\n## {found[1]}\n"]
            comment, groups = [], []
        elif line.lstrip().startswith("#"):
            comment.append(line.strip(" #"))
        elif found := KEY.match(line):
            depth = len(found[1]) // 2
            path = [*path[:depth], found[2]]
            listed = listed_below(lines[number + 1 :], len(found[1])) if not found[3] else []
            default, end_of_list = found[3] or " ".join(listed), number + 1 + len(listed)
            section = not default and not comment  # whose keys have the comments
            if section:
                continue
            parent = ".".join(path[:-1])
            if comment or not groups or groups[-1][1][-1][0].rpartition(".")[0] != parent:
                groups.append((" ".join(comment), []))
            groups[-1][1].append((".".join(path), default))
            comment = []
        elif not line.strip():
            comment = []
    return "\n".join([*page, *table_of(groups), ""])


def listed_below(lines: list[str], indent: int) -> list[str]:
    """Return the lines after a key that are a list of values."""
    items = []
    for line in lines:
        deeper = len(line) - len(line.lstrip()) > indent
        if not deeper or not (items or line.lstrip().startswith("- ")):
            break
        items.append(line.strip())
    return items


def table_of(groups: list) -> list[str]:
    """Return a table of groups of settings: a comment, and the keys that it is about."""
    if not groups:
        return []
    rows = ["| setting and default | meaning |", "|---|---|"]
    for comment, keys in groups:
        shown = "<br>".join(f"`{key}: {default}`" if default else f"`{key}`" for key, default in keys)
        rows.append(f"| {shown} | {escaped(comment)} |".replace("\n", " "))
    return rows


def escaped(text: str) -> str:
    """Return text as Markdown that stands in a table as it is: names and values are not markup."""
    return re.sub(r"([|<>\[\]*_`{}\\])", r"\\\1", text)


def commands_page() -> str:
    """Return the help of every command."""
    from serflow.cli import ALIASES, COMMANDS, parser_of

    os.environ["COLUMNS"] = "100"
    page = [
        "# Commands\n",
        "`serflow COMMAND`, or `python -m serflow COMMAND`. People use `predict` and `demo`; the rules of the workflow "
        "use all others. A log begins with its command, to run it again by hand.\n",
    ]
    names = {long: short for short, long in ALIASES.items()}
    for name in [*sorted(COMMANDS, key=lambda name: name not in ("predict_recordings", "demo"))]:
        shown = names.get(name, name)
        page.append(f"## {shown}\n\n```text\n{parser_of(f'serflow {shown}', name).format_help().strip()}\n```\n")
    return "\n".join(page)


def rules_page() -> str:
    """Return the docstrings of all rules by the file that they are in."""
    page = [
        "# Rules\n",
        "What each rule is for. A rule, its command and its log have the same name. "
        "`snakemake --list-rules` lists them, too.\n",
    ]
    for path in [PROJECT / "Snakefile", *sorted((PROJECT / "workflow/rules").glob("*.smk"))]:
        text = path.read_text(encoding="utf-8")
        found = re.findall(r'^(?:rule|checkpoint) (\w+):\n    """(.*?)"""', text, re.M | re.S)
        # Those of a loop, of which only the beginning of the name is known here.
        looped = re.findall(r'^    rule:\n        """(.*?)"""\n        name:\n            f"(\w+)', text, re.M | re.S)
        found += [(f"{name}…", docstring) for docstring, name in looped]
        if found:
            title = "Targets" if path.name == "Snakefile" else path.stem.capitalize()
            page += [f"## {title}\n", "| rule | what it is for |", "|---|---|"]
            page += [f"| `{name}` | {' '.join(docstring.split())} |" for name, docstring in found]
            page.append("")
    return "\n".join(page)
