"""Kill every rule of the workflow, and the controller, at random moments; run again; compare with a run that was not.

Usage: harness.py [--kills N] [--rules RULE ...] [--controller N] [--seed N] [--reference FOLDER] [--table FILE]

The sample corpus is run once without a fault. Of each rule in the graph a job is then chosen at random, its results
are deleted and asked for, and at a random moment of the job it is killed, or the run that started it, or all processes
of the run at once; this counts when the job was still at work. The next run must find a killed job unfinished. When a
rule has been killed often enough, all is asked for again, and every result must be that of the reference. Then the
whole run is done once more and killed again and again. The exit code is 1 when a result was lost, or when a run that
was not killed printed a traceback. A result counts as lost, too, if it was half-written after a kill.
"""

import argparse
import contextlib
import csv
import functools
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import onnx
import psutil

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT / "tests"))
from small_corpus import make_recordings  # noqa: E402

# Each kind of model once; every rule has its jobs.
SETTINGS = {
    "models": {"cnn1d": {"epochs": 3}, "cnn2d": {"epochs": 3}},
    "runs": [
        {"protocol": "notebook", "models": ["cnn1d", "cnn2d"], "seeds": [0]},
        {"protocol": "speaker-independent", "models": ["svm_functionals", "logreg_embedding_speaker"], "seeds": [0]},
    ],
    # With a run named and no rungs, so that no checkpoint hides the jobs behind it from a dry run.
    "robustness": {
        "conditions": ["gain"],
        "runs": [{"protocol": "speaker-independent", "models": ["svm_functionals"], "seeds": [0]}],
    },
    "search": {
        "linear": {
            "model": "logreg_embedding",
            "protocol": "speaker-independent",
            "trials": 2,
            "folds": [0],
            "space": {"C": {"choices": [0.001, 0.01]}},
        },
    },
    "input": "to_label",
}
TARGETS = ("catalog", "features", "models", "report", "robustness", "search", "bundles", "predict")
# Of these every byte is compared; of the others what does not tell of time.
BYTES = ("recordings", "catalog", "splits", "augmented", "length.json", "target.json", "fixed")
BYTES += ("frames", "functionals", "mel", "embedding", "predicted", "resources")
# What is killed.
JOB, RUN, GROUP = "job", "run", "group"
UNTIMED = ("seconds", "checksum")


def command(*arguments: str) -> list[str]:
    """Return the command of a run with two cores."""
    settings = [f"{key}={json.dumps(value)}" for key, value in SETTINGS.items()]
    start = [sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT / "Snakefile"), "--cores", "2"]
    return [*start, *arguments, "--config", *settings]


def run(folder: Path, *arguments: str) -> str:
    """Run Snakemake to its end."""
    done = subprocess.run(command(*arguments), cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode or "Traceback" in done.stdout + done.stderr:
        raise SystemExit(f"snakemake {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def jobs(text: str) -> dict[str, list[list[str]]]:
    """Return the rules of a run, from what a dry run with ``--forceall`` says, each with the results of its jobs."""
    found: dict[str, list[list[str]]] = {}
    for rule, block in re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?:    .*\n)+)", text, re.M):
        if outputs := re.search(r"^    output: (.*)$", block, re.M):
            found.setdefault(rule, []).append(outputs[1].split(", "))
    return found


@functools.cache
def _described(path: Path, modified: int, size: int, every_byte: bool) -> str:
    """Hash what must be the same in each run; a file that was not touched is not read again."""
    if every_byte or path.suffix in (".parquet", ".png", ".wav", ".txt"):
        content = path.read_bytes()
    elif path.name == "provenance.json" or path.suffix == ".html":
        content = b"tells of time"
    elif path.suffix == ".json":
        content = json.dumps(untimed(json.loads(path.read_text()))).encode()
    elif path.suffix == ".csv":
        with path.open(newline="") as file:
            content = json.dumps(untimed(list(csv.DictReader(file)))).encode()
    elif path.suffix == ".zip":
        content = json.dumps(_in_bundle(path)).encode()
    else:
        content = path.read_bytes()
    return hashlib.sha256(content).hexdigest()


def _in_bundle(path: Path) -> list:
    """Describe a bundle. The converter of networks gives the tensors of the ONNX model other names in each process."""
    found = []
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "model.onnx":
                graph = onnx.load_from_string(content).graph
                tensors = [onnx.numpy_helper.to_array(tensor).tobytes() for tensor in graph.initializer]
                content = b"".join(sorted(tensors)) + " ".join(sorted(node.op_type for node in graph.node)).encode()
            found.append([name, hashlib.sha256(content).hexdigest()])
    return found


def state(folder: Path, corpus: str = "sample") -> dict[str, str]:
    """Describe every result: the digest of what must be the same in each run."""
    found = {}
    results = folder / "results" / corpus
    for path in [*results.rglob("*"), *(folder / "resources").rglob("*")]:
        name = str(path.relative_to(folder))
        # A listing says which file, of which date, a recording is.
        if path.is_dir() or any(part in ("logs", "benchmarks", "listing") for part in path.parts):
            continue
        top = path.relative_to(results).parts[0] if path.is_relative_to(results) else "resources"
        status = path.stat()
        found[name] = _described(path, status.st_mtime_ns, status.st_size, top in BYTES)
    return found


def untimed(content):
    """Leave out of a result read from JSON or CSV what tells of time."""
    if isinstance(content, dict):
        return {key: untimed(value) for key, value in content.items() if key not in UNTIMED}
    return [untimed(value) for value in content] if isinstance(content, list) else content


def seconds(folder: Path, rule: str, outputs: list[str]) -> float:
    """Return how long a job took in the run without faults, by its own benchmark where it is found by its name."""
    benchmarks = sorted((folder / "results/sample/benchmarks").rglob("*.tsv"))
    of_rule = [path for path in benchmarks if rule in (path.stem, *path.parts)]
    below = {part for output in outputs for part in Path(output).with_suffix("").parts}
    closest = max(of_rule, key=lambda path: len(below & set(path.with_suffix("").parts)))
    with closest.open(newline="") as file:
        return float(next(csv.DictReader(file, delimiter="\t"))["s"])


def clear(folder: Path, outputs: list[str]) -> None:
    for output in outputs:
        if (folder / output).is_dir():
            shutil.rmtree(folder / output)
        else:
            (folder / output).unlink(missing_ok=True)
        if output.endswith("manifest.csv"):
            shutil.rmtree((folder / output).parent, ignore_errors=True)


def step_of(controller: psutil.Process, rule: str) -> psutil.Process | None:
    """Find the process of a rule's job below a controller."""
    for child in controller.children(recursive=True):
        try:
            words = child.cmdline()
        except psutil.Error:
            continue
        if words[1:4] == ["-m", "serflow", rule]:
            return child
    return None


def kill_job(folder: Path, rule: str, outputs: list[str], after: float, what: str) -> bool:
    """Start a job and kill it, the run that started it, or all of the run's processes, ``after`` seconds.

    Return whether the job was still at work.
    """
    clear(folder, outputs)
    with subprocess.Popen(
        command(outputs[0]), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        parent = psutil.Process(process.pid)
        while not (step := step_of(parent, rule)):
            if process.poll() is not None:
                raise SystemExit(f"{rule}: the job of {outputs[0]} was never started")
            time.sleep(0.005)
        time.sleep(after)
        hit = step.is_running() and step.status() != psutil.STATUS_ZOMBIE
        if hit and what == RUN:
            process.kill()
        elif hit and what == GROUP:
            os.killpg(process.pid, signal.SIGKILL)
        elif hit:
            for victim in (step.parent(), step, *step.children(recursive=True)):
                if victim.pid != process.pid:  # where there is no shell between them
                    with contextlib.suppress(psutil.NoSuchProcess):
                        victim.kill()
        process.wait()
        if hit and what != JOB:
            step.wait(timeout=20)  # a step ends with the run that started it
    return hit and process.returncode != 0  # or else it was done just before


def lost(reference: dict[str, str], folder: Path, corpus: str = "sample") -> list[str]:
    """Name the results that are missing, differ, or should not be there."""
    found = state(folder, corpus)
    differing = [name for name, digest in reference.items() if found.get(name) != digest]
    return differing + [name for name in found if name not in reference]


def half_written(reference: dict[str, str], folder: Path, corpus: str = "sample") -> list[str]:
    """Name the results that are there and are not those of the reference."""
    return [name for name, digest in state(folder, corpus).items() if reference.get(name, digest) != digest]


def fresh(reference: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(reference, folder, symlinks=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=5, help="of each rule's jobs; its runs are killed twice")
    parser.add_argument("--rules", nargs="*", help="these alone")
    parser.add_argument("--controller", type=int, default=8, help="kills of one whole run")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--reference", type=Path, help="a finished run without faults; made where it is missing")
    parser.add_argument("--table", type=Path, help="where to append the table, one tab-separated line per rule")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="serflow-faults") as temporary:
        reference = options.reference or Path(temporary) / "reference"
        if not reference.exists():
            reference.mkdir(parents=True)
            make_recordings(reference / SETTINGS["input"])
            run(reference, *TARGETS)
        table = kill_all(reference, Path(temporary) / "work", options)
    if options.table:
        with options.table.open("a") as file:
            file.writelines("\t".join(map(str, row)) + "\n" for row in table)
    total = [sum(row[place] for row in table) for place in range(1, 5)]
    for row in (("rule", "jobs killed", "runs killed", "groups killed", "results lost"), *table, ("sum", *total)):
        print(f"{row[0]:24}{row[1]:>12}{row[2]:>12}{row[3]:>14}{row[4]:>14}", flush=True)
    sys.exit(total[3] > 0)


Row = tuple[str, int, int, int, int]


def kill_all(reference: Path, folder: Path, options: argparse.Namespace) -> list[Row]:
    """Kill each rule's jobs and give the table: rule, kills of jobs, of runs and of their groups, results lost."""
    expected = state(reference)
    known = jobs(run(reference, "--dry-run", "--forceall", *TARGETS))
    print(f"seed {options.seed}: {len(known)} rules, {len(expected)} results", flush=True)
    table = []
    fresh(reference, folder)
    for rule in options.rules if options.rules is not None else known:
        draw = random.Random(f"{options.seed} {rule}")
        killed, missed = dict.fromkeys((JOB, RUN, GROUP), 0), 0
        pending, half = set(), set()
        for what in [JOB] * options.kills + [RUN, GROUP]:
            outputs = draw.choice(known[rule])
            pending.add(outputs[0])
            hit = False
            while not hit:
                # A moment that is drawn too late finds the job done; later ones are drawn from less.
                after = draw.uniform(0, seconds(reference, rule, outputs) * 0.6**missed)
                hit = kill_job(folder, rule, outputs, after, what)
                missed += not hit
                end = "killed" if hit else "was done"
                print(f"{rule}: {what} of {outputs[0]} after {after:.3f} s: {end}", flush=True)
            killed[what] += 1
            half |= set(half_written(expected, folder))
        run(folder, *sorted(pending))
        # Temporary results stay when they are asked for.
        clear(folder, [output for output in pending if not (reference / output).exists()])
        if gone := sorted(half.union(lost(expected, folder))):
            print(f"LOST {gone}", flush=True)
            fresh(reference, folder)
        table.append((rule, *killed.values(), len(gone)))
    if options.controller:
        table.append(kill_whole_runs(expected, reference, folder, options))
    return table


def kill_whole_runs(expected: dict[str, str], reference: Path, folder: Path, options: argparse.Namespace) -> Row:
    """Do the whole run from nothing; kill its controller alone, and with all its processes, in turn."""
    draw = random.Random(f"{options.seed} controller")
    shutil.rmtree(folder)
    folder.mkdir()
    shutil.copytree(reference / SETTINGS["input"], folder / SETTINGS["input"])
    killed, half = {RUN: 0, GROUP: 0}, set()
    for number in range(options.controller):
        what = (RUN, GROUP)[number % 2]
        after = draw.uniform(3, 20)
        with subprocess.Popen(
            command(*TARGETS),
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            try:
                process.wait(after)
            except subprocess.TimeoutExpired:
                if what == RUN:
                    process.kill()
                else:
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                killed[what] += 1
        print(f"{what}: after {after:.3f} s: {'killed' if process.returncode < 0 else 'was done'}", flush=True)
        half |= set(half_written(expected, folder))
    run(folder, *TARGETS)
    differing = sorted(half.union(lost(expected, folder)))
    print(f"LOST {differing}" if differing else "nothing lost", flush=True)
    return "the whole run", 0, *killed.values(), len(differing)


if __name__ == "__main__":
    main()
