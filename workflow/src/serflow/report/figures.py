"""Figures, drawn with matplotlib without a screen."""

import csv
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # after the back end is set

from serflow.audio.segments import read_row
from serflow.corpus.copies import draw
from serflow.corpus.labels import LABELS
from serflow.corpus.places import Location
from serflow.errors import UserError
from serflow.store import open_array, read_json, read_table, read_tables, replacing, write_json

DPI = 110
# Okabe & Ito's colours, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def save(figure, path: Path) -> None:
    """Write a figure as PNG, the same bytes for the same figure, and close it."""
    with replacing(path) as partial:
        # Without the metadata the same figure gives the same bytes.
        figure.savefig(partial, dpi=DPI, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)


def _chosen(clips: Sequence[str], count: int, seed: int, setting: str) -> list[str]:
    """Draw as many clips as a setting says, the same ones for the same corpus and seed."""
    if count > len(clips):
        raise UserError(f"config: {setting} is {count}, but there are {len(clips)} clips to draw from; lower it")
    purpose = setting.rstrip("s").replace(".", " ")
    return sorted(sorted(clips, key=lambda clip: draw(seed, clip, purpose))[:count])


def draw_clips(catalog: Path, source: Location, *, count: int, seed: int, sampling_rate: int, index: Path) -> None:
    """Draw the waveforms of randomly chosen clips and put the recordings beside them.

    Parameters
    ----------
    catalog
        ``clips.parquet``.
    source
        The corpus' recordings: see :func:`serflow.corpus.places.places_of`.
    count, seed
        How many, and the seed of the draw.
    sampling_rate
        Of the recordings written, in Hz.
    index
        JSON of what was drawn; ``clip{nn}.png`` and ``clip{nn}.wav`` go beside it.
    """
    import soundfile as sf

    rows = {row["clip"]: row for row in read_table(catalog).to_pylist()}
    drawn = []
    for number, clip in enumerate(_chosen(list(rows), count, seed, "report.clips")):
        row = rows[clip]
        samples = read_row(source, row, sampling_rate)
        figure, axes = plt.subplots(figsize=(4.4, 1.5))
        axes.plot(np.arange(len(samples)) / sampling_rate, samples, color=COLOURS[0], linewidth=0.4)
        limit = max(0.05, float(np.abs(samples).max()) * 1.05)
        axes.set(xlabel="seconds", ylabel="amplitude", ylim=(-limit, limit), xlim=(0, len(samples) / sampling_rate))
        save(figure, index.parent / f"clip{number:02d}.png")
        with replacing(index.parent / f"clip{number:02d}.wav") as partial:
            sf.write(partial, samples, sampling_rate, subtype="PCM_16", format="WAV")
        keys = ("clip", "actor", "sentence", "emotion", "level", "duration")
        drawn.append(
            {key: row[key] for key in keys} | {"figure": f"clip{number:02d}.png", "audio": f"clip{number:02d}.wav"}
        )
    write_json(index, {"drawn": drawn})


def draw_spectrograms(
    arrays: Sequence[Path],
    scans: Sequence[Path],
    *,
    count: int,
    seed: int,
    sampling_rate: int,
    hop_length: int,
    index: Path,
) -> None:
    """Draw the mel-spectrograms of randomly chosen rows.

    Parameters
    ----------
    arrays
        ``mel/{shard}.npy``, with their index tables beside them.
    scans
        The tables of all shards' recordings, for what was spoken.
    count, seed
        How many, and the seed of the draw.
    sampling_rate, hop_length
        Of the spectrograms.
    index
        JSON of what was drawn; ``mel{nn}.png`` go beside it.
    """
    place = {
        clip: (path, row)
        for path in arrays
        for row, clip in enumerate(read_table(path.with_suffix(".parquet"), ["clip"])["clip"].to_pylist())
    }
    known = read_tables(scans, ["clip", "emotion"])
    emotion_of = dict(zip(known["clip"].to_pylist(), known["emotion"].to_pylist(), strict=True))
    drawn = []
    for number, clip in enumerate(_chosen(list(place), count, seed, "report.spectrograms")):
        path, row = place[clip]
        spectrogram = open_array(path)[row]
        figure, axes = plt.subplots(figsize=(4.4, 2.6))
        seconds = spectrogram.shape[1] * hop_length / sampling_rate
        extent = (0, seconds, 0, len(spectrogram))
        image = axes.imshow(spectrogram, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=-80, vmax=0)
        axes.set(xlabel="seconds", ylabel="mel band")
        figure.colorbar(image, label="dB below maximum")
        save(figure, index.parent / f"mel{number:02d}.png")
        emotion = LABELS[emotion_of[clip.partition(".")[0]]]
        drawn.append({"clip": clip, "emotion": emotion, "figure": f"mel{number:02d}.png"})
    write_json(index, {"drawn": drawn})


def draw_run(history: Path, metrics: Path, *, curves: Path, confusion: Path) -> None:
    """Draw a run's learning curves and its confusion matrix."""
    with history.open(newline="") as file:
        rows = list(csv.DictReader(file))
    epochs = [int(row["epoch"]) for row in rows]
    run = read_json(metrics)
    figure, both = plt.subplots(1, 2, figsize=(7.6, 2.6))
    for axes, key in zip(both, ("loss", "accuracy"), strict=True):
        axes.plot(epochs, [float(row[key]) for row in rows], color=COLOURS[0], marker=".", label="training")
        axes.plot(
            epochs,
            [float(row[f"val_{key}"]) for row in rows],
            color=COLOURS[1],
            marker=".",
            label="validation",
        )
        axes.axvline(run["best_epoch"], color="grey", linestyle=":", label="weights kept")
        axes.set(xlabel="epoch", ylabel=key)
        axes.xaxis.get_major_locator().set_params(integer=True)
    both[0].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    save(figure, curves)

    matrix = np.array(run["confusion_matrix"])
    shares = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    figure, axes = plt.subplots(figsize=(3.8, 3.4))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    ticks = range(len(run["classes"]))
    axes.set(xlabel="prediction", ylabel="truth", xticks=ticks, yticks=ticks)
    axes.set_xticklabels(run["classes"], parse_math=False)  # a label is any text
    axes.set_yticklabels(run["classes"], parse_math=False)
    save(figure, confusion)
