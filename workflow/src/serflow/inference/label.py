"""Labelling recordings with a model: windows in batches, and the mean of their probabilities."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from serflow.encoders.run import Encoder
from serflow.features import column_names, compute_features, pads
from serflow.inference.onnx_model import are_probabilities
from serflow.inference.recordings import RecordingToLabel
from serflow.inference.windows import Window, cut
from serflow.models.moments import Moments, moments_of, shrink
from serflow.runtime.errors import UserError

BATCH = 16


class Classifier(NamedTuple):
    """A trained model with everything between a waveform and its probabilities.

    ``network.probabilities`` maps features of the kind ``features``, float32 of shape (clips, …), to float32 of shape
    (clips, classes). ``preprocessing`` has the settings of the features, and those of
    :func:`serflow.inference.windows.cut`. ``encoder`` is needed by models that read embeddings. Models that standardise
    by speaker or corpus have ``moments``: mean and standard deviation of the training clips, or of a speaker.
    """

    network: Any
    features: str
    preprocessing: Mapping
    threads: int
    encoder: Encoder | None = None
    moments: Moments | None = None
    shrinkage: float = 1.0

    @property
    def pads(self) -> bool:
        """Whether the model reads clips of one length."""
        return pads(self.features)

    def probabilities(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """Return float32 of shape (clips, classes) for waveforms, each float32 of shape (samples,).

        They have ``target_length`` samples if the model reads clips of one length.
        """
        features = self._features(clips)
        if self.moments:
            features = self.moments.standardize(features)
        return self.network.probabilities(features)

    def adapted(self, recordings: Iterable[RecordingToLabel]) -> tuple["Classifier", int]:
        """Return the classifier for the speaker of some recordings, and how many windows were read of them.

        Recordings that cannot be read are left out. ``moments`` must be those of the training clips.
        """
        batches, batch = [], []
        for recording in recordings:
            with contextlib.suppress(UserError):
                batch += [window.samples for window in cut(recording, self.preprocessing, self.pads)]
            if len(batch) >= BATCH:
                batches.append(self._features(batch))
                batch = []
        if batch:
            batches.append(self._features(batch))
        count = sum(map(len, batches))
        if not count:
            return self, 0
        known = moments_of(batches, column_names(self.features, self.preprocessing))
        return self._replace(moments=shrink(known, count, self.moments, self.shrinkage)), count

    def _features(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        clips = np.stack(clips) if self.pads else clips
        return compute_features(self.features, clips, self.preprocessing, self.threads, self.encoder)


@dataclass
class Prediction:
    """The prediction for a recording; ``problem`` says why it could not be labelled, and is empty if it was.

    ``windows`` are start and end of each window in seconds, and its probabilities, shape (classes,).
    """

    file: str
    problem: str = ""
    windows: list[tuple[float, float, np.ndarray]] = field(default_factory=list)

    @property
    def probabilities(self) -> np.ndarray:
        """Mean over the windows, float32 of shape (classes,)."""
        return np.mean([probabilities for _, _, probabilities in self.windows], axis=0)

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return self.windows[-1][1]


def label_recordings(
    classifier: Classifier,
    recordings: Iterable[RecordingToLabel],
    labelled: Callable[[Sequence[Window]], None] = lambda windows: None,
) -> Iterator[Prediction]:
    """Yield the predictions for recordings, in their order, after labelling several windows at a time.

    Parameters
    ----------
    classifier
        The model.
    recordings
        The recordings. The prediction for one that cannot be read has a ``problem``.
    labelled
        Called with the windows that have just been labelled.

    Raises
    ------
    UserError
        If the model fails.
    """
    batch: list[tuple[Prediction, Window]] = []
    complete: list[Prediction] = []

    def windows() -> Iterator[tuple[Prediction, Window | None]]:  # None: the end of a recording
        for recording in recordings:
            prediction = Prediction(recording.name)
            try:
                yield from (
                    (prediction, window) for window in cut(recording, classifier.preprocessing, classifier.pads)
                )
            except UserError as error:
                prediction.problem = str(error)
            yield prediction, None

    def label_batch() -> Iterator[Prediction]:
        if batch:
            rows = classifier.probabilities([window.samples for _, window in batch])
            for (prediction, window), row in zip(batch, rows, strict=True):
                prediction.windows.append((window.start, window.end, row))
                if not are_probabilities(row):
                    prediction.problem = f"{prediction.file}: the model returns numbers that are not probabilities"
            labelled([window for _, window in batch])
        yield from complete
        batch.clear()
        complete.clear()

    for prediction, window in windows():
        if window is None:
            complete.append(prediction)
        else:
            batch.append((prediction, window))
        if len(batch) in (0, BATCH):
            yield from label_batch()
    yield from label_batch()
