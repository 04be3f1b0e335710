"""Milliseconds of a training step: the notebook's `model.fit`, serflow's, and the least that its arithmetic takes.

usage: python tests/bench/training.py [--rounds N] [--steps N] [MODEL ...]      (default: all networks)

All are measured on rows of CREMA-D's shape, each in a process of its own, in turn. The least is what the
multiplications of a step take at the speed of one large matrix product. Writes results/bench/training.md and prints it.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
# Of one clip; that of resnet_asp has 2.5 s.
SHAPES = {"cnn1d": (816, 1), "cnn2d": (128, 80, 1), "resnet_asp": (64, 125, 1), "mlp_embedding": (4608, 1)}
OF_THE_NOTEBOOK = ("cnn1d", "cnn2d")
EPOCH = 4460  # recordings in three of CREMA-D's five blocks, without copies
BATCH, CLASSES, WARM = 32, 6, 5
HOW = NOTEBOOK, OURS, FLOOR = "the notebook's model.fit", "serflow", "the multiplications alone"


def floor_seconds(network) -> float:
    """Return the seconds of a step's multiplications: of each layer those forward, by its weights and by its inputs."""
    import tensorflow as tf

    each = sum(
        math.prod(layer.output.shape[1:-1]) * math.prod(layer.kernel.shape)
        for layer in network.layers
        if hasattr(layer, "kernel")
    )
    size = 4096
    square = tf.random.normal((size, size))
    tf.linalg.matmul(square, square).numpy()
    began = time.perf_counter()
    tf.linalg.matmul(square, square).numpy()
    return (time.perf_counter() - began) * 3 * BATCH * each / size**3


def step_seconds(model: str, how: str, steps: int) -> float:
    """Train for a few steps and give the median seconds of one."""
    import numpy as np

    from serflow.models.architectures import ARCHITECTURES
    from serflow.models.batches import dataset
    from serflow.models.data import Rows
    from serflow.models.keras_run import prepare
    from serflow.models.named import named_models

    if how == NOTEBOOK:
        import keras
    else:
        keras = prepare(0, os.cpu_count() or 1)

    settings = named_models({})[model].settings
    built = (64, None, 1) if model == "resnet_asp" else SHAPES[model]
    network = ARCHITECTURES[model].load().build(built, CLASSES, settings)
    if how == FLOOR:
        return floor_seconds(network)
    network.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    draws = np.random.default_rng(0)
    count = BATCH * (WARM + steps)
    x = draws.standard_normal((count, *SHAPES[model]), dtype=np.float32)
    labels = draws.integers(CLASSES, size=count)

    class InMemory:
        """As the shards' features, which are read by place."""

        own_length = False

        def lengths(self, places):
            return None

        def take(self, places):
            return x[places[:, 0]]

    ends = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            ends.append(time.perf_counter())

    if how == NOTEBOOK:
        network.fit(x, np.eye(CLASSES)[labels], batch_size=BATCH, verbose=0, callbacks=[Clock()])
    else:
        rows = Rows(labels, np.arange(count)[:, None], np.arange(count))
        fed = dataset(InMemory(), rows, CLASSES, BATCH, shuffle_seed=0)
        network.fit(fed, verbose=0, callbacks=[Clock()])
    return statistics.median(np.diff(ends)[WARM:].tolist())


def main() -> None:
    """Measure every variant in turn, round after round, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=list(SHAPES), metavar="MODEL")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(step_seconds(*options.one, options.steps)))
        return
    lines = [
        f"{os.cpu_count()} cores, batches of {BATCH}; median of {options.rounds} rounds in turn, lowest to highest in "
        f"brackets; load average {os.getloadavg()[0]:.1f} before it.",
        "",
        "| model | trained by | ms per step | against the notebook's |",
        "|---|---|---:|---:|",
    ]
    speeds = ["", f"| model | steps per second | seconds per epoch of {EPOCH} clips |", "|---|---:|---:|"]
    for model in options.models:
        found: dict[str, list[float]] = {how: [] for how in (HOW if model in OF_THE_NOTEBOOK else [OURS])}
        for _ in range(options.rounds):
            for how, milliseconds in found.items():
                command = [sys.executable, __file__, "--steps", str(options.steps), "--one", model, how]
                env = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
                done = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True)
                milliseconds.append(1000 * json.loads(done.stdout.splitlines()[-1]))
        medians = {name: statistics.median(seconds) for name, seconds in found.items()}
        theirs = next(iter(medians.values()))
        speeds.append(
            f"| {model} | {1000 / medians[OURS]:.1f} | {medians[OURS] / 1000 * math.ceil(EPOCH / BATCH):.0f} |"
        )
        for name, ours in medians.items():
            spread = f"{min(found[name]):.0f}–{max(found[name]):.0f}"
            against = f"{theirs / ours:.2f} ×" if model in OF_THE_NOTEBOOK else "–"
            lines.append(f"| {model} | {name} | {ours:.0f} ({spread}) | {against} |")
    table = PROJECT / "results/bench/training.md"
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text("\n".join(lines + speeds) + "\n")
    print(table.read_text())


if __name__ == "__main__":
    main()
