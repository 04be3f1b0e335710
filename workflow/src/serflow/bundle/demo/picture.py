"""The picture of a recording: its mel-spectrogram, and below it what the model says over time."""

import io
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise

import numpy as np

from serflow.audio.stft import hz_to_mel, mel_spectrum, power_spectrum, power_to_db
from serflow.inference.occlusion import Occlusion
from serflow.inference.windows import Window

_COLUMNS = 600  # of the picture, so that an hour takes no more memory than a minute


class Spectrogram:
    """A mel-spectrogram that is gathered from windows, in as much memory for an hour as for a minute.

    Parameters
    ----------
    preprocessing
        Of a bundle: ``sampling_rate`` in Hz, and ``n_mels``, ``n_fft`` and ``hop_length`` where its model reads
        mel-spectrograms.
    seconds
        How long the part of the recording is that windows will be taken from.
    """

    def __init__(self, preprocessing: Mapping, seconds: float):
        how = {"n_mels": 64, "n_fft": 1024, "hop_length": 256} | preprocessing
        self.seconds, self.sampling_rate = seconds, how["sampling_rate"]
        self._n_mels, self._n_fft, self._hop = how["n_mels"], how["n_fft"], how["hop_length"]
        columns = min(_COLUMNS, max(1, int(seconds * self.sampling_rate / self._hop)))
        self._power, self._frames = np.zeros((columns, self._n_mels), np.float32), np.zeros(columns, np.int64)

    def add(self, windows: Sequence[Window]) -> None:
        """Take in windows; frames of several that fall into one column of the picture are averaged."""
        for window in windows:
            spectra = power_spectrum(window.samples[None], self._n_fft, self._hop)
            (power,) = mel_spectrum(spectra, self.sampling_rate, self._n_fft, self._n_mels)
            times = window.start + np.arange(len(power)) * self._hop / self.sampling_rate
            columns = (times / self.seconds * len(self._power)).astype(np.int64)
            # Beyond the end are the zeros that fill a short one up.
            there = (columns < len(self._power)) & (times < window.end)
            np.add.at(self._power, columns[there], power[there])
            np.add.at(self._frames, columns[there], 1)

    def decibels(self) -> np.ndarray:
        """Return dB below the maximum, from -80 to 0, shape (n_mels, columns)."""
        mean = self._power / np.maximum(self._frames, 1)[:, None]
        return power_to_db(mean.astype(np.float32)[None], relative=True)[0].T


def draw(
    spectrogram: Spectrogram,
    segments: Sequence[tuple[float, float, np.ndarray]],
    classes: Sequence[str],
    occlusion: Occlusion | None = None,
    *,
    dark: bool = False,
) -> bytes:
    """Return a PNG of a spectrogram and, of segments, the probability of each class over time below it.

    Parameters
    ----------
    spectrogram
        Of the recording, or of its segments if there are any.
    segments
        Start and end of each in seconds, and its probabilities, shape (classes,). What lies between them is left empty.
    classes
        Their names; any text.
    occlusion
        Of a recording without segments: which parts of it decide, shown above the spectrogram.
    dark
        Whether text and lines are light, for a dark page. The background is transparent.
    """
    from matplotlib.figure import Figure  # not pyplot, which is for one thread

    ink = "#e6e9ed" if dark else "#1c2128"
    rows = [0.8] * bool(occlusion) + [3] + [0.35 * len(classes)] * bool(segments)
    # Small in inches, so that its text can be read on a phone.
    figure = Figure(figsize=(5.4, 0.5 + 0.7 * sum(rows)), layout="constrained")
    axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=rows)[:, 0]
    if occlusion:
        above, *axes = axes
        above.stairs(100 * occlusion.parts, occlusion.edges, fill=True)
        above.axhline(0, color=ink, linewidth=0.5)
        above.set(ylabel="points lost", title="What decides")
    decibels = spectrogram.decibels()
    extent = (0, spectrogram.seconds, 0, len(decibels))
    image = axes[0].imshow(
        decibels, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=-80, vmax=0, interpolation="nearest"
    )
    figure.colorbar(image, ax=axes[0], label="dB below maximum")
    ticks, highest = np.array([0, 500, 1000, 2000, 4000, 8000, 16000]), spectrogram.sampling_rate / 2
    ticks = ticks[ticks <= highest]
    axes[0].set_yticks(hz_to_mel(ticks) / hz_to_mel(highest) * len(decibels), ticks)
    axes[0].set(ylabel="Hz, on the mel scale", title="Mel-spectrogram")
    if segments:
        edges = list(chain.from_iterable(segment[:2] for segment in segments))
        for start, end in pairwise([0, *edges, spectrogram.seconds]):
            if start not in edges[::2]:
                axes[0].axvspan(start, end, facecolor="#12161b" if dark else "white", edgecolor="none")
        # Every second column is between two segments.
        shares = np.full((len(classes), len(edges) - 1), np.nan)
        shares[:, ::2] = np.stack([probabilities for *_, probabilities in segments], axis=1)
        mesh = axes[1].pcolormesh(
            edges, np.arange(len(classes) + 1), shares, cmap="Blues_r" if dark else "Blues", vmin=0, vmax=1
        )
        figure.colorbar(mesh, ax=axes[1], label="probability")
        axes[1].set_yticks(np.arange(len(classes)) + 0.5, classes, parse_math=False)
        axes[1].invert_yaxis()
        axes[1].set(title="Timeline")
    axes[-1].set(xlabel="seconds", xlim=(0, spectrogram.seconds))
    for axis in figure.axes:
        axis.set_facecolor("none")
        axis.tick_params(colors=ink, labelsize=8)
        axis.spines[:].set_color(ink)
        for text in (axis.title, axis.xaxis.label, axis.yaxis.label):
            text.set(color=ink, fontsize=9)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=165, transparent=True)
    return content.getvalue()
