"""Seconds of CPU that each sub-command needs to start: its --help, and the import of all that it computes with."""

import os
import subprocess
import sys

from serflow.cli import COMMANDS

IMPORT = "import importlib,sys; importlib.import_module(sys.argv[1]); import pyarrow.parquet"


def cpu(*command: str) -> float:
    """Run Python and give the lowest user and system time of three runs."""
    best = float("inf")
    for _ in range(3):
        before = os.times()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        after = os.times()
        best = min(best, after.children_user + after.children_system - before.children_user - before.children_system)
    return best


print("| command | --help s | imports s |\n|---|---:|---:|")
for name, module in COMMANDS.items():
    print(f"| {name} | {cpu('-m', 'serflow', name, '--help'):.2f} | {cpu('-c', IMPORT, module):.2f} |")
