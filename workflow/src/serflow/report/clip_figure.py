"""One clip as a picture of its waveform and mel-spectrogram, and as a recording to play."""

import io
from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # after the back end is set

from serflow.features import mel as mel_spectrograms
from serflow.inference.occlusion import Occlusion
from serflow.storage import replacing

DPI = 120
# Dark in both colour schemes of the page, like the spectrogram.
BACKGROUND, TEXT, WAVE, FALL = "#12161b", "#c9d1d9", "#6cc0f5", "#f2a65a"
STYLE = {"text.color": TEXT, "axes.labelcolor": TEXT, "xtick.color": TEXT, "ytick.color": TEXT, "font.size": 7}
STYLE |= {"axes.edgecolor": TEXT, "axes.linewidth": 0.5, "axes.facecolor": BACKGROUND}
# Size of the PNG's palette: a third of the bytes, without a visible difference.
COLOURS = 96


def show_clip(
    samples: np.ndarray,
    mel: Mapping,
    sampling_rate: int,
    *,
    figure: Path,
    audio: Path,
    occlusion: Occlusion | None = None,
) -> None:
    """Write the picture of a clip and its recording; the same clip gives the same bytes.

    Parameters
    ----------
    samples
        float32, shape (n,), full scale is ±1.
    mel
        The section ``mel`` of the configuration: ``n_mels``, ``n_fft``, ``hop_length``.
    sampling_rate
        In Hz.
    figure
        PNG file to write.
    audio
        WAV file (16 bits) to write.
    occlusion
        Shown above the spectrogram, over time, and beside it, over frequency.
    """
    import librosa.display
    import soundfile as sf
    from PIL import Image

    recording = io.BytesIO()  # since libsndfile's own error does not say that a disk is full
    sf.write(recording, samples, sampling_rate, subtype="PCM_16", format="WAV")
    with replacing(audio) as partial:
        partial.write_bytes(recording.getbuffer())
    (spectrogram,) = next(mel_spectrograms.compute(samples[None], {"sampling_rate": sampling_rate, **mel}))
    rows = [["wave", "."], ["parts", "."], ["spectrogram", "bands"]] if occlusion else [["wave"], ["spectrogram"]]
    ratios = {"height_ratios": (1, 0.7, 2.2), "width_ratios": (1, 0.13)} if occlusion else {"height_ratios": (1, 2.2)}
    size = (4.2, 3.0 if occlusion else 2.5)
    with plt.rc_context(STYLE):
        # No automatic layout: waveshow draws the whole figure each time, and the layout takes most of the time.
        margins = {"left": 0.15, "right": 0.97, "top": 0.96, "bottom": 0.16, "hspace": 0.12, "wspace": 0.05}
        picture = plt.figure(figsize=size, dpi=DPI, facecolor=BACKGROUND)
        axes = picture.subplot_mosaic(rows, gridspec_kw=margins, **ratios)
        seconds = len(samples) / sampling_rate
        librosa.display.waveshow(samples, sr=sampling_rate, ax=axes["wave"], color=WAVE, linewidth=0.4)
        axes["wave"].set(xlabel=None, ylabel="amplitude", xticks=[], xlim=(0, seconds))
        axes["wave"].spines[["top", "right", "bottom"]].set_visible(False)
        options = {"sr": sampling_rate, "n_fft": mel["n_fft"], "hop_length": mel["hop_length"], "cmap": "magma"}
        below = axes["spectrogram"]
        librosa.display.specshow(spectrogram, **options, x_axis="s", y_axis="mel", vmin=-80, vmax=0, ax=below)
        below.set(xlabel="seconds", ylabel="Hz", xlim=(0, seconds))
        if occlusion:
            _show_occlusion(occlusion, axes, seconds)
        picture.canvas.draw()
        pixels = Image.fromarray(np.asarray(picture.canvas.buffer_rgba())).convert("RGB")
        plt.close(picture)
    with replacing(figure) as partial:
        pixels.quantize(COLOURS, dither=Image.Dither.NONE).save(partial, optimize=True)


def _show_occlusion(occlusion: Occlusion, axes: Mapping, seconds: float) -> None:
    """Show in percentage points by how much the probability falls, over time and over frequency."""
    over_time, over_frequency = axes["parts"], axes["bands"]
    over_frequency.sharey(axes["spectrogram"])
    over_time.stairs(100 * np.asarray(occlusion.parts), occlusion.edges, fill=True, color=FALL)
    over_time.set(ylabel="fall", xticks=[], xlim=(0, seconds))
    over_frequency.stairs(
        100 * np.asarray(occlusion.levels), occlusion.bands, orientation="horizontal", fill=True, color=FALL
    )
    over_frequency.set(xlabel="fall")
    over_frequency.tick_params(left=False, labelleft=False)
    for axis in (over_time, over_frequency):
        axis.spines[["top", "right"]].set_visible(False)
