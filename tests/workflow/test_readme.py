"""Every command of README and documentation is run here, or by the test that is named beside it."""

import ast
import csv
import io
import itertools
import re
import shlex
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import soundfile as sf
from test_corpora import NAMES, put

import readme
from serflow.storage import read_table
from workspace import check_out

TESTS = Path(__file__).resolve().parents[1]
SPEAKERS = ("1001", "1002", "1019", "1020")


@pytest.fixture(scope="module")
def checkout(sample, tmp_path_factory):
    """A copy of the project and of the finished run, for all commands in turn, as a user has one."""
    folder = tmp_path_factory.mktemp("readme") / "checkout"
    return check_out(sample.project, shutil.copytree(sample.folder, folder, symlinks=True))


def clips_of(checkout):
    return sorted((checkout.folder / "resources/corpora/sample/AudioWAV").glob("*.wav"))


def without_running(checkout, command):
    """Ask what would be run."""
    return checkout.shell(f"{command} --dry-run")


def make(fragment):
    """Check a target of make, which would set up a machine or run these tests: what it would do."""

    def check(checkout, command):
        # make runs even then what contains $(MAKE), and this Makefile has none.
        assert fragment in checkout.shell(f"{command} --dry-run --always-make")

    return check


def elsewhere(test, *words):
    """Name the test that runs a command, and words of it that stand in the test's file."""

    def check(checkout, command):
        path, _, name = test.partition("::")
        text = (TESTS / path).read_text(encoding="utf-8")
        assert name in {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
        assert all(word in text and word in command for word in words)

    return check


def of_the_system(checkout, command):
    """Leave alone a command of another program, named as what may help."""
    assert command.split()[0] in ("pip", "git", "ffmpeg", "squeue", "hf")


def cloned(checkout, command):
    """Clone the project from where it is."""
    if not (readme.PROJECT / ".git").exists():
        pytest.skip("the project is no clone here")
    (checkout.folder / "clone").mkdir()
    checkout.shell(f"cd clone && {command.replace('REPOSITORY', shlex.quote(str(readme.PROJECT)))}")
    assert (checkout.folder / "clone/serflow/Makefile").exists()


def drawn(checkout, command):
    """Ask for the rules; Graphviz, which draws them, is not part of the environment."""
    said = checkout.shell(command.partition(" | tred | dot -Tsvg > ")[0])
    rules = re.findall(r'label = "(\w+)"', said)
    picture = (readme.PROJECT / "docs/rulegraph.svg").read_text()
    assert sorted(rules) == sorted(re.findall(r">(\w+)</text>", picture)), "draw docs/rulegraph.svg again"


def tutorial_list(checkout, command):
    """Plan a run on recordings of one's own, with the table that the tutorial shows."""
    given = readme.block(readme.PROJECT / "docs/tutorial.md", "file,speaker,label")
    names = [line.partition(",")[0] for line in given.splitlines()[1:]]
    put_clips(checkout, "data", names)
    (checkout.folder / "data/list.csv").write_text(given)
    assert "train_model" in without_running(checkout, command)


def own_settings(checkout, command):
    settings = readme.block(readme.PROJECT / "docs/tutorial.md", "corpus: crema-d")
    (checkout.folder / "my.yaml").write_text(settings.replace("/data/", f"{checkout.folder}/data/"))
    put_clips(
        checkout, "data/AudioWAV", [f"{speaker}_DFA_{label}_XX.wav" for speaker in SPEAKERS for label in ("ANG", "SAD")]
    )
    planned = without_running(checkout, command)
    assert "svm_small" in planned and ("bundle_model" in planned) == ("bundles" in command)


def stated(checkout, command):
    assert "--contact=me@example.org --licence=cc-by-nc-4.0" in without_running(checkout, f"{command} --printshellcmds")


def made_bundle(checkout, command):
    bundle = re.search(r"results/\S+\.zip", command)[0]
    checkout.shell(f"snakemake --cores 8 {bundle}")
    checkout.shell(command)


def unpacked(checkout, command):
    made_bundle(checkout, command)
    card = huggingface_hub.ModelCard.load(checkout.folder / "emotions/README.md")
    assert card.data.pipeline_tag == "audio-classification" and card.data.eval_results


def copied(checkout, command):
    (checkout.folder / "emotions").mkdir(exist_ok=True)
    made_bundle(checkout, command)
    assert (checkout.folder / "emotions/bundle.zip").exists()


def uploaded(checkout, command):
    """Let the client begin, and end where it would ask the Hub."""
    (checkout.folder / "emotions").mkdir(exist_ok=True)
    said = checkout.shell(f"HF_HUB_OFFLINE=1 {command} 2>&1 || true")
    assert "repos/create" in said and "offline mode is enabled" in said


def activate(checkout, command):
    if not Path(sys.prefix, "bin/activate").exists():
        pytest.skip("these tests do not run in an environment that `make env` made")
    (checkout.folder / ".venv").symlink_to(sys.prefix)
    assert checkout.shell(f"unset VIRTUAL_ENV; {command}; command -v snakemake; echo $VIRTUAL_ENV").split() == [
        f"{sys.prefix}/bin/snakemake",
        sys.prefix,
    ]


def recordings(checkout, command):
    """Read a folder or an archive to the catalogue, and plan the rest."""
    folder = checkout.folder / "data/AudioWAV"
    folder.mkdir(parents=True, exist_ok=True)
    for clip in clips_of(checkout):
        if clip.name[:4] in SPEAKERS:
            shutil.copy(clip, folder)
    with zipfile.ZipFile(checkout.folder / "data/cremad.zip", "w") as archive:
        for clip in folder.iterdir():
            archive.write(clip, f"AudioWAV/{clip.name}")
    assert "train_model" in without_running(checkout, command)
    checkout.shell(command.replace("snakemake", "snakemake catalog", 1))
    clips = read_table(checkout.results("crema-d") / "catalog/clips.parquet")
    assert set(clips["speaker"].to_pylist()) == set(SPEAKERS)


def ravdess(checkout, command):
    places = itertools.product(range(1, 6), range(2, 6), (1, 2), (1, 2), (1, 2))
    names = [
        f"Actor_{speaker:02d}/03-01-{'-'.join(f'{code:02d}' for code in (*codes, speaker))}.wav"
        for speaker, *codes in places
    ]
    put_clips(checkout, "data/ravdess", names)
    assert "train_model" in without_running(checkout, command)
    checkout.shell(command.replace("snakemake", "snakemake catalog", 1))
    assert len(read_table(checkout.results("ravdess") / "catalog/clips.parquet")) == len(names)


def put_clips(checkout, folder, names):
    return put(checkout, checkout.folder / folder, names)


def union(checkout, command):
    """Plan it; `test_corpora` runs it on such a union."""
    emotions = ("ANG", "HAP", "SAD")
    put_clips(
        checkout, "data/AudioWAV", [f"{speaker}_DFA_{label}_XX.wav" for speaker in SPEAKERS for label in emotions]
    )
    put_clips(checkout, "data/ravdess", NAMES["ravdess"])
    put_clips(checkout, "data", ["day 1/interview.wav"])
    # The sample's clips are shorter than the interview.
    given = (
        readme.block(readme.PROJECT / "docs/corpora.md", "file,speaker,label,start,end")
        .replace("12.5", "0.1")
        .replace("15.25", "0.9")
    )
    (checkout.folder / "data/list.csv").write_text(given)
    planned = without_running(checkout, command)
    assert "cross-corpus" in planned and "train_model" in planned


def quick(checkout, command):
    put_clips(
        checkout, "data/AudioWAV", [f"{speaker}_DFA_{label}_XX.wav" for speaker in SPEAKERS for label in ("ANG", "SAD")]
    )
    planned = without_running(checkout, command)
    assert "extract_embedding" in planned and "extract_functionals" in planned and "extract_mel" not in planned


def search(checkout, command):
    put_clips(
        checkout, "data/AudioWAV", [f"{speaker}_DFA_{label}_XX.wav" for speaker in SPEAKERS for label in ("ANG", "SAD")]
    )
    assert "search_trial" in without_running(checkout, command)


def planned_robustness(checkout, command):
    assert "choose_headline" in without_running(checkout, command)


def compared(checkout, command):
    script = readme.PROJECT / "tests/bench/embeddings.py"
    said = checkout.shell(f"python {script} results/sample")
    assert "| all blocks, mean and std" in said and "| MLP" in said and command.startswith("python tests/bench/")


def compared_models(checkout, command):
    script, *_, protocol = command.removeprefix("python ").split()
    said = checkout.shell(f"python {readme.PROJECT / script} results/sample {protocol}")
    assert "| `cnn2d` | " in said and "| `logreg_embedding` | " in said


def fetched(checkout, command):
    assert "fetch_corpus" in without_running(checkout, command)


def nothing_to_do(checkout, command):
    assert "Nothing to be done" in checkout.shell(command)


def planned_training(checkout, command):
    assert "train_model" in without_running(checkout, command)


def planned_features(checkout, command):
    assert "extract_frames" in without_running(checkout, command)


def planned_bundles(checkout, command):
    assert "bundle_model" in without_running(checkout, command)


def packed(checkout, command):
    checkout.shell(command)
    with zipfile.ZipFile(checkout.folder / "report.zip") as archive:
        assert any(name.endswith("report.html") for name in archive.namelist())


def predicted(checkout, command):
    bundle = re.search(r"results/\S+\.zip", command)[0]
    checkout.shell(f"snakemake --cores 8 {bundle}")
    first, *others = clips_of(checkout)[:4]
    samples, rate = sf.read(first)
    sf.write(checkout.folder / "talk.mp3", samples, rate)
    (checkout.folder / "recordings").mkdir()
    for clip in others:
        shutil.copy(clip, checkout.folder / "recordings")
    checkout.shell(command)
    rows = list(csv.DictReader(io.StringIO((checkout.folder / "labels.csv").read_text())))
    assert [row["file"] for row in rows] == ["talk.mp3", *(f"recordings/{clip.name}" for clip in others)]
    assert all(row["label"] and row["p_ANG"] and row["confidence"] for row in rows)


def planned_prediction(checkout, command):
    put_clips(checkout, "recordings", ["a.wav", "b.wav"])
    assert "predict_recordings" in without_running(checkout, command)


def helped(checkout, command):
    assert "--settings" in checkout.shell(command)


def an_option(checkout, command):
    """Look up what a sentence names: a command, or an option of it."""
    words = command.split()
    told = checkout.shell(f"{' '.join(words[:2])} --help")
    assert all(option in told.split() for option in words[2:])


def names_the_line(checkout, command):
    (checkout.folder / "my.yaml").write_text("shards: 4\nmel: {n_mels: 3\nfoo: [\n")
    assert 'in "my.yaml", line 3' in checkout.shell(f"{command} 2>&1 || true")


def both(*checks) -> Callable:
    def check(checkout, command):
        for one in checks:
            one(checkout, command)

    return check


PLUGINS = "workflow/test_plugins.py::test_one_plugin_of_each_kind"
CLUSTER = "slurm/test_workflow.py"
CHECKS = {
    "make run": both(make("snakemake --cores"), elsewhere("workflow/test_sample_run.py::test_runs")),
    "make test": make("-m pytest"),
    "make env": make("-m pip install"),
    "make bench": make("tests/bench/features.py"),
    "source .venv/bin/activate": activate,
    "snakemake --cores 8 --config corpus=crema-d": both(
        fetched,
        elsewhere("workflow/test_fetch_corpus.py::test_an_interrupted_download_of_crema_d_resumes", "crema-d"),
    ),
    "snakemake --cores 8 --config corpus=crema-d audio=/data/AudioWAV": recordings,
    "snakemake --cores 8 --config corpus=crema-d audio=/data/cremad.zip": recordings,
    "snakemake --cores 8 --config corpus=ravdess audio=/data/ravdess": ravdess,
    "snakemake --cores 8 --config corpus=talks": elsewhere(
        "workflow/test_speech_corpus.py::test_segments_are_clips_with_copies", "segments"
    ),
    "snakemake --cores 8 cross_corpus": both(
        union, elsewhere("workflow/test_corpora.py::test_the_report_across_corpora", "cross_corpus")
    ),
    "snakemake --cores 8 bundles": both(
        planned_bundles, elsewhere("workflow/test_bundles.py::test_the_same_probabilities_as_the_run", "bundles")
    ),
    "snakemake --cores 8 search --config": both(
        search, elsewhere("workflow/test_search.py::test_each_fold_has_the_settings_that_were_best_there", "search")
    ),
    "snakemake --cores 8 --configfile results/crema-d/search": elsewhere(
        "workflow/test_search.py::test_the_chosen_settings_are_a_configuration", "--configfile", "chosen.yaml"
    ),
    "serflow predict results/sample": predicted,
    "serflow predict": an_option,
    "serflow predict bundle.zip": elsewhere(
        "workflow/test_bundles.py::test_a_bundle_is_adapted_to_speakers", "predict", "bundle"
    ),
    "serflow demo": elsewhere("report/test_demo.py::test_probabilities_are_those_of_predict"),
    "snakemake --cores 8 predict --config input=recordings/": both(
        planned_prediction, elsewhere("workflow/test_bundles.py::test_through_the_engine", "predict")
    ),
    "export SBATCH_ACCOUNT=... SBATCH_PARTITION=...": elsewhere(
        f"{CLUSTER}::test_a_partition_that_does_not_exist", "SBATCH_PARTITION"
    ),
    "snakemake --workflow-profile workflow/profiles/slurm": elsewhere(
        f"{CLUSTER}::test_the_same_results_as_on_one_machine", "--workflow-profile", "workflow/profiles/slurm"
    ),
    "snakemake --cores 8 --config corpus=theatre": elsewhere(PLUGINS, "theatre"),
    """snakemake --cores 8 --config 'models={"perceptron""": elsewhere(PLUGINS, "perceptron"),
    """snakemake --cores 8 --config 'models={"cnn2d_small""": planned_training,
    """snakemake --cores 8 --config 'frames={"features": ["zcr", "rms", "mfcc", "centroid", "rolloff"]""": elsewhere(
        PLUGINS, "rolloff"
    ),
    """snakemake --cores 8 --config 'frames={"features": ["zcr", "rms", "mfcc", "centroid", "f0"]""": planned_features,
    """snakemake --cores 8 robustness --config 'robustness={"conditions""": elsewhere(PLUGINS, "mains_hum"),
    "snakemake --cores 8 report robustness": planned_robustness,
    "snakemake --dry-run": nothing_to_do,
    "snakemake --report report.zip": packed,
    "snakemake --list-target-rules": elsewhere(
        "workflow/test_rules.py::test_each_is_said_in_one_sentence", "--list-target-rules"
    ),
    "snakemake --containerize": elsewhere("workflow/test_containerize.py::test_every_environment_is_in_the_image"),
    "python -m serflow extract_mel --help": helped,
    "python -c": names_the_line,
    "python tests/bench/embeddings.py": compared,
    "python tests/bench/models.py": compared_models,
    "git clone REPOSITORY serflow": cloned,
    "make docs": make("-m mkdocs build --strict"),
    "snakemake --rulegraph dot all": drawn,
    "snakemake --cores 8 notebook --config corpus=crema-d": fetched,
    "snakemake --cores 8 quick --config corpus=crema-d": fetched,
    "snakemake --cores 8 quick --config corpus=crema-d audio=/data/AudioWAV": quick,
    "snakemake --dry-run quick --config corpus=crema-d audio=/data/AudioWAV": quick,
    "snakemake --cores 8 quick --config corpus=pilot format=manifest": tutorial_list,
    "snakemake --cores 8 --configfile my.yaml": own_settings,
    "snakemake --cores 8 bundles --configfile my.yaml": own_settings,
    """snakemake --cores 8 bundles --config 'bundles=""": stated,
    "snakemake --cores 8 results/sample/catalog/clips.parquet": nothing_to_do,
    "serflow predict results/crema-d": elsewhere(
        "workflow/test_bundles.py::test_the_same_probabilities_as_the_run", "predict"
    ),
    "python -m zipfile -e": unpacked,
    "cp results/": copied,
    "hf upload me/emotions emotions/": uploaded,
    "hf auth login": of_the_system,
    "pip install jupyterlab": of_the_system,
    "pip install -r envs/requirements-encoders.txt": of_the_system,
    "pip install kaggle": of_the_system,
    "pip install -r envs/requirements-opensmile.txt": of_the_system,
    "git lfs pull": of_the_system,
    "ffmpeg -i old.wav new.wav": of_the_system,
    "ffmpeg -i talk.m4a -f wav -": of_the_system,
    "squeue --me": of_the_system,
}


def check_of(command):
    """Return the check whose words a command begins with; the longest, where several do."""
    begun = [words for words in CHECKS if command == words or command.startswith(words)]
    return max(begun, key=len, default=None)


def check(checkout, command):
    assert check_of(command), f"{command!r} has no check; add one to CHECKS"
    CHECKS[check_of(command)](checkout, command)


@pytest.mark.parametrize("command", readme.commands())
def test_a_command_of_the_readme(checkout, command):
    check(checkout, command)


DOCUMENTED = list(dict.fromkeys(command for page in readme.DOCS for command in readme.commands(page)))


@pytest.mark.extended
@pytest.mark.parametrize("command", [command for command in DOCUMENTED if command not in readme.commands()])
def test_a_command_of_the_documentation(checkout, command):
    check(checkout, command)


def test_no_check_is_left_over():
    assert {check_of(command) for command in [*readme.commands(), *DOCUMENTED]} == set(CHECKS)
