"""A command starts with what it needs: no TensorFlow, numba, matplotlib, Altair or scikit-learn unless it is used."""

import subprocess
import sys

import pytest

from serflow.cli import COMMANDS

HEAVY = ("tensorflow", "keras", "numba", "librosa", "matplotlib", "altair", "sklearn", "scipy", "pandas", "snakemake")
HEAVY += ("gradio",)
# What each of these is for.
DRAWING = {
    "matplotlib": ("draw_clips", "draw_mistakes"),
    "altair": ("draw_curves", "draw_confusion", "draw_evaluation", "compare_runs", "render_report"),
}
# Modules that are imported when a command runs; those that train import TensorFlow in the function that uses it.
SHOW = """
import importlib, sys
from serflow.cli import COMMANDS
importlib.import_module(COMMANDS[sys.argv[1]])
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_no_heavy_import_at_the_start(command):
    done = subprocess.run([sys.executable, "-c", SHOW, command], capture_output=True, text=True, check=True)
    drawn_with = {library for library, commands in DRAWING.items() if command in commands}
    assert not set(done.stdout.split()) & (set(HEAVY) - drawn_with)


def test_tables_are_made_and_read_without_pandas():
    code = """
import sys
import numpy as np
from serflow.storage.arrow import pa
table = pa.table({"number": np.arange(3), "word": ["a", "b", "c"]})
assert table["number"].to_numpy().sum() == 3 and pa.Table.from_pylist(table.to_pylist()) == table
assert "pandas" not in sys.modules
assert table.to_pandas().shape == (3, 2)  # for those who ask for it
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_keras_starts_without_what_nothing_here_uses():
    code = """
import sys
from serflow.models.keras_run import prepare
prepare(0, 1)
assert "keras" in sys.modules and not {"matplotlib", "pandas", "sklearn"} & set(sys.modules)
import pandas, sklearn.linear_model
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_list_of_commands_needs_no_array_library():
    # CPU seconds are no measure for a test on a shared machine (`make bench` has them); what is imported is one.
    code = "import sys; from serflow.cli import main; main(['--help']); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
