"""Targets, protocols, results and messages that README and documentation describe are those of the project."""

import ast
import errno
import os
import re
from pathlib import Path

import snakemake.common.configfile

import readme
from serflow.splits import PROTOCOLS


def test_the_targets_exist(project):
    named = {row[0].strip("`") for row in readme.table(readme.README, "| target | computes |")}
    assert named == set(re.findall(r"^rule (\w+):", (project / "Snakefile").read_text(), re.M)) - {"all"}


def test_the_protocols_exist():
    named = [row[0].strip("`") for row in readme.table(readme.README, "| protocol | split | meaning |")]
    assert named == sorted(PROTOCOLS, key=lambda name: PROTOCOLS[name].order)


def test_the_described_results_exist(sample):
    made_by_targets = {"bundles", "predicted", "search", "robustness"}
    made_by_targets |= {"logmel", "egemaps", "compare", "table"}  # no model of the sample reads them
    for row in readme.table(readme.PROJECT / "docs/results.md", "| path | content |"):
        for path in re.findall(r"`([^`]+)`", row[0]):
            name = path.partition("/")[0]
            assert name in made_by_targets or (sample.results() / name).exists(), name


def templates(folder):
    """Return every string of the sources, with a line feed, which no message contains, for what is filled in."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "\n" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_the_described_messages_exist(project):
    """The words of each message, between its gaps, are in one string of serflow or Snakemake, in that order."""
    said = [*templates(project / "workflow/src"), *templates(Path(snakemake.common.configfile.__file__).parent)]
    rows = readme.table(readme.PROJECT / "docs/troubleshooting.md", "| message | meaning |")
    symptoms = [symptom for row in rows for symptom in re.findall(r"`([^`]+)`", row[0])]
    assert len(symptoms) >= len(rows) - 1 > 8
    for symptom in symptoms:
        text = symptom.replace(os.strerror(errno.ENOSPC), "…")
        pattern = ".*".join(re.escape(part.strip()) for part in text.split("…"))
        assert any(re.search(pattern, template, re.S) for template in said), symptom
