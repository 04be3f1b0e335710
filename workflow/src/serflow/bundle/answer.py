"""What is said of a labelled recording: to the table of `predict`, and in Python."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from serflow.inference.label import NO_SPEECH, Prediction
from serflow.metrics.calibration import apply_temperature
from serflow.metrics.selective import UNSURE
from serflow.models.predict import PROBABILITY

# Which part of a recording a row of a table is about, and its label; also the columns of a timeline.
PART = {"file": "string", "start": "float64", "end": "float64", "label": "string"}


class Answer(NamedTuple):
    """What a model says of a recording.

    Attributes
    ----------
    label : str or None
        The most likely class; None if the recording holds no speech.
    confidence : float or None
        Probability of the label after temperature scaling, which makes it like the share of correct labels.
    probabilities : dict of str to float
        Probability of each class as the model gives it, the mean over the windows; empty without speech.
    seconds : float
        Length of the recording.
    windows : int
        Number of windows that the recording was split into; 0 without speech.
    warning : str or None
        Why the label may mean little, such as a low level, or why there is none.
    """

    label: str | None
    confidence: float | None
    probabilities: Mapping[str, float]
    seconds: float
    windows: int
    warning: str | None


def answer(prediction: Prediction, classes: Sequence[str], temperature: float, lowest: float = 0.0) -> Answer:
    """Return the answer for a recording that could be labelled.

    Parameters
    ----------
    prediction
        The prediction, which has no ``problem``.
    classes
        The classes of the model.
    temperature
        The temperature of the model.
    lowest
        The confidence below which the label is "unsure".
    """
    warning = "; ".join([NO_SPEECH] * (not prediction.has_speech) + prediction.warnings) or None
    if not prediction.has_speech:
        return Answer(None, None, {}, prediction.seconds, 0, warning)
    mean = prediction.probabilities
    confidence = float(apply_temperature(mean[None], temperature).max())
    label = classes[int(mean.argmax())] if confidence >= lowest else UNSURE
    probabilities = dict(zip(classes, map(float, mean), strict=True))
    return Answer(label, confidence, probabilities, prediction.seconds, len(prediction.windows), warning)


def probability_columns(classes: Sequence[str]) -> dict[str, str]:
    """Return the columns of a table for the probabilities of some classes, and their types."""
    return {PROBABILITY.format(name): "float32" for name in classes}


def columns_of(classes: Sequence[str]) -> dict[str, str]:
    """Return the columns of a table of answers, and their types."""
    about = {"seconds": "float64", "windows": "int32", "warning": "string", "problem": "string"}
    return PART | {"confidence": "float64"} | probability_columns(classes) | about


def row_of(prediction: Prediction, said: Answer | None, classes: Sequence[str]) -> tuple:
    """Return the row of a recording in the order of :func:`columns_of`; without an answer it has a ``problem``."""
    which = prediction.file, prediction.start, prediction.end
    if said is None:
        return (*which, *[None] * (len(classes) + 5), prediction.problem)
    shares = [said.probabilities.get(name) for name in classes]
    return (*which, said.label, said.confidence, *shares, said.seconds, said.windows, said.warning, None)
