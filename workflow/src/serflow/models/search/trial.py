"""One trial of a search on one fold, up to a number of epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from serflow.metrics.scores import confusion_matrix, scores_from_confusion
from serflow.models.backup import backup_path
from serflow.models.batches import dataset
from serflow.models.fitting import open_training
from serflow.storage import write_json


def trial_backup(result: Path) -> Path:
    """Return where a trial keeps its state from one rung to the next, by the path of its result at any rung."""
    return backup_path(result.with_name("training"))


def search_trial(
    search: str,
    trial: int,
    architecture: str,
    split: Path,
    features: Sequence[Path],
    *,
    indices: Sequence[Path],
    encoder: Path | None = None,
    clips: Path | None = None,
    fold: int,
    seed: int,
    settings: Mapping,
    epochs: int | None = None,
    threads: int,
    output: Path,
) -> None:
    """Train a model with the settings of a trial and measure it on the validation clips.

    Parameters
    ----------
    search
        Name of the search.
    trial
        Number of the trial.
    architecture
        Name of the model's architecture.
    split
        Split table of the protocol.
    features
        Feature shards.
    indices
        Index tables of the feature shards, in the same order, where these are ``.npy`` arrays.
    encoder
        Description of the encoder, for models that read embeddings.
    clips
        The catalogue with the listeners' votes, for models that are trained on these.
    fold
        Number of the fold.
    seed
        Seed of the weights, the dropout and the order of the rows.
    settings
        All settings of the model in this trial.
    epochs
        Number of epochs after which the trial is compared with others; by default it is trained to its end.
    threads
        Number of threads of TensorFlow.
    output
        ``rung*.json``: the UAR of the validation clips, the epochs and seconds so far, and the settings.

    Raises
    ------
    UserError
        As :func:`serflow.models.train.train_model`.

    Notes
    -----
    A training by gradient resumes from the rung before if its state is still there, and otherwise from its beginning,
    with the same result.
    """
    job = open_training(
        f"{search} trial {trial}",
        architecture,
        split,
        features,
        indices=indices,
        encoder=encoder,
        clips=clips,
        fold=fold,
        seed=seed,
        settings=settings,
        threads=threads,
    )
    backup = trial_backup(output)
    fitted = job.fit(job.build(job.train), backup, epochs and min(epochs, settings["epochs"]))
    classes = len(job.classes)
    probabilities = fitted.network.predict(dataset(job.data, job.valid, classes, 64), verbose=0)
    uar = scores_from_confusion(confusion_matrix(job.valid.labels, probabilities.argmax(axis=1), classes))["uar"]
    about = {
        "trial": trial,
        "valid_uar": float(uar),
        "epochs": len(fitted.rows),
        "best_epoch": fitted.best_epoch,
        "seconds": fitted.seconds,
        "settings": settings,
    }
    write_json(output, about)
    if epochs is None:
        backup.unlink(missing_ok=True)
