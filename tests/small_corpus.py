"""A corpus of four speakers in three blocks, made in a moment, and settings for it."""

import itertools

import numpy as np
import soundfile as sf

from voice import voice

RUNS = [{"protocol": "speaker-independent", "models": ["cnn1d"], "seeds": [0]}]
NO_COPIES = {kind: {"clips": 0} for kind in ("time_stretch", "pitch_shift")}
SETTINGS = {"corpus": "mine", "audio": "ok", "runs": RUNS, "augment": NO_COPIES, "shards": 2}


def make_recordings(folder):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for speaker, sentence, emotion in itertools.product(
        ("1001", "1002", "1020", "1040"), ("DFA", "IEO"), ("ANG", "SAD")
    ):
        sf.write(folder / f"{speaker}_{sentence}_{emotion}_XX.wav", voice(0.5) + 0.02 * rng.normal(size=8000), 16_000)
