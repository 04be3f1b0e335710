"""`make bench-scale`: `snakemake features` on 1, 4 and 16 times the clips: seconds per clip, and peak memory."""

import argparse
import json
import tempfile
from pathlib import Path

import corpus
from features import PROJECT, workflow


def main() -> None:
    """Measure, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, help="of the smallest run; else all recordings that there are")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        source, what = corpus.recordings(work)
        for times in (1, 4, 16):
            clips = times * (arguments.clips or len(source))
            folder = corpus.link(source, clips, work / "AudioWAV")
            rows.append({"times": times, "clips": clips} | workflow(folder, round(clips * corpus.COPIED), work))
    lines = [f"`snakemake features`, {what}.", "", "| clips | s | ms per clip | MB of the largest job |"]
    lines.append("|---:|---:|---:|---:|")
    for row in rows:
        each = 1000 * row["seconds"] / row["clips"]
        lines.append(f"| {row['clips']} | {row['seconds']:.1f} | {each:.2f} | {row['peak_mb']:.0f} |")
    first, last = rows[0], rows[-1]
    # Starting Snakemake and each job costs the same for any number of clips; the rest is what a clip costs.
    each = 1000 * (last["seconds"] - first["seconds"]) / (last["clips"] - first["clips"])
    lines += ["", f"A further clip costs {each:.2f} ms; what is left over is the start of Snakemake and of each job."]
    out = PROJECT / "results/bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / "scale.json").write_text(json.dumps(rows, indent=1) + "\n")
    (out / "scale.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
