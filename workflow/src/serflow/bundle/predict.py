"""Labelling recordings with a bundle."""

import contextlib
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from serflow.bundle.inputs import Source, list_sources, shard_of_source
from serflow.bundle.output import Rows, writer_for
from serflow.bundle.reader import Bundle, open_bundle
from serflow.bundle.windows import Window, cut
from serflow.errors import UserError
from serflow.features.compute import compute_features
from serflow.inference.onnx_model import are_probabilities

BATCH = 16
SOME_FAILED = 3
_TINY = 1e-12


@dataclass
class Prediction:
    """What a model makes of a recording.

    Attributes
    ----------
    file
        Its name.
    problem
        Why it could not be labelled; empty where it was.
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
    bundle: Bundle,
    sources: Iterable[Source],
    threads: int = 1,
    labelled: Callable[[Sequence[Window]], None] = lambda windows: None,
) -> Iterator[Prediction]:
    """Label recordings, several windows at a time.

    Parameters
    ----------
    bundle
        From :func:`serflow.bundle.reader.open_bundle`.
    sources
        The recordings.
    threads
        Of the features.
    labelled
        Called with the windows that have just been labelled.

    Yields
    ------
    Prediction
        In the order of ``sources``; one that cannot be read has a ``problem``.
    """
    batch: list[tuple[Prediction, Window]] = []
    open_ones: deque[Prediction] = deque()

    def done() -> Iterator[Prediction]:
        while open_ones and open_ones[0].read and not open_ones[0].waiting:
            yield open_ones.popleft()

    def ask() -> None:
        clips = np.stack([window.samples for _, window in batch])
        features = compute_features(bundle.about["features"], clips, bundle.about["preprocessing"], threads)
        for (prediction, window), row in zip(batch, bundle.network.probabilities(features), strict=True):
            prediction.windows.append((window.start, window.end, row))
            prediction.waiting -= 1
            if not are_probabilities(row):
                prediction.problem = f"{prediction.file}: the model answers with numbers that are not probabilities"
        labelled([window for _, window in batch])
        batch.clear()

    for source in sources:
        prediction = Prediction(source.name)
        open_ones.append(prediction)
        for window in _readable(cut(source, bundle.about["preprocessing"]), prediction):
            prediction.waiting += 1
            batch.append((prediction, window))
            if len(batch) == BATCH:
                ask()
        prediction.read = True
        yield from done()
    if batch:
        ask()
    yield from done()


def _readable(windows: Iterator[Window], prediction: Prediction) -> Iterator[Window]:
    """Yield windows up to the first that cannot be read, which becomes the problem of the recording."""
    try:
        yield from windows
    except UserError as error:
        prediction.problem = str(error)


def confidence(probabilities: np.ndarray, temperature: float) -> float:
    """Give how sure the label is: the greatest probability after dividing the logits by ``temperature``."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), _TINY)) / temperature
    shares = np.exp(logits - logits.max())
    return float(shares.max() / shares.sum())


def predict_recordings(
    bundle: str,
    inputs: Sequence[str],
    *,
    output: Path | None = None,
    format: str | None = None,
    timeline: Path | None = None,
    threads: int | None = None,
    shard: int | None = None,
    shards: int | None = None,
) -> None:
    """Label recordings and write a row for each.

    Parameters
    ----------
    bundle
        A file of :func:`serflow.bundle.pack.bundle_model`.
    inputs
        As in :func:`serflow.bundle.inputs.list_sources`.
    output
        Where to; standard output by default.
    format
        ``"csv"``, ``"json"`` or ``"parquet"``; by default what the suffix of ``output`` says, else CSV. Columns: file,
        label, confidence (calibrated), ``p_{class}`` (as the model gives them), seconds, windows, problem.
    timeline
        Where to write a row for each window: file, start, end, label, ``p_{class}``; by suffix CSV, JSON or Parquet.
    threads
        Threads of the features and of the model.
    shard, shards
        Label only the recordings of one shard.

    Raises
    ------
    UserError
        If the bundle or an input as a whole cannot be used.
    SystemExit
        With code 3, after everything is written, if recordings could not be labelled; each is named on standard
        error and has a ``problem``.
    """
    threads = threads or 1
    opened = open_bundle(bundle, threads)
    sources = list_sources(inputs)
    if shards is not None:
        sources = (source for source in sources if shard_of_source(source, shards) == shard)
    names = [f"p_{name}" for name in opened.classes]
    failed = labelled = 0
    with (
        writer_for(output, format, _columns(names)) as rows,
        writer_for(timeline, None, _timeline_columns(names)) if timeline else contextlib.nullcontext(Rows()) as pieces,
    ):
        for prediction in label_recordings(opened, sources, threads):
            if prediction.problem:
                failed += 1
                print(f"serflow predict: {prediction.problem}", file=sys.stderr, flush=True)
                rows.write({"file": prediction.file, "problem": prediction.problem})
                continue
            labelled += 1
            mean = prediction.probabilities
            rows.write(
                {
                    "file": prediction.file,
                    "label": opened.classes[int(mean.argmax())],
                    "confidence": confidence(mean, opened.about["temperature"]),
                    **dict(zip(names, map(float, mean), strict=True)),
                    "seconds": prediction.seconds,
                    "windows": len(prediction.windows),
                }
            )
            for start, end, row in prediction.windows:
                label = opened.classes[int(row.argmax())]
                shares = dict(zip(names, map(float, row), strict=True))
                pieces.write({"file": prediction.file, "start": start, "end": end, "label": label, **shares})
    if failed:
        print(f"serflow predict: {failed} of {failed + labelled} recordings were skipped", file=sys.stderr)
        raise SystemExit(SOME_FAILED)


def _columns(names: Sequence[str]) -> dict[str, str]:
    shares = dict.fromkeys(names, "float32")
    ends = {"seconds": "float64", "windows": "int32", "problem": "string"}
    return {"file": "string", "label": "string", "confidence": "float32", **shares, **ends}


def _timeline_columns(names: Sequence[str]) -> dict[str, str]:
    return {"file": "string", "start": "float64", "end": "float64", "label": "string"} | dict.fromkeys(names, "float32")
