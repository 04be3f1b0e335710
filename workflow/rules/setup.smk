"""What is settled before any rule: the checked configuration, the corpus and the runs."""

import json
import shlex
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

from serflow.corpus.folds import corpora_of
from serflow.corpus.grammar import shard_names
from serflow.corpus.sources import SAMPLE_FOLDER, open_source
from serflow.corpus.splits import LEAKY, PROTOCOLS, folds_of
from serflow.errors import UserError
from serflow.fingerprint import fingerprint
from serflow.locking import hold_lock
from serflow.models.registry import MODELS, training_settings, training_threads
from serflow.settings import check_settings, read_scalars, runs_on
from serflow.slurm import prepare_cluster


def stop(error):
    """Tell a user's mistake in one line, without Snakemake's account of where in this file it was noticed."""
    print(f"serflow: {error}", file=sys.stderr)
    sys.exit(1)


def begin():
    """Keep two runs from writing to the same results, and look after a cluster, before the first job starts."""
    try:
        if workflow.is_main_process:
            hold_lock("results/.lock")
            for note in SOURCE.notes:
                print(f"serflow: {note}", file=sys.stderr)
            if workflow.executor_plugin.name == "slurm":
                prepare_cluster(Path(".snakemake/log"))
    except UserError as error:
        stop(error)


config.update(read_scalars(config))
try:
    check_settings(config, Path(workflow.basedir, "workflow/schemas/config.schema.yaml"))
    SOURCE = open_source(config)
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
