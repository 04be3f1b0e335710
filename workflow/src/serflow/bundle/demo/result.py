"""What the demo says of a recording, as a piece of a page."""

import base64
from collections.abc import Callable, Sequence
from pathlib import Path

import jinja2
import soundfile as sf

from serflow.bundle.demo.picture import Spectrogram, draw
from serflow.bundle.reader import Bundle
from serflow.corpus.labels import LABELS
from serflow.corpus.source import SAMPLE
from serflow.inference.label import Classifier, label_recordings
from serflow.inference.recordings import RecordingToLabel
from serflow.inference.windows import Window
from serflow.metrics.calibration import apply_temperature
from serflow.runtime.errors import UserError

LONGEST_SECONDS = 3600
# More rows than that are no table for people; `predict --timeline` writes them all.
MOST_ROWS = 200

_pages = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
)


def introduction(bundle: Bundle) -> str:
    """Say what the model is and is not for, as HTML."""
    about = bundle.about
    return _pages.get_template("introduction.html").render(about=about, synthetic=about["corpus"] == SAMPLE)


def result(
    bundle: Bundle, path: str | Path, threads: int = 1, told: Callable[[float, float], None] = lambda *_: None
) -> str:
    """Label a recording.

    Parameters
    ----------
    bundle
        The model.
    path
        The recording.
    threads
        Threads of the features.
    told
        Called again and again with the seconds that are labelled, and those of the whole.

    Returns
    -------
    str
        HTML: the label, a table of probabilities, the picture and the timeline; or, of a recording that cannot be
        labelled, what is wrong with it.
    """
    source = RecordingToLabel(Path(path).name, path=str(path))
    try:
        seconds = _seconds(source)
        how = bundle.about["preprocessing"]
        length = how["target_length"] / how["sampling_rate"]
        whole = seconds * how["sampling_rate"] > how["longest"]
        spectrogram = Spectrogram(how, seconds if whole else min(seconds, length))

        def labelled(windows: Sequence[Window]) -> None:
            spectrogram.add(windows)
            told(min(windows[-1].end, seconds), seconds)

        classifier = Classifier(bundle.network, bundle.about["features"], how, threads)
        (prediction,) = label_recordings(classifier, [source], labelled)
        if prediction.problem:
            raise UserError(prediction.problem)
    except UserError as error:
        return _pages.get_template("problem.html").render(problem=str(error))
    mean, names = prediction.probabilities, [LABELS[name] for name in bundle.classes]
    picture = draw(spectrogram, prediction.windows, names)
    return _pages.get_template("result.html").render(
        name=source.name,
        label=names[int(mean.argmax())],
        confidence=float(apply_temperature(mean[None], bundle.about["temperature"]).max()),
        shares=list(zip(bundle.classes, names, map(float, mean), strict=True)),
        picture=base64.b64encode(picture).decode(),
        windows=[
            (start, end, names[int(row.argmax())], float(row.max()))
            for start, end, row in prediction.windows[:MOST_ROWS]
        ],
        n_windows=len(prediction.windows),
        seconds=prediction.seconds,
        length=length,
    )


def _seconds(source: RecordingToLabel) -> float:
    """Give the length of a recording by its header; refuse one that is too long for a page."""
    try:
        info = sf.info(source.open())
    except (sf.LibsndfileError, RuntimeError):
        # The labelling refuses it, and says why.
        return 1.0
    if info.frames > LONGEST_SECONDS * info.samplerate:
        raise UserError(
            f"{source.name}: {info.frames / info.samplerate / 60:.0f} minutes long by its header, above "
            f"{LONGEST_SECONDS // 60}; label it with 'python -m serflow predict'"
        )
    return max(info.frames, 1) / info.samplerate
