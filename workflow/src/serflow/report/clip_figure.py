"""A clip to look at and to listen to: its waveform and mel-spectrogram as one picture, and a recording to play."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # after the back end is set

from serflow.audio.stft import hz_to_mel
from serflow.features.mel import log_mel
from serflow.storage import replacing

DPI = 120
# A dark ground in both schemes of the page, as the spectrogram's own is.
GROUND, TEXT, WAVE = "#12161b", "#c9d1d9", "#6cc0f5"
# Of the palette that pictures are reduced to: a third of the size, and no difference to be seen.
COLOURS = 96
COLUMNS = 1000
TICKS_HZ = (500, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000)


def show_clip(samples: np.ndarray, mel: Mapping, sampling_rate: int, *, figure: Path, audio: Path) -> None:
    """Write the picture of a clip and a recording of it.

    Parameters
    ----------
    samples
        float32, shape (n,), full scale is ±1.
    mel
        The section ``mel`` of the configuration: ``n_mels``, ``n_fft``, ``hop_length``.
    sampling_rate
        In Hz.
    figure, audio
        The PNG and the WAV file (16 bits) to write.
    """
    import soundfile as sf

    with replacing(audio) as partial:
        sf.write(partial, samples, sampling_rate, subtype="PCM_16", format="WAV")
    (spectrogram,) = np.concatenate(list(log_mel(samples[None], sampling_rate=sampling_rate, **mel)))
    seconds = len(samples) / sampling_rate
    style = {"text.color": TEXT, "axes.labelcolor": TEXT, "xtick.color": TEXT, "ytick.color": TEXT, "font.size": 7}
    with plt.rc_context(style | {"axes.edgecolor": TEXT, "axes.linewidth": 0.5, "axes.facecolor": GROUND}):
        picture, (above, below) = plt.subplots(
            2, sharex=True, figsize=(4.2, 2.5), height_ratios=(1, 2.2), layout="constrained", facecolor=GROUND
        )
        _waveform(samples, seconds, above)
        _spectrogram(spectrogram, seconds, sampling_rate, below)
        _save(picture, figure)


def _waveform(samples: np.ndarray, seconds: float, axes) -> None:
    low, high = envelope(samples, COLUMNS)
    time = np.linspace(0, seconds, len(low))
    axes.fill_between(time, low, high, color=WAVE, linewidth=0.4)
    limit = max(0.05, float(np.abs(samples).max()) * 1.05)
    axes.set(ylabel="amplitude", ylim=(-limit, limit), xlim=(0, seconds))
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(bottom=False)


def envelope(samples: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the least and greatest sample of each of so many equal stretches, or every sample where those are fewer."""
    starts = np.linspace(0, len(samples), min(columns, len(samples)), endpoint=False).astype(int)
    return np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)


def _spectrogram(decibels: np.ndarray, seconds: float, sampling_rate: int, axes) -> None:
    bands = len(decibels)
    axes.imshow(decibels, origin="lower", aspect="auto", extent=(0, seconds, 0, bands), cmap="magma", vmin=-80, vmax=0)
    # The centre of band i, drawn from i to i + 1, lies at (i + 1) / (bands + 1) of the mel scale up to half the rate.
    ticks = [frequency for frequency in TICKS_HZ if frequency <= sampling_rate / 2]
    places = (bands + 1) * hz_to_mel(ticks) / hz_to_mel(sampling_rate / 2) - 0.5
    axes.set_yticks(places, [f"{frequency / 1000:g}" for frequency in ticks])
    axes.set(xlabel="seconds", ylabel="kHz", ylim=(0, bands))


def _save(picture, path: Path) -> None:
    """Write a picture with few colours as PNG, the same bytes for the same picture, and close it."""
    from PIL import Image

    picture.set_dpi(DPI)
    picture.canvas.draw()
    drawn = Image.fromarray(np.asarray(picture.canvas.buffer_rgba())).convert("RGB")
    plt.close(picture)
    with replacing(path) as partial:
        drawn.quantize(COLOURS, dither=Image.Dither.NONE).save(partial, optimize=True)
