"""Which part of a clip decides: the probability that a label loses when a part of the clip is taken out."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from serflow.inference.classifier import BATCH, Classifier, Ensemble

PART_SECONDS = 0.15
FEWEST_PARTS, MOST_PARTS = 4, 40
BANDS = 8
_FADE_SECONDS = 0.005
_MEL_BREAK, _MEL_FACTOR = 700.0, 2595.0  # of the mel scale by O'Shaughnessy (1987), as in HTK


class Occlusion(NamedTuple):
    """What the label of a clip depends on.

    ``edges`` are the P + 1 borders of the parts in seconds and ``bands`` the B + 1 borders of the bands in Hz. By
    taking out one of them the probability of the label falls by ``parts``, float32 of shape (P,), and ``levels``,
    float32 of shape (B,); where these are negative, it rises.
    """

    edges: np.ndarray
    parts: np.ndarray
    bands: np.ndarray
    levels: np.ndarray

    @property
    def strongest_band(self) -> tuple[float, float, float]:
        """Lower and upper border in Hz of the band that decides most, and by how much the probability falls."""
        band = int(self.levels.argmax())
        return float(self.bands[band]), float(self.bands[band + 1]), float(self.levels[band])


def occlude(classifier: Classifier | Ensemble, samples: np.ndarray, length: int | None = None) -> Occlusion:
    """Return by how much the probability of a clip's label falls when a part or a frequency band of it is taken out.

    Parts are of equal length, about 0.15 s; bands are of equal width on the mel scale, from 0 Hz to half the rate. The
    quietest part of the clip takes their place: models know the background of a recording, but not digital silence.

    Parameters
    ----------
    classifier
        The model.
    samples
        float32, shape (n,), at the rate of the model; of the common length if it reads clips of one length.
    length
        How many of the samples are of the recording, and not zeros that fill it up; all by default.

    References
    ----------
    Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4.2.
    """
    rate = classifier.preprocessing["sampling_rate"]
    length = len(samples) if length is None else min(length, len(samples))
    count = int(np.clip(round(length / rate / PART_SECONDS), FEWEST_PARTS, MOST_PARTS))
    edges = np.linspace(0, length, count + 1).round().astype(int)
    bands = mel_borders(BANDS, rate / 2)
    background = quietest(samples, edges)
    changed = [samples, *replace_parts(samples, background, edges, rate)]
    changed += replace_bands(samples, background, bands, rate)
    rows = np.concatenate(
        [classifier.probabilities(changed[first : first + BATCH]) for first in range(0, len(changed), BATCH)]
    )
    label = int(rows[0].argmax())
    falls = rows[0, label] - rows[1:, label]
    return Occlusion(edges / rate, falls[:count], bands, falls[count:])


def mel_borders(bands: int, highest: float) -> np.ndarray:
    """Return the borders in Hz of bands that are equally wide on the mel scale, shape (bands + 1,)."""
    mel = np.linspace(0, _MEL_FACTOR * np.log10(1 + highest / _MEL_BREAK), bands + 1)
    return _MEL_BREAK * (10 ** (mel / _MEL_FACTOR) - 1)


def quietest(samples: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the part of a clip between two edges that has the least energy, repeated to the clip's length."""
    parts = [samples[first:last] for first, last in pairwise(edges)]
    return np.resize(min(parts, key=lambda part: np.mean(np.square(part))), len(samples))


def replace_parts(samples: np.ndarray, background: np.ndarray, edges: np.ndarray, rate: int) -> list[np.ndarray]:
    """Return a copy of a clip for each part between two edges, in samples, with the background in its place.

    They fade into each other over 5 ms, since a click is a sound of its own.
    """
    fade = max(1, round(_FADE_SECONDS * rate))
    ramp = np.linspace(0, 1, fade, endpoint=False, dtype=np.float32)
    copies = []
    for first, last in pairwise(edges):
        share = np.ones(last - first, np.float32)
        edge = min(fade, len(share) // 2)
        share[:edge], share[len(share) - edge :] = ramp[:edge], ramp[:edge][::-1]
        copy = samples.copy()
        copy[first:last] += share * (background[first:last] - copy[first:last])
        copies.append(copy)
    return copies


def replace_bands(samples: np.ndarray, background: np.ndarray, bands: np.ndarray, rate: int) -> list[np.ndarray]:
    """Return a copy of a clip for each band between two borders, in Hz, with the background's band in its place."""
    spectrum, other = np.fft.rfft(samples), np.fft.rfft(background)
    of_band = np.searchsorted(bands[1:-1], np.fft.rfftfreq(len(samples), 1 / rate), side="right")
    return [
        np.fft.irfft(np.where(of_band == band, other, spectrum), len(samples)).astype(np.float32)
        for band in range(len(bands) - 1)
    ]
