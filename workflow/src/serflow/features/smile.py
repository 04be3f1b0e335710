"""Functionals of openSMILE, for the kinds of features that are sets of it."""

from collections.abc import Iterable, Iterator

import numpy as np

from serflow.runtime.errors import UserError

FULL_SCALE = 32_767 / 32_768  # the greatest sample of 16-bit audio


def open_set(name: str):
    """Return the ``opensmile.Smile`` for the functionals of a feature set; ``UserError`` if opensmile is missing."""
    try:
        import opensmile
    except ModuleNotFoundError as error:
        raise UserError(
            "egemaps and compare need opensmile, whose licence allows research and private use only: "
            "pip install -r envs/requirements-opensmile.txt"
        ) from error
    return opensmile.Smile(opensmile.FeatureSet[name], opensmile.FeatureLevel.Functionals)


def functionals_of(rows: Iterable[np.ndarray], name: str, sampling_rate: int) -> Iterator[np.ndarray]:
    """Compute the functionals of clips, each float32 of shape (samples,), one at a time.

    Batches are float32 of shape (1, functionals). openSMILE reads 16-bit samples; those beyond full scale are clipped,
    since they would change their sign. A clip of less than 60 ms has NaN.
    """
    smile = open_set(name)
    for samples in rows:
        yield smile(np.clip(samples, -1, FULL_SCALE), sampling_rate)[:, :, 0]
