"""eGeMAPSv02 of openSMILE: 88 functionals of pitch, loudness, voice quality and spectrum, at the own length of a clip.

Source: Eyben et al., "The Geneva Minimalistic Acoustic Parameter Set (GeMAPS) for Voice Research and Affective
Computing", 2016.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from serflow.features.smile import functionals_of, open_set

READS = "audio"
WRITES = "parquet"
TIME = False
NAMED = True
SET = "eGeMAPSv02"


def column_names(settings: Mapping) -> list[str]:
    """Return the names that openSMILE gives the functionals."""
    return open_set(SET).feature_names


def compute(rows: Iterable[np.ndarray], settings: Mapping, threads: int = 1) -> Iterator[np.ndarray]:
    """Compute the 88 functionals of each clip, float32 of shape (samples,); ``threads`` are not used.

    Batches are float32 of shape (1, 88), in the order of :func:`column_names`.
    """
    return functionals_of(rows, SET, settings["sampling_rate"])
