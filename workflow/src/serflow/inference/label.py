"""Labelling recordings with a model: windows in batches, and the mean of their probabilities."""

import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from serflow.inference.classifier import BATCH, Classifier, Ensemble
from serflow.inference.onnx_model import are_probabilities
from serflow.inference.recordings import RecordingToLabel
from serflow.inference.windows import WINDOWS, Heard, Window, cut
from serflow.runtime.errors import UserError

NO_SPEECH = "no speech was found in it, so it has no label"


@dataclass
class Prediction(Heard):
    """The prediction for a recording; ``problem`` says why it could not be read or labelled, and is empty if it was.

    ``start`` and ``end`` are those of a part of a file. ``windows`` are start and end of each window in seconds, and
    its probabilities, shape (classes,). What holds no speech has no label, whatever the model says of it.
    """

    file: str = ""
    start: float | None = None
    end: float | None = None
    problem: str = ""
    windows: list[tuple[float, float, np.ndarray]] = field(default_factory=list)

    @property
    def probabilities(self) -> np.ndarray:
        """Mean over the windows, float32 of shape (classes,)."""
        return np.mean([probabilities for _, _, probabilities in self.windows], axis=0)

    @property
    def timeline(self) -> list[tuple[float, float, np.ndarray]]:
        """The windows or, of a recording cut into segments of speech, these, with the mean over the windows of each."""
        if not self.segments:
            return self.windows
        starts, rows = [start for start, _ in self.segments], [[] for _ in self.segments]
        for start, _, probabilities in self.windows:
            rows[bisect.bisect(starts, start) - 1].append(probabilities)
        return [(*segment, np.mean(found, axis=0)) for segment, found in zip(self.segments, rows, strict=True)]


def label_recordings(
    classifier: Classifier | Ensemble,
    recordings: Iterable[RecordingToLabel],
    labelled: Callable[[Sequence[Window]], None] = lambda windows: None,
    segments: str = WINDOWS,
    listened: Callable[[float], object] = lambda seconds: None,
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
    segments
        What is labelled of a recording, as in :func:`serflow.inference.windows.cut`.
    listened
        As there.

    Raises
    ------
    UserError
        If the model fails.
    """
    batch: list[tuple[Prediction, Window]] = []
    complete: list[Prediction] = []

    def windows() -> Iterator[tuple[Prediction, Window | None]]:  # None: the end of a recording
        for recording in recordings:
            prediction = Prediction(file=recording.name, start=recording.start, end=recording.end)
            try:
                how = classifier.preprocessing, classifier.pads
                found = cut(recording, *how, segments=segments, heard=prediction, listened=listened)
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
