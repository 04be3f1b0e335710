"""Each job reads only its declared inputs: it runs in a folder that holds nothing else."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from workspace import BUNDLED_RUN, ENSEMBLE, SEARCH, Workspace

# Jobs of every rule: those of a run to its report, a bundle, and labels.
SETTINGS = {"input": "resources/corpora/sample/AudioWAV", "bundle": None}
# A forced checkpoint's output is shown as <TBD>; the run has one checkpoint.
LENGTH = "results/sample/target.json"
TARGETS = ("all", "bundles", "predict")
TESTED = {"runs": [{"protocol": "notebook", "models": ["cnn1d"], "seeds": [0]}], "conditions": ["telephone"]}
HEADLINE = "results/sample/robustness/headline.json"


@pytest.fixture(scope="module")
def whole(bundled, tmp_path_factory):
    """A copy of the run with bundles, in which the robustness of a run was tested; changed features are kept."""
    folder = shutil.copytree(bundled.folder, tmp_path_factory.mktemp("whole") / "copy", symlinks=True)
    workspace = Workspace(folder, bundled.project, bundled.settings | {"robustness": TESTED})
    workspace.run("--notemp", HEADLINE, "robustness")
    return workspace


@pytest.fixture(scope="module")
def jobs(whole):
    """One job of each rule: its inputs, its outputs and its command."""
    show = ("--dry-run", "--forceall", "--printshellcmds")
    text = whole.run(*show, *TARGETS, **SETTINGS)
    runs = [{"protocol": "speaker-independent", "models": [ENSEMBLE], "seeds": [0]}]
    text += whole.run(
        *show, f"results/sample/bundles/{BUNDLED_RUN.format(ENSEMBLE)}.zip", runs=runs, robustness={"runs": []}
    )
    text += whole.run(*show, "results/sample/search/linear/trials.csv", search=SEARCH)
    text += whole.run(*show, "results/sample/plan/speech/s00.parquet", segments="speech")
    text += whole.run(*show, HEADLINE, "robustness")
    text = text.replace("<TBD>", LENGTH)
    found = {}
    for rule, block in re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):\n(.*?)(?=^\[|\Z)", text, re.M | re.S):
        command = re.search(r"^(?:Shell command: )?(?:export PYTHONPATH.*?; )?(python -m serflow .*)$", block, re.M)
        files = {key: re.search(rf"^    {key}: (.*)$", block, re.M) for key in ("input", "output")}
        if command and rule not in found:
            found[rule] = [files[key][1].split(", ") if files[key] else [] for key in files], command[1]
    return found


def test_every_rule_has_a_job(jobs, project):
    sources = "".join(path.read_text() for path in (project / "workflow/rules").glob("*.smk"))
    named = set(re.findall(r"^(?:rule|checkpoint) (\w+):", sources, re.M)) - {"fetch_corpus", "export_encoder"}
    assert named <= jobs.keys() and {"extract_frames", "extract_functionals", "extract_mel"} <= jobs.keys()


def test_no_job_reads_anything_else(jobs, whole, project, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(project / "workflow/src")}
    failed = {}
    for rule, ((inputs, outputs), command) in jobs.items():
        folder = tmp_path / rule
        for path in map(Path, inputs):
            if not path.is_absolute():
                copy = shutil.copytree if (whole.folder / path).is_dir() else shutil.copy2
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                copy(whole.folder / path, folder / path)
        if rule in ("read_recordings", "predict_recordings"):  # a listing, or the setting input, names the recordings
            recordings = SETTINGS["input"]
            (folder / recordings).parent.mkdir(parents=True, exist_ok=True)
            (folder / recordings).symlink_to(whole.folder / recordings)
        for path in outputs:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
        options = {"cwd": folder, "env": environment, "capture_output": True, "text": True, "check": False}
        done = subprocess.run(["bash", "-c", command.removesuffix(" || [ $? -eq 3 ]")], **options)
        if done.returncode or not all((folder / path).exists() for path in outputs):
            failed[rule] = done.stderr[-500:]
        shutil.rmtree(folder)
    assert not failed
