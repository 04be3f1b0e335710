"""One stage of one side in a process of its own: prints its seconds and its peak memory as JSON.

Usage: stage.py SIDE STAGE FOLDER PART PARTS COPIES. The side "serflow" is started once per core, each process
with its part of the clips, as Snakemake starts a job per shard; the side "notebook" is one process, with
the threads that its libraries take.
"""

import ast
import json
import os
import resource
import sys
import time
from pathlib import Path
from types import ModuleType

LENGTH, FRAME_SIZE, RATE = 40_775, 1631, 16_000
FRAMES = {"features": ["zcr", "rms", "mfcc", "centroid"], "n_mfcc": 13, "size": None, "hop": None}
READING = {"remove_dc": False, "loudness": None}  # as config.yaml has it
PROJECT = Path(__file__).resolve().parents[2]


def reference() -> ModuleType | None:
    """Load the notebook's functions without running it, where the shared folder has it."""
    path = Path(os.environ.get("SERFLOW_REFERENCE", PROJECT.parent / "shared/reference")) / "notebook.py"
    if not path.is_file():
        return None
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if ast.unparse(node) != "main()"]
    module = ModuleType("notebook")
    exec(compile(tree, str(path), "exec"), module.__dict__)
    return module


def plain() -> ModuleType:
    """Write the same librosa calls once more, where there is no reference."""
    import librosa
    import numpy as np

    module = ModuleType("plain")

    def load(folder):
        names = sorted(path.name for path in Path(folder).iterdir())
        audio = [librosa.load(Path(folder) / name, sr=RATE)[0] for name in names]
        return {"audio_data": audio, "emotions": [name.split("_")[2] for name in names]}

    def copies(data, number, make):
        chosen = np.random.choice(len(data["audio_data"]), number, replace=False)  # noqa: NPY002
        return {
            "audio_data": [make(data["audio_data"][i]) for i in chosen],
            "emotions": [data["emotions"][i] for i in chosen],
        }

    def stretch(data, number):
        return copies(data, number, lambda y: librosa.effects.time_stretch(y, rate=np.random.uniform(0.8, 1.2)))  # noqa: NPY002

    def pitch(data, number):
        return copies(data, number, lambda y: librosa.effects.pitch_shift(y, sr=RATE, n_steps=np.random.uniform(-4, 4)))  # noqa: NPY002

    def feats_1d(clips, size):
        feature, hop = librosa.feature, size // 2
        return np.array([
            np.concatenate([part.flatten() for part in (
                feature.zero_crossing_rate(y, frame_length=size, hop_length=hop),
                feature.rms(y=y, frame_length=size, hop_length=hop),
                feature.mfcc(y=y, sr=RATE, n_fft=size, n_mfcc=13, hop_length=hop),
                feature.spectral_centroid(y=y, sr=RATE, n_fft=size, hop_length=hop),
            )]) for y in clips
        ])  # fmt: skip

    def feats_2d(clips):
        mel = [librosa.feature.melspectrogram(y=y, sr=RATE, n_mels=128, n_fft=1569, hop_length=512) for y in clips]
        return np.array([librosa.power_to_db(power, ref=np.max) for power in mel])

    for function in (load, stretch, pitch, feats_1d, feats_2d):
        setattr(module, function.__name__, function)
    return module


def fixed(audio, length=LENGTH):
    import numpy as np

    return [np.pad(y[:length], (0, max(0, length - len(y)))) for y in audio]


def notebook(stage: str, folder: Path, copies: int):
    """Return what to time: a stage of the notebook with its libraries warmed up, or the whole path."""
    from serflow.audio.length import choose_length

    side = reference() or plain()

    def whole():
        loaded = side.load(folder)
        made = [side.pitch(loaded, copies), side.stretch(loaded, copies)]
        clips = loaded["audio_data"] + made[0]["audio_data"] + made[1]["audio_data"]
        # The notebook's own search for a factor has no end for some averages.
        length, count = choose_length(sum(map(len, clips)) // len(clips))
        clips = fixed(clips, length)
        return side.feats_1d(clips, length // count), side.feats_2d(clips)

    if stage == "whole":
        return whole
    data = side.load(folder)
    few = {key: values[:2] for key, values in data.items()}
    side.stretch(few, 1), side.pitch(few, 1), side.feats_1d(fixed(few["audio_data"]), FRAME_SIZE)
    side.feats_2d(fixed(few["audio_data"]))
    clips = fixed(data["audio_data"]) if stage in ("frames", "mel") else None
    return {
        "load": lambda: side.load(folder),
        "stretch": lambda: side.stretch(data, copies),
        "pitch": lambda: side.pitch(data, copies),
        "frames": lambda: side.feats_1d(clips, FRAME_SIZE),
        "mel": lambda: side.feats_2d(clips),
    }[stage]


def serflow(stage: str, folder: Path, part: int, parts: int, copies: int):
    """Return what to time: the share of one job in a stage of serflow."""
    import ducc0.fft
    import numpy as np

    from serflow.audio import augment
    from serflow.audio.io import read_clip
    from serflow.audio.read_recordings import _read as read_row
    from serflow.features import frames, mel

    paths = sorted(folder.glob("*.wav"))[part::parts]
    rows = [{"path": os.fsencode(path), "problem": None, "start": None, "end": None} for path in paths]
    audio = [read_clip(path, RATE) for path in paths] if stage != "load" else []
    chosen = audio[: copies // parts]
    clips = np.array(fixed(audio)) if stage.split()[-1] in ("frames", "mel") else None
    draws = np.random.default_rng(0)
    few = np.zeros((2, LENGTH), np.float32)  # libraries are warmed up, as the notebook's are
    augment.pitch_shift(few[0], 1, RATE), read_row(rows[0], RATE, READING)
    framed = {"sampling_rate": RATE, "frame_size": FRAME_SIZE, **FRAMES}
    spectra = {"sampling_rate": RATE, "n_mels": 128, "n_fft": 1569, "hop_length": 512}
    list(frames.compute(few, framed)), list(mel.compute(few, spectra))

    def bare(size, hop, paired):
        frames = 8 * (1 + LENGTH // hop)
        # As real numbers, or two frames a transform as in serflow.audio.stft.
        rows = np.zeros((-(-frames // 2), size), np.complex64) if paired else np.zeros((frames, size), np.float32)
        for _ in range(0, len(clips), 8):
            ducc0.fft.c2c(rows, axes=(1,), out=rows) if paired else ducc0.fft.r2c(rows, axes=(1,))

    return {
        "load": lambda: [read_row(row, RATE, READING) for row in rows],
        "stretch": lambda: [augment.time_stretch(y, draws.uniform(0.8, 1.2)) for y in chosen],
        "pitch": lambda: [augment.pitch_shift(y, draws.uniform(-4, 4), RATE) for y in chosen],
        "frames": lambda: list(frames.compute(clips, framed)),
        "mel": lambda: list(mel.compute(clips, spectra)),
        "floor frames": lambda: bare(FRAME_SIZE, FRAME_SIZE // 2, False),
        "floor mel": lambda: bare(1569, 512, False),
        "paired frames": lambda: bare(FRAME_SIZE, FRAME_SIZE // 2, True),
        "paired mel": lambda: bare(1569, 512, True),
    }[stage]  # fmt: skip


def main() -> None:
    side, stage, folder, part, parts, copies = sys.argv[1:]
    if side == "serflow":  # as serflow.cli does
        os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        work = serflow(stage, Path(folder), int(part), int(parts), int(copies))
    else:
        work = notebook(stage, Path(folder), int(copies))
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
