"""serflow: speech emotion recognition as a workflow.

``from serflow import Bundle`` opens a trained model in Python. All other work is done by the rules of the workflow,
whose commands :mod:`serflow.cli` lists. Nothing in this package imports Snakemake.
"""

import importlib

__version__ = "0.1.0"


def __getattr__(name: str):
    # Imported when it is used, so that the commands, which are processes of their own, start fast.
    if name == "Bundle":
        return importlib.import_module("serflow.bundle.interface").Bundle
    raise AttributeError(f"module 'serflow' has no attribute {name!r}")
