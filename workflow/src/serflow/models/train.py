"""Training one model on one fold of one protocol."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from serflow.models.architectures import ARCHITECTURES
from serflow.models.backup import backup_path
from serflow.models.fitting import open_training
from serflow.models.keras_run import layers_of, save_model
from serflow.models.named import features_of
from serflow.models.predict import probability_table
from serflow.storage import write_json, write_table, write_text


def train_model(
    model: str,
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
    threads: int,
    output: Path,
    history: Path,
    summary: Path,
    training: Path,
    before_refit: Path,
) -> None:
    """Train a model on one fold of a protocol.

    Parameters
    ----------
    model
        Name of the model.
    architecture
        Name of its architecture.
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
        All settings of the model.
    threads
        Number of threads of TensorFlow.
    output
        ``model.keras``, with the weights of the best epoch.
    history
        ``history.csv``, with a row per epoch.
    summary
        ``model.txt``, the layers as Keras prints them.
    training
        ``training.json``: layers, number of parameters, epochs, seconds, and what was chosen on the validation clips.
    before_refit
        Probabilities for the validation and test clips of the model before it was fitted again on training and
        validation clips together, as :func:`serflow.models.predict.predict_test` writes them; no rows without a refit.

    Raises
    ------
    UserError
        If the training clips have one label only, the architecture does not fit the features, or the loss becomes NaN.

    Notes
    -----
    An interrupted training by gradient resumes after its last complete epoch, with the same result.
    """
    job = open_training(
        model,
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
    backup = backup_path(output)
    backup_of_refit = backup_path(output.with_stem("refit"))
    inner, network = job.build(job.train)
    os.environ["COLUMNS"] = "100"  # else the table is cut at the width of the terminal, if there is one
    lines: list[str] = []
    network.summary(print_fn=lambda line, **_: lines.append(line), line_length=98, expand_nested=True)
    write_text(summary, "\n".join(lines) + "\n")
    fitted = job.fit((inner, network), backup)
    final, earlier = fitted, {}
    if settings.get("refit"):
        final, earlier = job.refit(fitted, backup_of_refit), {part: job.parts[part] for part in ("valid", "test")}
    write_table(before_refit, probability_table(fitted.network, job.data, earlier, job.classes))
    table = [final.rows[0].keys(), *(row.values() for row in final.rows)]
    write_text(history, "".join(",".join(map(str, row)) + "\n" for row in table))
    about = {
        "model": model,
        "architecture": architecture,
        "features": features_of(ARCHITECTURES[architecture], settings),
        "encoder": settings.get("encoder"),
        "classes": job.classes,
        "input_shape": list(job.data.shape),
        "parameters": final.network.count_params(),
        "epochs": len(final.rows),
        "best_epoch": final.best_epoch,
        "seconds": final.seconds,
        "standardize": settings["standardize"],
        "chosen": final.chosen,
        "refit": bool(earlier),
        "layers": list(_layers(final.network)),
    }
    write_json(training, about)
    save_model(output, final.network)
    for path in (backup, backup_of_refit):
        path.unlink(missing_ok=True)


def _layers(network) -> Iterator[dict]:
    """Yield what ``training.json`` says of each layer."""
    import keras

    for layer in layers_of(network):
        if not isinstance(layer, keras.layers.InputLayer):
            try:
                shape = list(layer.output.shape[1:])
            except (AttributeError, ValueError):  # several outputs, used more than once, or inside a subclass of Model
                shape = []
            kind, parameters = type(layer).__name__, layer.count_params()
            yield {"name": layer.name, "type": kind, "output_shape": shape, "parameters": parameters}
