"""Bundles in Python: ``from serflow import Bundle``."""

import io
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from serflow.bundle.answer import Answer, answer, columns_of, row_of
from serflow.bundle.reader import open_bundle
from serflow.inference.label import Prediction, label_recordings
from serflow.inference.recordings import RecordingToLabel, list_recordings, recording_of
from serflow.runtime.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


class Bundle:
    """A trained model in one file, ready to label recordings. It needs no TensorFlow and no network.

    A model that can be adapted to speakers is used as for an unknown speaker; ``serflow predict`` has the options that
    adapt it.

    Parameters
    ----------
    path
        A bundle, as the target ``bundles`` makes it.
    threads
        Number of threads of the features and of the model.
    encoder
        ONNX file of the encoder, for a bundle that does not hold it; by default that in ``resources/encoders/``.

    Attributes
    ----------
    about : Mapping
        Content of ``bundle.json``: classes, settings, metrics on the test clips.
    card : str
        The model card in Markdown.

    Raises
    ------
    UserError
        If it is missing, damaged, or not a bundle that this version of serflow reads, or lacks its encoder.

    Examples
    --------
    >>> bundle = Bundle("bundle.zip")
    >>> bundle.predict("talk.wav").label
    'HAP'
    """

    def __init__(self, path: str | os.PathLike, *, threads: int = 1, encoder: str | os.PathLike | None = None):
        self._path = os.fspath(path)
        opened = open_bundle(self._path, threads, encoder)
        self.about, self.card = opened.about, opened.card
        self._classifier = opened.classifier.unadapted

    def __repr__(self) -> str:
        return f"Bundle({self._path!r})"

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of the probabilities."""
        return list(self.about["classes"])

    def predict(self, recording: "str | os.PathLike | np.ndarray", rate: int | None = None) -> Answer:
        """Label one recording.

        Parameters
        ----------
        recording
            A file of any format, sampling rate, length and number of channels that libsndfile reads; or samples,
            floats of shape (samples,) or (samples, channels) with full scale at 1.
        rate
            Sampling rate of samples, in Hz; not for a file.

        Returns
        -------
        Answer
            Label, confidence, probabilities, seconds, windows and warning. Longer recordings are split into windows, as
            by ``serflow predict``.

        Raises
        ------
        UserError
            If the recording cannot be read.
        """
        if isinstance(recording, np.ndarray):
            source = RecordingToLabel("samples", _wav(recording, rate))
        elif rate is not None:
            raise UserError(f"{os.fspath(recording)}: rate is for samples; a file has its own")
        else:
            source = recording_of(os.fspath(recording))
        ((prediction, said),) = self._label([source])
        if said is None:
            raise UserError(prediction.problem)
        return said

    def predict_table(self, recordings: "Sequence[str | os.PathLike]") -> "pd.DataFrame":
        """Label several recordings.

        Parameters
        ----------
        recordings
            Files, folders, or CSV tables with a column ``file``, as for ``serflow predict``.

        Returns
        -------
        DataFrame
            A row for each recording, with the columns that ``serflow predict`` writes: ``file``, ``start``, ``end``,
            ``label``, ``confidence``, ``p_{class}`` for each class, ``seconds``, ``windows``, ``warning``, and
            ``problem``, which says why a recording could not be labelled.

        Raises
        ------
        UserError
            If a folder holds no recordings, or a table cannot be read.
        """
        import pandas as pd

        labelled = self._label(list_recordings(list(map(os.fspath, recordings))))
        rows = [row_of(prediction, said, self.classes) for prediction, said in labelled]
        return pd.DataFrame(rows, columns=list(columns_of(self.classes)))

    def _label(self, recordings: Iterable[RecordingToLabel]) -> Iterable[tuple[Prediction, Answer | None]]:
        for prediction in label_recordings(self._classifier, recordings):
            said = None if prediction.problem else answer(prediction, self.classes, self._classifier.temperature)
            yield prediction, said


def _wav(samples: np.ndarray, rate: int | None) -> bytes:
    """Return samples as a WAV file, which is read like any other recording."""
    import soundfile as sf

    if rate is None:
        raise UserError("samples need their sampling rate: predict(samples, rate=16000)")
    if samples.dtype.kind != "f" or samples.ndim not in (1, 2):
        shape = f"{samples.dtype} of shape {samples.shape}"
        raise UserError(f"samples are {shape}; give floats of shape (samples,) or (samples, channels), full scale at 1")
    with io.BytesIO() as file:
        sf.write(file, samples, rate, format="WAV", subtype="FLOAT")
        return file.getvalue()
