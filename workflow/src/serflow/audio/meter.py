"""The level of a recording, measured once for the audit of a corpus and for the warnings of ``predict``."""

import math

import numpy as np

FULL_SCALE = 0.999  # from here on a sample counts as clipped: 16-bit audio within 33 steps of its end
# Beyond these, a recording is labelled with a warning. Silence: its highest peak in dB of full scale. Clipping: the
# share of samples, as in the audit by default. Integers: multiples of full scale that no float file of sound reaches.
SILENT_DBFS, CLIPPED, INTEGERS = -60, 0.02, 16
_STEPS = 10  # in a second


class LevelMeter:
    """Level of a recording whose samples come in blocks.

    Peak, RMS and mean are those of the mix of the channels, which models read. Clipping is that of the channels, since
    a mix would hide it.
    """

    def __init__(self):
        self.peak, self.highest = 0.0, 0.0  # of the mix and of all channels
        self._samples, self._sum, self._squares = 0, 0.0, 0.0
        self._values, self._clipped = 0, 0  # of all channels

    def add(self, samples: np.ndarray, mixed: np.ndarray) -> None:
        """Add a block, float32 of shape (samples, channels), and the mix of its channels, of shape (samples,)."""
        values = mixed.astype(np.float64)
        self._samples += len(values)
        self._sum += float(values.sum())
        self._squares += float(np.dot(values, values))
        self.peak = max(self.peak, _highest(mixed))
        highest = _highest(samples)
        self.highest = max(self.highest, highest)
        self._values += samples.size
        if highest >= FULL_SCALE:
            self._clipped += int((np.abs(samples) >= FULL_SCALE).sum())

    @property
    def rms(self) -> float:
        """Root mean square."""
        return math.sqrt(self._squares / self._samples)

    @property
    def dc_offset(self) -> float:
        """Mean."""
        return self._sum / self._samples

    @property
    def clipped(self) -> float:
        """Share of the samples of all channels that are at full scale or beyond."""
        return self._clipped / self._values

    def warnings(self) -> list[str]:
        """Return why a label of the recording would mean little."""
        found = []
        if self.peak < 10 ** (SILENT_DBFS / 20):
            peak = (
                f"its highest peak is {20 * math.log10(self.peak):.0f} dB of full scale" if self.peak else "zeros only"
            )
            found.append(f"silence: {peak}, when its channels are mixed")
        if self.highest > INTEGERS:
            found.append(f"its samples reach {self.highest:.0f} times full scale, as integers in a float file do")
        elif self.clipped > CLIPPED:
            found.append(f"clipping: {self.clipped:.0%} of its samples are at full scale")
        return found


def _highest(samples: np.ndarray) -> float:
    return float(max(samples.max(), -samples.min()))


def loudest_second(samples: np.ndarray, rate: int) -> float:
    """Return the root mean square of the loudest second of a recording, of all of it if it is shorter.

    Unlike that of the whole recording, it does not depend on silence around the speech.

    Parameters
    ----------
    samples
        Mono, shape (samples,), in full scale.
    rate
        Sampling rate in Hz.

    Notes
    -----
    The seconds begin at every tenth of a second; the last second is one of them.
    """
    step = max(1, rate // _STEPS)
    powers = [_power(samples[-_STEPS * step :])]
    whole = len(samples) // step
    if whole > _STEPS:
        blocks = np.square(samples[: whole * step], dtype=np.float64).reshape(whole, step).mean(axis=1)
        powers.append(np.lib.stride_tricks.sliding_window_view(blocks, _STEPS).mean(axis=1).max())
    return float(np.sqrt(max(powers)))


def _power(samples: np.ndarray) -> float:
    return float(np.square(samples, dtype=np.float64).mean())
