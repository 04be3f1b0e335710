"""The documentation site: it builds without a warning and without a network, and its reference has everything."""

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
import yaml

from serflow.cli import ALIASES, COMMANDS


@pytest.fixture(scope="module")
def site(project, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    # What asks a proxy that is not there has no network.
    away = {"NO_MKDOCS_2_WARNING": "1", "HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=project, env=os.environ | away, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def reference(project):
    spec = importlib.util.spec_from_file_location("reference", project / "docs/hooks/reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Loaded(HTMLParser):
    """The addresses that a page loads by itself."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag in ("img", "script", "iframe", "source") and attrs.get("src"):
            self.found.append(attrs["src"])
        if tag == "link" and attrs.get("rel") in ("stylesheet", "preload", "preconnect", "icon"):
            self.found.append(attrs["href"])


def test_pages_load_nothing_from_other_machines(site):
    pages = list(site.rglob("*.html"))
    loaded = [address for page in pages for address in Loaded(page.read_text(encoding="utf-8")).found]
    assert len(pages) > 20 and len(loaded) > len(pages)
    assert not [address for address in loaded if re.match("(https?:)?//", address)]


def test_python_has_signatures_and_docstrings(site):
    page = re.sub("<[^>]+>", "", (site / "reference/python/index.html").read_text(encoding="utf-8"))
    for words in (
        "predict_table",
        "Label one recording.",
        "bootstrap_interval",
        "Kinds of features: what models read.",
    ):
        assert words in page, words


def leaves(settings, path=()):
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, key))
        else:
            yield ".".join([*path, key]), value


def test_every_setting_is_described(project, reference):
    page = reference.settings_page()
    settings = yaml.safe_load((project / "config.yaml").read_text(encoding="utf-8"))
    shown = dict(re.findall(r"`([\w.-]+): ([^`]*)`", page))
    assert len(shown) > 150
    # A mapping in one line is shown as it is written.
    inline = {key for key, text in shown.items() if text.startswith("{") and text != "{}"}
    for name, value in leaves(settings):
        above = next((key for key in inline if name.startswith(f"{key}.")), None)
        if above:
            assert name.removeprefix(f"{above}.").split(".")[0] in shown[above]
        elif isinstance(value, list) and value:
            assert name in shown
        else:
            assert yaml.safe_load(shown[name].partition(" #")[0]) == value, name
    assert "how recordings are named" in page.lower() and "Name of the corpus; its results are in" in page


def test_every_command_and_every_rule_is_described(project, reference):
    commands, rules = reference.commands_page(), reference.rules_page()
    shown = re.findall(r"^## (\w+)$", commands, re.M)
    names = {long: short for short, long in ALIASES.items()}
    assert sorted(shown) == sorted(names.get(name, name) for name in COMMANDS)
    assert shown[0] == "predict" and "--speaker-from-folder" in commands
    for path in [project / "Snakefile", *(project / "workflow/rules").glob("*.smk")]:
        for name in re.findall(r"^(?:rule|checkpoint) (\w+):", path.read_text(encoding="utf-8"), re.M):
            assert f"| `{name}` | " in rules, name
    assert "| `extract_…` | Compute one kind of features of a shard. |" in rules
