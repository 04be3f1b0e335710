"""What the demo says of a recording, as a piece of a page."""

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

import jinja2

from serflow.bundle.demo.picture import Spectrogram, draw
from serflow.bundle.reader import Bundle
from serflow.bundle.unsure import DEMO_ACCURACY, validated
from serflow.corpus.labels import LABELS
from serflow.corpus.source import SAMPLE
from serflow.inference.classifier import Classifier, Ensemble
from serflow.inference.label import NO_SPEECH, label_recordings
from serflow.inference.occlusion import occlude
from serflow.inference.recordings import RecordingToLabel
from serflow.inference.windows import SPEECH, WINDOWS, Window, count_samples
from serflow.metrics.calibration import apply_temperature
from serflow.metrics.selective import threshold_for
from serflow.runtime.errors import UserError

LONGEST_SECONDS = 3600
# More rows than that are no table for people; `predict --timeline` writes them all.
MOST_ROWS = 200

_pages = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
)


def introduction(bundle: Bundle) -> str:
    """Return what the model is and is not for, as HTML."""
    about = bundle.about
    return _pages.get_template("introduction.html").render(about=about, synthetic=about["corpus"] == SAMPLE)


def learned(classifier: Classifier | Ensemble, paths: Sequence[str]) -> tuple[Classifier | Ensemble | None, str]:
    """Return the model adapted to the speaker of some recordings, and what to say of it; None if none can be read."""
    recordings = [RecordingToLabel(Path(path).name, path=path) for path in paths]
    adapted, count = classifier.adapted(recordings)
    if not count:
        return None, _pages.get_template("problem.html").render(problem="None of these recordings can be read.")
    return adapted, _pages.from_string(
        "<p role=status>Adapted to this voice by {{ count }} window{{ 's' if count > 1 }}.</p>"
    ).render(count=count)


def result(
    bundle: Bundle, classifier: Classifier | Ensemble, path: str, show: Callable[[float, float, str], None]
) -> str:
    """Label a recording.

    Parameters
    ----------
    bundle
        The model, and what its classes are.
    classifier
        That of the bundle, or one adapted to a speaker.
    path
        The recording.
    show
        Called again and again with the seconds that are done, those of the whole, and what is being done.

    Returns
    -------
    str
        HTML: the label, or "unsure" below the confidence that an accuracy of 0.8 needs; a player; a table of
        probabilities after temperature scaling, the picture and, of a recording that is longer than those of the
        training, the timeline of the speech in it; or, of a recording that has no label, what is wrong with it.
    """
    source, how = RecordingToLabel(Path(path).name, path=path), classifier.preprocessing
    # A recording that cannot be opened is refused, with the reason, when it is labelled.
    rate = how["sampling_rate"]
    samples = count_samples(source, rate) or rate
    seconds, length, padded = samples / rate, how["target_length"] / rate, classifier.pads
    segments = SPEECH if samples > how["longest"] else WINDOWS
    spectrogram = Spectrogram(how, seconds if segments == SPEECH or not padded else min(seconds, length))

    first: list[Window] = []

    def labelled(windows: Sequence[Window]) -> None:
        if not first:
            first.append(windows[0])
        spectrogram.add(windows)
        show(min(windows[-1].end, seconds), seconds, "labelling")

    if seconds > LONGEST_SECONDS:
        problem = (
            f"{source.name}: {seconds / 60:.0f} minutes long by its header, above {LONGEST_SECONDS // 60}; label it "
            "with 'python -m serflow predict'"
        )
    else:
        try:
            (prediction,) = label_recordings(
                classifier, [source], labelled, segments, lambda done: show(done, seconds, "finding speech")
            )
            problem = prediction.problem
            if not problem and not prediction.has_speech:
                problem = f"{source.name}: {'; '.join([NO_SPEECH, *prediction.warnings])}."
        except UserError as error:
            problem = str(error)
    if problem:
        return _pages.get_template("problem.html").render(problem=problem)
    classes = bundle.about["classes"]
    names = [LABELS[name] for name in classes]
    (shares,) = apply_temperature(prediction.probabilities[None], classifier.temperature)
    timeline = [
        (start, end, apply_temperature(row[None], classifier.temperature)[0])
        for start, end, row in (prediction.timeline if segments == SPEECH else [])
    ]
    # What decides is shown of a recording that is labelled as a whole.
    occlusion = None
    if len(prediction.windows) == 1 and not timeline:
        occlusion = occlude(classifier, first[0].samples, round(seconds * rate))
    confidence = float(shares.max())
    return _pages.get_template("result.html").render(
        name=source.name,
        label=names[int(shares.argmax())],
        confidence=confidence,
        unsure=_unsure(bundle, classifier, confidence),
        accuracy=DEMO_ACCURACY,
        shares=list(zip(classes, names, map(float, shares), strict=True)),
        pictures={
            scheme: base64.b64encode(draw(spectrogram, timeline, names, occlusion, dark=scheme == "dark")).decode()
            for scheme in ("light", "dark")
        },
        band=occlusion and occlusion.strongest_band,
        recording=quote(path),
        segments=[(start, end, names[int(row.argmax())], float(row.max())) for start, end, row in timeline[:MOST_ROWS]],
        n_segments=len(timeline),
        n_windows=len(prediction.windows),
        seconds=prediction.seconds,
        warnings=prediction.warnings,
        length=length if padded else None,
    )


def _unsure(bundle: Bundle, classifier: Classifier | Ensemble, confidence: float) -> bool:
    """Return whether a label of this confidence is too often wrong; never in a bundle that does not know."""
    table = validated(bundle, unadapted=classifier is bundle.classifier.unadapted)
    row = threshold_for(table, DEMO_ACCURACY)
    return bool(table) and (row is None or confidence < row["threshold"])
