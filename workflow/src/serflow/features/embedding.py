"""Embeddings of clips: statistics of the hidden states of a pretrained encoder over the frames of a clip."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from serflow.encoders.run import Encoder
from serflow.encoders.run import open_encoder as open_encoder

READS = "audio"
WRITES = "npy"
ENCODER = True
TIME = False
SETTINGS = {
    "pooling": {
        "description": "a list of mean and std, at least one and each once",
        "type": "array",
        "minItems": 1,
        "uniqueItems": True,
        "items": {"enum": ["mean", "std"]},
        "default": ["mean", "std"],
    },
}


def compute(
    rows: Iterable[np.ndarray], settings: Mapping, threads: int = 1, *, encoder: Encoder
) -> Iterator[np.ndarray]:
    """Compute the embeddings of clips, each float32 of shape (samples,), clip by clip.

    Batches are float32 of shape (1, layers, statistics · width), the statistics in the order of the setting
    ``pooling``. The encoder's own sampling rate is used.
    """
    from serflow.audio.io import resample

    rate, wanted = settings["sampling_rate"], encoder.description["sampling_rate"]
    clips = rows if rate == wanted else (resample(samples, rate, wanted) for samples in rows)
    for values in encoder.pooled_clips(clips, settings["pooling"], threads):
        yield values[None]
