"""Whatever folders and files are called, nothing of it is run, and a reader sees the name as text."""

import csv
import html.parser
import itertools
import json
import os
import shutil

import numpy as np
import pytest
import soundfile as sf

from serflow.corpus.crema_d_names import SENTENCES
from serflow.report.page import render_report
from serflow.storage import read_json, read_table
from workspace import Workspace

CATALOG = "results/mine/catalog/clips.parquet"
EVIL = [
    "$(touch pwned).wav",
    "`touch pwned`.wav",
    "; touch pwned;'.wav",
    '"two\nlines".wav',
    "<script>document.title='pwned'<script>.wav",
    "<img src=x onerror=alert(1)>.wav",
    "{{ 7 * 191 }}{% raw %}.wav",
    "-rf.wav",
    "😀" + "x" * 240 + ".wav",
    os.fsdecode(b"latin\xe9.wav"),
]


@pytest.fixture
def evil(project, tmp_path):
    """A corpus whose names would do harm, under a folder and from a project of such names."""
    name = "-p $(touch pwned) `touch pwned` 'q\" <é"
    copy, corpus = tmp_path / name, tmp_path / "run" / name
    copy.mkdir()
    for file in ("Snakefile", "config.yaml"):
        shutil.copy(project / file, copy)
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info", "corpora")
    for folder in ("workflow", "profiles", "envs", "config", "resources"):
        shutil.copytree(project / folder, copy / folder, ignore=leave)
    (corpus / "AudioWAV").mkdir(parents=True)
    tone = 0.4 * np.sin(np.arange(16_000) / 9)
    parts = itertools.product(["1001", "1020"], sorted(SENTENCES), ["ANG", "SAD"], ["XX"])
    for number, file in enumerate([*(f"{'_'.join(part)}.wav" for part in parts), *EVIL]):
        # Each of another loudness, since identical audio under two labels is left out.
        with (corpus / "AudioWAV" / file).open("wb") as written:
            sf.write(written, tone * (100 + number) / 400, 16_000, format="WAV")
    (corpus / "metadata").mkdir()
    (corpus / "metadata/VideoDemographics.csv").write_text(
        "ActorID,Age,Sex,Race,Ethnicity\n1001,51,Male,x,y\n1020,61,Female,x,y\n"
    )
    # On a command line Snakemake would leave the quotes of JSON in such a path.
    (tmp_path / "run/my.json").write_text(json.dumps({"corpus": "mine", "audio": f"{name}/AudioWAV"}))
    return Workspace(tmp_path / "run", copy)


def test_names_are_harmless_through_the_workflow(evil):
    done = evil.snakemake("--configfile", "my.json", "--cores", "2", CATALOG)
    said = {line for line in (done.stdout + done.stderr).splitlines() if line.startswith("serflow ")}
    assert done.returncode and "Traceback" not in done.stdout + done.stderr
    assert len(said) == 1, done.stderr[-3000:]
    assert f"and {len(EVIL) - 1} more" in (line := said.pop()) and line.isprintable()
    assert not list(evil.results("mine").glob("recordings/s00*")) and not list(evil.results("mine").glob("catalog/*"))
    evil.run(CATALOG, "--configfile", "my.json", catalog={"policy": "exclude"})
    with (evil.results("mine") / "catalog/excluded.tsv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["rule"] == "name"]
    assert len(rows) == len(EVIL) and all(row["reason"].isprintable() for row in rows)
    clips = read_table(evil.results("mine") / "catalog/clips.parquet")
    assert len(clips) and None not in clips["sex"].to_pylist()
    assert not list(evil.folder.parent.rglob("pwned*"))


def test_a_path_that_snakemake_would_change_is_refused(empty):
    name = "my <b> {b}"
    (empty.folder / name / "AudioWAV").mkdir(parents=True)
    (empty.folder / name / "AudioWAV/1001_DFA_ANG_XX.wav").touch()
    (empty.folder / name / "VideoDemographics.csv").touch()
    done = empty.snakemake("--dry-run", corpus="mine", audio=f"{name}/AudioWAV")
    said = [line for line in done.stderr.splitlines() if line.startswith("serflow")]
    assert done.returncode and len(said) == 1
    assert f"{name}/VideoDemographics.csv: Snakemake reads braces, and words in <>" in said[0]


class Elements(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.text = [], []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        if self.found and self.found[-1][0] != "script":
            self.text.append(data)


def test_names_are_text_in_the_report(sample, tmp_path):
    """The page of the finished run once more, with such names wherever a user's text may stand."""
    results, harm = sample.results(), "<img src=x onerror=alert(1)>{{ 7 * 191 }}"
    with (tmp_path / "excluded.tsv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["file", "rule", "reason", "left_out_of"])
        writer.writerows([name.encode("utf-8", "replace").decode(), harm, harm, harm] for name in EVIL)
    folder = results / "report/all"
    files = {
        "flagged": results / "catalog/flagged.tsv",
        "audit": results / "catalog/audit.json",
        "length": results / "length.json",
        "clips": results / "report/figures/clips.json",
        "figures": sorted(results.glob("report/figures/clip*.png")),
        "recordings": sorted(results.glob("report/figures/clip*.wav")),
        "mistakes": folder / "mistakes.json",
        "mistakes_folder": folder / "mistakes",
        "evaluation": folder / "evaluation.json",
        "provenance": folder / "provenance.json",
    }
    config = read_json(files["provenance"])["settings"] | {"audio": harm, "metadata": f"</pre>{harm}"}
    metrics = sorted(results.glob("models/*/*/*/*/metrics.json"))
    files |= {"metrics": metrics, "training": [path.with_name("training.json") for path in metrics]}
    files |= {"history": [path.with_name("history.csv") for path in metrics]}
    page = tmp_path / "index.html"
    render_report(corpus=harm, **files, searches=[], excluded=tmp_path / "excluded.tsv", config=config, output=page)
    seen = Elements()
    seen.feed(page.read_text(encoding="utf-8"))
    assert not [tag for tag, attributes in seen.found if "onerror" in attributes]
    # The page's own two scripts, and charts, which are data.
    kinds = [attributes.get("type") for tag, attributes in seen.found if tag == "script"]
    assert kinds.count(None) == 2 and set(kinds) == {None, "application/json"}
    assert all(attributes["src"].startswith("data:") for tag, attributes in seen.found if tag in ("img", "audio"))
    text = "".join(seen.text)
    assert harm in text and EVIL[4] in text and EVIL[6] in text and "1337" not in text
