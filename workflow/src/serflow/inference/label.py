"""Labelling recordings with a model: windows in batches, and the mean of their probabilities."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from serflow.features import compute_features
from serflow.inference.onnx_model import are_probabilities
from serflow.inference.recordings import RecordingToLabel
from serflow.inference.windows import Window, cut
from serflow.runtime.errors import UserError

BATCH = 16


class Classifier(NamedTuple):
    """A trained model with everything between a waveform and its probabilities.

    Attributes
    ----------
    network
        The model: its method ``probabilities`` maps float32 features of shape (clips, …) to float32 of shape (clips,
        classes).
    features
        The kind of features that it reads.
    preprocessing
        ``sampling_rate``, ``target_length``, ``longest`` (see :func:`serflow.inference.windows.cut`) and the settings
        of the features.
    threads
        Number of threads of the features.
    """

    network: Any
    features: str
    preprocessing: Mapping
    threads: int = 1

    def probabilities(self, clips: np.ndarray) -> np.ndarray:
        """Return float32 of shape (clips, classes) for waveforms, float32 of shape (clips, ``target_length``)."""
        return self.network.probabilities(compute_features(self.features, clips, self.preprocessing, self.threads))


@dataclass
class Prediction:
    """The prediction for a recording.

    Attributes
    ----------
    file
        Name of the recording.
    problem
        Why the recording could not be labelled; empty if it was.
    windows
        Start and end of each window in seconds, and its probabilities, shape (classes,).
    """

    file: str
    problem: str = ""
    windows: list[tuple[float, float, np.ndarray]] = field(default_factory=list)
    waiting: int = 0
    read: bool = False

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
    """Label recordings, several windows at a time.

    Parameters
    ----------
    classifier
        The model.
    recordings
        The recordings.
    labelled
        Called with the windows that have just been labelled.

    Yields
    ------
    Prediction
        In the order of ``recordings``; a recording that cannot be read has a ``problem``.
    """
    batch: list[tuple[Prediction, Window]] = []
    unfinished: deque[Prediction] = deque()

    def finished() -> Iterator[Prediction]:
        while unfinished and unfinished[0].read and not unfinished[0].waiting:
            yield unfinished.popleft()

    def label_batch() -> None:
        clips = np.stack([window.samples for _, window in batch])
        for (prediction, window), row in zip(batch, classifier.probabilities(clips), strict=True):
            prediction.windows.append((window.start, window.end, row))
            prediction.waiting -= 1
            if not are_probabilities(row):
                prediction.problem = f"{prediction.file}: the model returns numbers that are not probabilities"
        labelled([window for _, window in batch])
        batch.clear()

    for recording in recordings:
        prediction = Prediction(recording.name)
        unfinished.append(prediction)
        try:
            for window in cut(recording, classifier.preprocessing):
                prediction.waiting += 1
                batch.append((prediction, window))
                if len(batch) == BATCH:
                    label_batch()
        except UserError as error:
            prediction.problem = str(error)
        prediction.read = True
        yield from finished()
    if batch:
        label_batch()
    yield from finished()
