"""What is settled before any rule: the checked configuration, the corpus and the runs."""

import gc
import json
import os
import re
import shlex
import threading
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

from serflow.bundle.inputs import source_digests
from serflow.corpus.pending import find_pending
from serflow.corpus.folds import corpora_of
from serflow.corpus.grammar import shard_names
from serflow.corpus.sources import FETCHED_FOLDER, SAMPLE, SAMPLE_FOLDER, open_source
from serflow.corpus.splits import LEAKY, PROTOCOLS, folds_of
from serflow.errors import UserError
from serflow.features.frame_features import ENERGY, FEATURES, modules_of
from serflow.fingerprint import digest_of, fingerprint
from serflow.locking import LOCK_VARIABLE, hold_lock
from serflow.models.registry import MODELS, training_settings, training_threads
from serflow.settings import check_file, check_settings, read_scalars, runs_on, with_defaults
from serflow.slurm import prepare_cluster
from serflow.store import tidy

LOCK = Path("results/.lock")


def stop(error):
    """Tell a user's mistake in one line, without Snakemake's account of where in this file it was noticed."""
    print(f"serflow: {error}", file=sys.stderr)
    sys.exit(1)


def begin():
    """Keep two runs from writing to the same results, and look after a cluster, before the first job starts.

    Steps on this machine end with the run. On a cluster the next run cancels what is left.
    """
    try:
        if workflow.is_main_process:
            hold_lock(LOCK)
            for note in SOURCE.notes:
                print(f"serflow: {note}", file=sys.stderr)
            if workflow.executor_plugin.name == "slurm":
                prepare_cluster(Path(".snakemake/log"))
            else:
                os.environ[LOCK_VARIABLE] = str(LOCK.resolve())
            for folder in ("results", *([SOURCE.folder.parent] if SOURCE.made else [])):
                tidy(folder)
    except UserError as error:
        stop(error)


def end():
    """Cancel what Snakemake's scheduler has set to look for jobs in a second: Python would wait for it to end."""
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()


SETTINGS = f"{BASE}/config.yaml"
try:
    for path in (SETTINGS, *workflow.configfiles):
        check_file(Path(path))
except UserError as error:
    stop(error)


configfile: SETTINGS


# The path may hold anything. Snakemake reads a brace as its own unless it is doubled.
PACKAGE = shlex.quote(f"{BASE}/workflow/src").replace("{", "{{").replace("}", "}}")
shell.prefix(f"export PYTHONPATH={PACKAGE}" '"${{PYTHONPATH:+:$PYTHONPATH}}"; ')

# As a module this workflow is given a configuration in place of its own file, and takes the rest from that.
try:
    settings = with_defaults(read_scalars(config), Path(SETTINGS))
    # In the order of the file, wherever they were given: rules that show all settings would be stale by another.
    config.clear()
    config.update(settings)
    check_settings(config, Path(BASE, "workflow/schemas/config.schema.yaml"))
    SOURCE = open_source(config, find_pending(config))
    TO_LABEL = source_digests(config["input"], config["shards"])
    for path in filter(None, (*SOURCE.metadata.values(), config["split"]["table"], config["bundle"])):
        if re.search(r"[{}]|<\w+>", str(path)):
            raise UserError(f"{path}: Snakemake reads braces, and a word in <>, as its own; rename the folder or file")
    Run = namedtuple("Run", "protocol model seed fold")
    RUNS = [
        Run(run["protocol"], model, seed, fold)
        for run in runs_on(config, SOURCE.formats)
        for model in run["models"]
        for seed in run["seeds"]
        for fold in range(folds_of(run["protocol"], SOURCE.actors, config["split"]["table"], SOURCE.formats))
    ]
except UserError as error:
    stop(error)


# What is loaded by now stays to the end: Python need not look through it for what nobody uses, and at its own end
# took a quarter of a second to do so.
gc.freeze()


onstart:
    begin()


onsuccess:
    end()


onerror:
    end()
