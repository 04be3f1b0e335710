"""Labelling recordings with a model: windows in batches, and the mean of their probabilities."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from serflow.inference.classifier import BATCH, Classifier, Ensemble
from serflow.inference.onnx_model import are_probabilities
from serflow.inference.recordings import RecordingToLabel
from serflow.inference.windows import Window, cut
from serflow.runtime.errors import UserError


@dataclass
class Prediction:
    """The prediction for a recording; ``problem`` says why it could not be labelled, and is empty if it was.

    ``windows`` are start and end of each window in seconds, and its probabilities, shape (classes,). ``warnings`` say
    why the label may mean little.
    """

    file: str
    problem: str = ""
    windows: list[tuple[float, float, np.ndarray]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def probabilities(self) -> np.ndarray:
        """Mean over the windows, float32 of shape (classes,)."""
        return np.mean([probabilities for _, _, probabilities in self.windows], axis=0)

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return self.windows[-1][1]


def label_recordings(
    classifier: Classifier | Ensemble,
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
                found = cut(recording, classifier.preprocessing, classifier.pads, prediction.warnings.append)
                yield from ((prediction, window) for window in found)
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
