"""From waveforms to probabilities: a trained model, or the weighted mean of several."""

import contextlib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from serflow.audio.length import truncate_or_pad
from serflow.encoders.run import Encoder
from serflow.features import column_names, compute_features, pads
from serflow.inference.onnx_model import are_probabilities
from serflow.inference.recordings import RecordingToLabel
from serflow.inference.windows import WINDOWS, Heard, cut
from serflow.metrics.calibration import apply_temperature
from serflow.models.moments import Moments, moments_of, shrink
from serflow.runtime.errors import UserError

BATCH = 16
_KNOWN = 4096  # windows, of which embeddings of Whisper tiny.en take 75 MB


class Classifier(NamedTuple):
    """A trained model with everything between a waveform and its probabilities.

    ``network.probabilities`` maps features of the kind ``features``, float32 of shape (clips, …), to float32 of shape
    (clips, classes). ``preprocessing`` has the settings of the features, and those of
    :func:`serflow.inference.windows.cut`. ``encoder`` is needed by models that read embeddings. Models that standardise
    by speaker or corpus have ``moments``: mean and standard deviation of the training clips, or of a speaker; ``plain``
    is a model of the same kind that knows no speakers. ``temperature`` is that of its probabilities. ``known`` has the
    features of windows that the model was adapted by, which are often those to label.
    """

    network: Any
    features: str
    preprocessing: Mapping
    threads: int
    encoder: Encoder | None = None
    moments: Moments | None = None
    shrinkage: float = 1.0
    temperature: float = 1.0
    plain: "Classifier | None" = None
    known: Mapping[bytes, np.ndarray] = MappingProxyType({})

    @property
    def pads(self) -> bool:
        """Whether the model reads clips of one length."""
        return pads(self.features)

    @property
    def adaptable(self) -> bool:
        """Whether the model can be adapted to a speaker."""
        return self.moments is not None

    @property
    def unadapted(self) -> "Classifier":
        """The classifier for a speaker of whom no recording is known."""
        return self.plain or self

    def probabilities(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """Return float32 of shape (clips, classes) for waveforms, each float32 of shape (samples,).

        They have ``target_length`` samples if the model reads clips of one length.
        """
        return self.answer(self.read(clips))

    def answer(self, features: np.ndarray) -> np.ndarray:
        """Return float32 of shape (clips, classes) for features that :meth:`read` returned."""
        if self.moments:
            features = self.moments.standardize(features)
        return self.network.probabilities(features)

    def adapted(self, recordings: Iterable[RecordingToLabel], segments: str = WINDOWS) -> tuple["Classifier", int]:
        """Return the classifier for the speaker of some recordings, and how many windows were read of them.

        Recordings that cannot be read, or hold no speech, are left out. ``segments`` is as in
        :func:`serflow.inference.windows.cut`. ``moments`` must be those of the training clips.
        """
        batches, batch, known = [], [], {}

        def take_in():
            batches.append(self.read(batch))
            if self.encoder and len(known) < _KNOWN:  # other features are fast
                known.update(zip(map(_digest, batch), batches[-1], strict=True))
            batch.clear()

        for recording in recordings:
            with contextlib.suppress(UserError):
                heard = Heard()
                windows = list(cut(recording, self.preprocessing, self.pads, segments=segments, heard=heard))
                if heard.has_speech:
                    batch += [window.samples for window in windows]
            if len(batch) >= BATCH:
                take_in()
        if batch:
            take_in()
        count = sum(map(len, batches))
        if not count:
            return self, 0
        moments = moments_of(batches, column_names(self.features, self.preprocessing))
        return self._replace(moments=shrink(moments, count, self.moments, self.shrinkage), known=known), count

    def read(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """Return what the model reads of waveforms, float32 of shape (clips, …, 1); they are as above."""
        if self.known:
            found = [self.known.get(_digest(clip)) for clip in clips]
            if all(features is not None for features in found):
                return np.stack(found)
        clips = np.stack(clips) if self.pads else clips
        return compute_features(self.features, clips, self.preprocessing, self.threads, self.encoder)


def _digest(clip: np.ndarray) -> bytes:
    return hashlib.blake2b(clip.tobytes(), digest_size=16).digest()


class Ensemble(NamedTuple):
    """The mean of the calibrated probabilities of several classifiers, which read windows of one length and rate."""

    members: Sequence[Classifier]
    weights: Sequence[float]
    temperature: float

    @property
    def preprocessing(self) -> Mapping:
        """That of the first member: rate and length of windows are the same for all."""
        return self.members[0].preprocessing

    @property
    def pads(self) -> bool:
        """Windows come at their own length, since not every member reads clips of one length."""
        return False

    @property
    def adaptable(self) -> bool:
        """Whether a member can be adapted to a speaker."""
        return any(member.adaptable for member in self.members)

    @property
    def unadapted(self) -> "Ensemble":
        """The ensemble for a speaker of whom no recording is known."""
        return self._replace(members=[member.unadapted for member in self.members])

    def probabilities(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """Return float32 of shape (clips, classes) for waveforms, each float32 of shape (samples,)."""
        found = 0
        for member, weight in zip(self.members, self.weights, strict=True):
            own = truncate_or_pad(clips, member.preprocessing["target_length"]) if member.pads else clips
            shares = member.probabilities(own).astype(np.float64)
            sound = [are_probabilities(row) for row in shares]
            if any(sound):
                shares[sound] = apply_temperature(shares[sound], member.temperature)
            shares[np.logical_not(sound)] = np.nan  # which whoever labels with them reports
            found = found + weight * shares
        return found.astype(np.float32)

    def adapted(self, recordings: Iterable[RecordingToLabel], segments: str = WINDOWS) -> tuple["Ensemble", int]:
        """Return the ensemble for the speaker of some recordings, and how many windows were read of them."""
        recordings = list(recordings)
        found = [member.adapted(recordings, segments) if member.adaptable else (member, 0) for member in self.members]
        return self._replace(members=[member for member, _ in found]), max(count for _, count in found)
