"""Command line: one command per rule, and `demo`.

A command calls the function of its name; :mod:`serflow.runtime.arguments` says how its options follow from it. Its
module is imported when it runs, so that each command starts fast.
"""

import contextlib
import functools
import importlib
import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn, TextIO

from serflow import __version__
from serflow.features import KINDS
from serflow.runtime.arguments import Parser, summary
from serflow.runtime.device import DEVICES, VARIABLE
from serflow.runtime.errors import UserError, did_you_mean, printable
from serflow.runtime.locking import LOCK_VARIABLE, end_with_run
from serflow.runtime.memory import keep_freed_memory
from serflow.runtime.progress import SCREEN_VARIABLE, show_on

# Command → module of its function.
COMMANDS = {
    "synthesize_sample": "serflow.corpus.sample",
    "fetch_corpus": "serflow.corpus.fetch_corpus",
    "fetch_encoder": "serflow.encoders.fetch_encoder",
    "export_encoder": "serflow.encoders.export_encoder",
    "read_recordings": "serflow.audio.read_recordings",
    "catalog_clips": "serflow.corpus.catalog",
    "split_clips": "serflow.splits.split_clips",
    "plan_segments": "serflow.corpus.copies",
    "augment_audio": "serflow.audio.augment",
    "measure_length": "serflow.audio.length",
    "fix_length": "serflow.audio.length",
    **{f"extract_{kind}": "serflow.features.extract" for kind in KINDS},
    "train_model": "serflow.models.train",
    "predict_test": "serflow.models.predict",
    "search_trial": "serflow.models.search.trial",
    "rank_trials": "serflow.models.search.ranking",
    "search_summary": "serflow.models.search.summary",
    "combine_members": "serflow.models.ensemble",
    "evaluate_enrolment": "serflow.models.enrolment",
    "measure_importance": "serflow.models.importance",
    "evaluate_model": "serflow.evaluation.run_metrics",
    "choose_headline": "serflow.evaluation.headline",
    "change_clips": "serflow.evaluation.change_clips",
    "label_changed": "serflow.evaluation.label_changed",
    "test_robustness": "serflow.evaluation.robustness_figures",
    "explain_mistakes": "serflow.evaluation.mistakes",
    "evaluate_runs": "serflow.evaluation.runs",
    "compare_runs": "serflow.report.evaluation_charts",
    "record_provenance": "serflow.report.provenance",
    "draw_evaluation": "serflow.report.evaluation_charts",
    "draw_clips": "serflow.report.clips",
    "draw_mistakes": "serflow.report.mistakes",
    "draw_curves": "serflow.report.run_charts",
    "draw_confusion": "serflow.report.run_charts",
    "render_report": "serflow.report.page",
    "bundle_model": "serflow.bundle.pack",
    "bundle_ensemble": "serflow.bundle.pack_ensemble",
    "predict_recordings": "serflow.bundle.predict",
    "collect_predictions": "serflow.bundle.output",
    "demo": "serflow.bundle.demo.serve",
}
ALIASES = {"predict": "predict_recordings", "bundle": "bundle_model"}
ON_DEVICE = ("predict_recordings", "demo")  # rules set the variable of the environment
PEOPLE = ("demo",)  # no rule calls these, so they print to the terminal and need no --log
FOR_PEOPLE = ("predict_recordings", "demo", "bundle_model", "export_encoder")


def function_of(name: str) -> str:
    """Return the function of a command as ``module:function``."""
    return f"{COMMANDS[name]}:{'extract_features' if name.startswith('extract_') else name}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command. User errors are printed in one line and end the process with exit code 1."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # BLAS reads these when it is imported. Commands with threads divide their work by clips; BLAS would divide sums,
    # and rounding would depend on the number of threads.
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    keep_freed_memory()
    terminal, shown = sys.stderr, "serflow"
    try:
        if sys.stdout is None:
            raise UserError("standard output is closed; redirect it to a file")
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # names of files that the terminal's encoding lacks
                stream.reconfigure(errors="backslashreplace")
        if not arguments or arguments[0] in ("-h", "--help"):
            return print(_overview(), flush=True)
        if arguments[0] == "--version":
            return print(f"serflow {__version__}", flush=True)
        name = ALIASES.get(arguments[0], arguments[0])
        shown = f"serflow {arguments[0]}"
        if name not in COMMANDS:
            raise UserError(f"there is no such command{did_you_mean(name, [*COMMANDS, *ALIASES])}; see serflow --help")
        parser = parser_of(shown, name)
        options = vars(parser.parse_args(arguments[1:]))
        if device := options.pop("device", None):
            os.environ[VARIABLE] = device
        if log := options.pop("log", None):
            terminal = _terminal()
            _log_to(log)
            show_on(terminal)
        if lock := os.environ.get(LOCK_VARIABLE):
            end_with_run(lock)
        try:
            parser.call(options)
        finally:
            sys.stdout.flush()
    except UserError as error:
        _fail(f"{shown}: {error}", terminal)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{shown}: {where}{error.strerror or error}", terminal)


def parser_of(shown: str, name: str) -> Parser:
    """Return the parser of a command, which is called ``shown`` in its help."""
    module, _, function = function_of(name).partition(":")
    step = getattr(importlib.import_module(module), function)
    if name.startswith("extract_"):
        step = functools.update_wrapper(functools.partial(step, name.removeprefix("extract_")), step)
        del step.__wrapped__  # whose signature has the kind
    parser = Parser(shown, step)
    if name not in PEOPLE:
        parser.add_argument("--log", type=Path, metavar="PATH", help="write all output there; errors show on both")
    if name in ON_DEVICE:
        about = "where networks run; auto: on a GPU if there is one that the installed packages can use"
        parser.add_argument("--device", choices=DEVICES, help=about)
    return parser


def _overview() -> str:
    """Return the help of the program, with the first docstring line of each command, without importing any."""
    lines = ["usage: serflow COMMAND [OPTIONS], serflow --version", "", "serflow COMMAND --help lists the options."]
    lines += [
        "Trainings, reports and searches for settings are targets of Snakemake: snakemake --list-target-rules.",
        "",
    ]
    steps = [name for name in COMMANDS if name not in FOR_PEOPLE]
    for heading, names in (("Commands:", FOR_PEOPLE), ("Steps, which the rules of the workflow call:", steps)):
        lines += [heading, *_lines_of(names), ""]
    return "\n".join(lines[:-1])


def _lines_of(commands: Sequence[str]) -> Iterator[str]:
    for name in commands:
        module, _, function = function_of(name).partition(":")
        source = Path(__file__).parents[1].joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
        found = re.search(rf'^def {function}\(.*?^    """(.*?)(?:"""|$)', source, re.MULTILINE | re.DOTALL)
        short = next((short for short, long in ALIASES.items() if long == name), name)
        yield f"  {short:20} {summary(found[1])}"


def _terminal() -> TextIO:
    """Return what shows lines to the user: standard error, or the file that Snakemake's display reads."""
    screen = Path(os.environ.get(SCREEN_VARIABLE, ""))
    if screen.is_file():
        return screen.open("a", buffering=1, encoding="utf-8", errors="backslashreplace")
    return os.fdopen(os.dup(2), "w", errors="backslashreplace")


def _log_to(path: Path) -> None:
    """Send all output of the process to a log, whose first line is the command."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        print(shlex.join(["python", "-m", "serflow", *sys.argv[1:]]), file=sys.stderr, flush=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); make room or give access there") from error


def _fail(message: str, terminal: TextIO) -> NoReturn:
    message = printable(message)
    with contextlib.suppress(OSError):  # a log on a full disk
        print(message, file=sys.stderr, flush=True)
    if terminal is not sys.stderr:
        print(message, file=terminal, flush=True)
    try:
        print(end="", flush=True)
    except OSError:  # a closed pipe, or a full disk; Python would report it once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    raise SystemExit(1)
