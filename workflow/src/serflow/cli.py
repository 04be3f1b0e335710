"""One sub-command per rule: arguments in, one function call, files out; and `demo`, which no rule calls.

A command is named as its rule and as the function that it calls; its options are that function's
parameters. The function's module is imported when the command runs, so that each starts with what it
needs and no more.
"""

import argparse
import contextlib
import gc
import importlib
import json
import os
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

from serflow.runtime.errors import UserError, printable
from serflow.runtime.locking import LOCK_VARIABLE, end_with_run
from serflow.runtime.memory import keep_freed_memory
from serflow.runtime.progress import show_on


class Command(NamedTuple):
    """A sub-command: the module of its function, what it does, and its options as ``name:type`` words.

    A name that begins with ``@`` stands without one. ``alias`` is a shorter name for people. What no ``rule`` calls
    talks to who started it, and has no log.
    """

    module: str
    does: str
    options: str
    alias: str = ""
    rule: bool = True


COMMANDS = {
    "synthesize_sample": Command(
        "serflow.corpus.sample",
        "Synthesise the built-in sample corpus with espeak-ng.",
        "folder:path seed:int processes:int",
    ),
    "fetch_corpus": Command(
        "serflow.corpus.fetch",
        "Bring a corpus' recordings and tables: CREMA-D from a mirror, or out of an archive.",
        "archive:path? settings:json folder:path",
    ),
    "scan_recordings": Command(
        "serflow.audio.scan",
        "Read every recording of a shard once: what it is, and what is wrong with it.",
        "source:source shard:int shards:int policy:str output:path",
    ),
    "catalog_clips": Command(
        "serflow.corpus.catalog",
        "Join the shards' scans and the metadata to the catalogue, and plan the augmented copies.",
        "scans:paths demographics:path? votes:path? formats:json policy:str augment:json audit_settings:json "
        "output:path excluded:path audit:path copies:path",
    ),
    "split_clips": Command(
        "serflow.splits.split_clips",
        "Write a protocol's split table.",
        "scans:paths augment:json audit:json protocol:str settings:json formats:json output:path",
    ),
    "augment_audio": Command(
        "serflow.audio.augment",
        "Read a shard's recordings and write them and their augmented copies.",
        "scan:path augment:json source:source sampling_rate:int output:path index:path",
    ),
    "measure_length": Command(
        "serflow.audio.length",
        "Choose the common length of all clips and the frames that divide it.",
        "indices:paths setting:length output:path target:path",
    ),
    "fix_length": Command(
        "serflow.audio.length",
        "Truncate or zero-pad a shard's clips to the common length.",
        "samples:path index:path length:path output:path output_index:path",
    ),
    "extract_frames": Command(
        "serflow.features.frames",
        "Compute the frame features of a shard.",
        "fixed:path index:path length:path sampling_rate:int features:some n_mfcc:int threads:int output:path",
    ),
    "extract_mel": Command(
        "serflow.features.mel",
        "Compute the log-mel-spectrograms of a shard.",
        "fixed:path index:path sampling_rate:int n_mels:int n_fft:int hop_length:int threads:int "
        "output:path output_index:path",
    ),
    "extract_functionals": Command(
        "serflow.features.functionals",
        "Compute the functionals of a shard's frame features.",
        "frames:path output:path",
    ),
    "train_model": Command(
        "serflow.models.train",
        "Train a model on one fold of a protocol.",
        "model:str split:path features:paths fold:int seed:int settings:json standardize:bool threads:int "
        "output:path history:path summary:path training:path",
    ),
    "predict_test": Command(
        "serflow.models.predict",
        "Write a trained model's probabilities for the clips of its run.",
        "model:path split:path features:paths fold:int threads:int output:path",
    ),
    "evaluate_model": Command(
        "serflow.evaluation.run_metrics",
        "Measure a run by its predictions.",
        "predictions:path training:path protocol:str seed:int fold:int output:path",
    ),
    "evaluate_runs": Command(
        "serflow.evaluation.runs",
        "Measure all runs: intervals, references, calibration, groups, pairs and what the leak is worth.",
        "metrics:paths predictions:paths clips:path published:paths settings:json output:path",
    ),
    "compare_runs": Command(
        "serflow.report.evaluation_charts",
        "Write all runs' measures, the references and the published figures as one table and one chart.",
        "evaluation:path table:path figure:path",
    ),
    "record_provenance": Command(
        "serflow.report.provenance",
        "Write what the results were made of and with.",
        "metrics:paths clips:path splits:paths benchmarks:path config:json output:path",
    ),
    "draw_evaluation": Command(
        "serflow.report.evaluation_charts",
        "Draw calibration, risk against coverage, and each model under its protocols.",
        "evaluation:path reliability:path risk_coverage:path leakage:path",
    ),
    "draw_clips": Command(
        "serflow.report.clips",
        "Draw waveforms and mel-spectrograms of randomly chosen clips.",
        "catalog:path source:str seed:int sampling_rate:int mel:json figures:paths recordings:paths index:path",
    ),
    "draw_mistakes": Command(
        "serflow.report.mistakes",
        "Draw the clips that the best run was surest of and wrong about, with what listeners heard.",
        "evaluation:path metrics:paths predictions:paths catalog:path source:str count:int sampling_rate:int mel:json "
        "index:path folder:path",
    ),
    "draw_run": Command(
        "serflow.report.run_charts",
        "Draw a run's learning curves and confusion matrix.",
        "history:path metrics:path curves:path confusion:path",
    ),
    "bundle_model": Command(
        "serflow.bundle.pack",
        "Pack a trained run into one file: model, preparation of its input, labels, temperature, measures, model card.",
        "model:path features:paths predictions:path metrics:path evaluation:path length:path clips:path "
        "corpus:str preprocessing:json output:path",
        alias="bundle",
    ),
    "predict_recordings": Command(
        "serflow.bundle.predict",
        "Label recordings with a bundle: files, folders, a CSV with the column 'file', or '-' for standard input. "
        "Exit code 3: some could not be read and were skipped.",
        "@bundle:str @inputs:some output:path? format:str? timeline:path? threads:int? shard:int? shards:int?",
        alias="predict",
    ),
    "demo": Command(
        "serflow.bundle.demo.serve",
        "Try a bundle on a local page: drop or record speech. At 127.0.0.1:7860 unless told otherwise.",
        "@bundle:str host:str? port:int? threads:int? no_browser:flag?",
        rule=False,
    ),
    "collect_predictions": Command(
        "serflow.bundle.output",
        "Put the labels of all shards into one table.",
        "labels:paths timelines:paths output:path timeline:path",
    ),
    "render_report": Command(
        "serflow.report.page",
        "Render the report as one self-contained page.",
        "corpus:str audit:path excluded:path length:path config:json clips:path figures:paths recordings:paths "
        "mistakes:path mistakes_folder:path evaluation:path provenance:path metrics:paths training:paths "
        "history:paths output:path",
    ),
}


def main(arguments: list[str] | None = None) -> None:
    """Run one sub-command; a user's mistake ends it with one line and exit code 1."""
    options = vars(_parser().parse_args(arguments))
    name, log = options.pop("command"), options.pop("log", None)
    name = next((long for long, command in COMMANDS.items() if command.alias == name), name)
    # BLAS reads these when it is loaded. A step that has threads divides its work by clips, as BLAS would divide
    # sums, and their rounding would then depend on the number of threads.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    keep_freed_memory()
    terminal = os.fdopen(os.dup(2), "w", errors="backslashreplace") if log else sys.stderr
    try:
        if log:
            _log_to(log)
            show_on(terminal)
        if lock := os.environ.get(LOCK_VARIABLE):
            end_with_run(lock)
        step = getattr(importlib.import_module(COMMANDS[name].module), name)
        gc.freeze()  # what is loaded stays to the end; the collector need not look through it
        step(**options)
    except UserError as error:
        _fail(f"serflow {name}: {error}", terminal)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"serflow {name}: {where}{error.strerror or error}", terminal)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="serflow", description="The steps of the serflow workflow, one sub-command per rule, and a demo."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        others = [command.alias] if command.alias else []
        below = commands.add_parser(name, help=command.does, description=command.does, aliases=others)
        if command.rule:
            below.add_argument("--log", type=Path, metavar="FILE", help="write all output there; errors show on both")
        for option, kind in (word.split(":") for word in command.options.split()):
            if option.startswith("@"):
                below.add_argument(option[1:], **_KINDS[kind])
            else:
                needed = not kind.endswith("?")
                below.add_argument(f"--{option.replace('_', '-')}", required=needed, **_KINDS[kind.rstrip("?")])
    return parser


def _json(text: str):
    try:
        return json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from error


def _yes(text: str) -> bool:
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither yes nor no")
    return text == "yes"


def _length(text: str) -> str | int:
    return text if text == "average" else int(text)


def _source(text: str):
    from serflow.corpus.locations import read_source

    return read_source(text)


_KINDS = {
    "path": {"type": Path, "metavar": "PATH"},
    "source": {"type": _source, "metavar": "PATH|JSON"},
    "paths": {"type": Path, "nargs": "*", "metavar": "PATH"},
    "str": {},
    "some": {"nargs": "+"},
    "flag": {"action": "store_true"},
    "int": {"type": int, "metavar": "N"},
    "json": {"type": _json, "metavar": "JSON"},
    "bool": {"type": _yes, "metavar": "yes|no"},
    "length": {"type": _length, "metavar": "average|N"},
}


def _log_to(path: Path) -> None:
    """Send everything that the process says to its log."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        print(shlex.join(["python", "-m", "serflow", *sys.argv[1:]]), file=sys.stderr, flush=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); make room or give access there") from error


def _fail(message: str, terminal) -> None:
    message = printable(message)
    with contextlib.suppress(OSError):  # where the log is on a full disk
        print(message, file=sys.stderr, flush=True)
    if terminal is not sys.stderr:
        print(message, file=terminal, flush=True)
    raise SystemExit(1)
