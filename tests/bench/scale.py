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
    lines = [f"`snakemake features`, {what}. Starting Snakemake and each job costs the same for any number of clips."]
    lines += [
        "",
        "| clips | s | ms per clip | ms per further clip | MB of the largest job |",
        "|---:|---:|---:|---:|---:|",
    ]
    for before, row in zip([None, *rows], rows, strict=False):
        each, further = 1000 * row["seconds"] / row["clips"], ""
        if before:
            more = row["clips"] - before["clips"]
            further = f"{1000 * (row['seconds'] - before['seconds']) / more:.2f}"
        lines.append(f"| {row['clips']} | {row['seconds']:.1f} | {each:.2f} | {further} | {row['peak_mb']:.0f} |")
    out = PROJECT / "results/bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / "scale.json").write_text(json.dumps(rows, indent=1) + "\n")
    (out / "scale.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
