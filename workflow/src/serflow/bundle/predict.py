"""Labelling recordings with a bundle."""

import functools
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

from serflow.bundle.answer import PART, answer, columns_of, probability_columns, row_of
from serflow.bundle.output import table_format, write_rows
from serflow.bundle.reader import open_bundle
from serflow.bundle.unsure import lowest_confidence
from serflow.corpus.source import SAMPLE
from serflow.inference.label import label_recordings
from serflow.inference.recordings import list_recordings, shard_of_recording
from serflow.inference.windows import SPEECH, WINDOWS
from serflow.metrics.selective import UNSURE
from serflow.runtime.errors import UserError
from serflow.runtime.progress import progress


def predict_recordings(
    bundle: str,
    inputs: Sequence[str],
    /,
    *,
    output: Path | None = None,
    format: str | None = None,
    timeline: Path | None = None,
    segments: str = WINDOWS,
    accuracy: float | None = None,
    threads: int | None = None,
    shard: int | None = None,
    shards: int | None = None,
    speaker: str | None = None,
    speaker_from_folder: bool = False,
    one_speaker: bool = False,
    enrol: str | None = None,
    encoder: str | None = None,
) -> None:
    """Label recordings and write a row for each.

    Parameters
    ----------
    bundle
        A bundle: a zip file that the target ``bundles`` of the workflow writes.
    inputs
        Recordings: files, folders, a CSV table with the column ``file`` and, for parts of files, ``start`` and ``end``
        in seconds, or ``-`` for standard input.
    output
        Table to write; standard output by default. Columns: file, start and end of a part of a file, label, confidence
        (calibrated), ``p_{class}`` (as the model gives them), seconds, windows, warning (why the label may mean little,
        or that there is no speech, which gets no label), problem (why it could not be read or labelled).
    format
        ``csv``, ``json`` or ``parquet``; by default chosen by the suffix of ``output``, CSV on standard output.
    timeline
        Table with a row for each window, or segment of speech: file, start, end, label, ``p_{class}``; CSV, JSON or
        Parquet by its suffix.
    segments
        What is labelled of a recording: ``windows`` are those of all of it. ``speech`` is each segment of speech in it,
        as a recording of its own, and the label of the recording is that of all windows of speech.
    accuracy
        Wanted share of correct labels, such as 0.8. The label is "unsure" below the lowest confidence above which the
        labels of the validation clips were that accurate.
    threads
        Number of threads of the features and of the model.
    shard
        Label only the recordings of this shard.
    shards
        Number of shards.
    speaker
        Column of the CSV table that says who speaks. The model is adapted to each speaker by all recordings of theirs
        that are labelled. This and the options below need a bundle of a model that standardises by speaker.
    speaker_from_folder
        The folder that a recording lies in is its speaker.
    one_speaker
        All recordings are of one speaker.
    enrol
        Adapt the model by the recordings in this folder, or this recording, of the speaker who is to be labelled.
    encoder
        ONNX file of the encoder, for a bundle that does not hold it; by default that in ``resources/encoders/``.

    Raises
    ------
    UserError
        If the bundle or an input as a whole cannot be used.
    SystemExit
        With code 3, after everything is written, if recordings could not be labelled; each is named on standard
        error and has a ``problem``.
    """
    if (shard is None) != (shards is None) or (shards is not None and shard >= shards):
        raise UserError("--shard and --shards belong together: --shard 0 --shards 4 labels the first of four parts")
    if segments not in (WINDOWS, SPEECH):
        raise UserError(f"--segments is {segments!r}; use {WINDOWS} or {SPEECH}")
    table_format(output, format)
    if timeline:
        table_format(timeline)
    opened = open_bundle(bundle, threads or 1, encoder)
    about, classifier, _ = opened
    classes = about["classes"]
    if sum(map(bool, (speaker, speaker_from_folder, one_speaker, enrol))) > 1:
        raise UserError("--speaker, --speaker-from-folder, --one-speaker and --enrol cannot be combined; use one")
    say = functools.partial(print, "serflow predict:", file=sys.stderr, flush=True)
    note = (lambda text: None) if shard else say  # of all shards the first says it
    recordings = list_recordings(inputs, speaker, note)
    if shards is not None:
        recordings = (recording for recording in recordings if shard_of_recording(recording, shards) == shard)
    count, failed, rows_of_timeline = 0, 0, []
    labels: Counter[str] = Counter()

    def by_speaker() -> Iterable[tuple]:
        """Return the model adapted to each speaker, and the recordings of the speaker."""
        if not (speaker or speaker_from_folder or one_speaker or enrol):
            if classifier.adaptable:
                say(
                    f"{bundle} can be adapted to speakers, but who speaks is not given (--speaker, "
                    "--speaker-from-folder, --one-speaker or --enrol); it is used as for an unknown speaker"
                )
            return [(classifier.unadapted, recordings)]
        if not classifier.adaptable:
            raise UserError(
                f"{bundle}: cannot be adapted to speakers; its model has standardize: {about['standardize']}"
            )
        if enrol:
            adapted, known = classifier.adapted(list_recordings([enrol]), segments)
            if not known:
                raise UserError(f"{enrol}: none of the recordings to enrol can be read and holds speech")
            return [(adapted, recordings)]
        of_speaker: dict[str | None, list] = {}
        for recording in recordings:
            folder = str(Path(recording.name).parent)
            who = folder if speaker_from_folder else "" if one_speaker else recording.speaker
            of_speaker.setdefault(who, []).append(recording)
        return (
            (classifier.unadapted if who is None else classifier.adapted(found, segments)[0], found)
            for who, found in of_speaker.items()
        )

    @functools.cache
    def lowest(unadapted: bool) -> float:
        """Return the confidence below which the model, adapted or not, is unsure."""
        if accuracy is None:
            return 0.0
        row = lowest_confidence(opened, bundle, accuracy, unadapted=unadapted)
        note(
            f"the label is {UNSURE} below a confidence of {row['threshold']:.3f}; of the validation clips "
            f"{100 * row['coverage']:.0f} % were above, {100 * row['accuracy']:.1f} % of them labelled correctly"
        )
        return row["threshold"]

    # Before the first row, so that an error leaves no output.
    pairs = by_speaker()
    lowest(not (speaker or speaker_from_folder or one_speaker or enrol))

    def rows() -> Iterator[tuple]:
        nonlocal count, failed
        labelled = (
            (used, prediction)
            for used, found in pairs
            for prediction in label_recordings(used, found, segments=segments)
        )
        for used, prediction in labelled:
            count += 1
            advance(1)
            said = None
            if prediction.problem:
                failed += 1
                say(prediction.problem)
            else:
                said = answer(prediction, classes, used.temperature, lowest(used is classifier.unadapted))
                if said.warning:
                    say(f"{prediction.file}: warning: {said.warning}")
                if said.label:
                    labels[said.label] += 1
            yield row_of(prediction, said, classes)
            if timeline and said and said.windows:
                rows_of_timeline.extend(
                    (prediction.file, start, end, classes[int(row.argmax())], *map(float, row))
                    for start, end, row in prediction.timeline
                )

    # A bar between the rows would break a table on a terminal.
    shown = output is not None or not sys.stdout.isatty()
    with progress("labelled", unit="recording") if shown else nullcontext(lambda count: None) as advance:
        write_rows(rows(), columns_of(classes), output, format)
    if timeline:
        write_rows(rows_of_timeline, PART | probability_columns(classes), timeline)
    summary = f"{labels.total()} of {count} recordings labelled"
    if labels:
        summary += ": " + ", ".join(f"{times} {label}" for label, times in labels.most_common())
    if about["corpus"] == SAMPLE:
        summary += "; the model was trained on synthetic speech, so its labels say nothing about people"
    say(summary)
    if failed:
        say(f"{failed} of {count} recordings were skipped")
        raise SystemExit(3)
