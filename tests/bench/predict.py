"""`python tests/bench/predict.py BUNDLE … --clips FOLDER`: start, clips per second, and memory for an hour of audio."""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import soundfile as sf

from serflow.audio.io import resample

RATE = 44_100
FORMATS = ("wav", "ogg", "mp3")
# Not ru_maxrss, which a process has from the one that started it.
SHOW = """
import sys
sys.modules |= dict.fromkeys(("tensorflow", "keras", "sklearn", "librosa", "snakemake"))
from serflow.cli import main
try: main()
finally: print([line.split()[1] for line in open("/proc/self/status") if "VmHWM" in line][0], file=sys.stderr)
"""


def predict(*arguments) -> tuple[float, float]:
    """Label recordings without TensorFlow; give seconds and the peak of memory in MB."""
    started = time.perf_counter()
    command = [sys.executable, "-c", SHOW, "predict", *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - started, int(done.stderr.splitlines()[-1]) / 1024


def speak(path: Path, clips: list[Path], minutes: int) -> None:
    """Write clips end to end as stereo of 44.1 kHz, so many minutes of them."""
    missing = minutes * 60 * RATE
    with sf.SoundFile(path, "w", RATE, 2) as file:
        for clip in cycle(clips):
            samples, rate = sf.read(clip, dtype="float32")
            part = resample(samples, rate, RATE)[:missing]
            file.write(np.stack([part, part / 2], axis=1))
            missing -= len(part)
            if not missing:
                return


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=int, nargs="*", default=[1, 10, 60])
    arguments = parser.parse_args()
    clips = sorted(arguments.clips.glob("*.wav"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "one.csv").write_text(f"file\n{clips[0].resolve()}\n")
        many = list(islice(cycle(clips), 1000))
        (folder / "many.csv").write_text("file\n" + "".join(f"{clip.resolve()}\n" for clip in many))
        talks = [(form, minutes, folder / f"{minutes}.{form}") for form in FORMATS for minutes in arguments.minutes]
        for _, minutes, path in talks:
            speak(path, clips[:60], minutes)
        for bundle in arguments.bundles:
            how = ("--threads", arguments.threads, "--output", folder / "x.csv")
            one = statistics.median(predict(bundle, folder / "one.csv", *how)[0] for _ in range(5))
            seconds = predict(bundle, folder / "many.csv", *how)[0]
            print(f"\n{bundle}: one clip {one:.2f} s; {len(many) / (seconds - one):.0f} clips/s after start")
            if talks:
                print(f"\n| audio, {RATE / 1000} kHz stereo | s | peak MB |\n|---|---:|---:|")
            for form, minutes, path in talks:
                took, peak = predict(bundle, path, *how, "--timeline", folder / "timeline.csv")
                print(f"| {minutes} min {form} | {took:.1f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
