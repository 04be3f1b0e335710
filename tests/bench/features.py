"""`make bench`: the notebook's stages and serflow's on the same clips, alternating, as a table.

With --full also the whole path at the corpus' full size, 7,442 clips. Takes SERFLOW_CREMA_D, the folder of real
recordings, and SERFLOW_REFERENCE, the folder of notebook.py, from the environment.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import corpus

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
CORES = 2
FLOORS = ("floor", "paired")
STAGES = ("load", "stretch", "pitch", "frames", "mel")


def stage(side: str, name: str, folder: Path, copies: int) -> dict:
    """Run a stage; of serflow as many processes at once as there are cores."""
    parts = CORES if side == "serflow" else 1
    command = [sys.executable, str(HERE / "stage.py"), side, name, str(folder)]
    running = [
        subprocess.Popen([*command, str(part), str(parts), str(copies)], stdout=subprocess.PIPE, text=True)
        for part in range(parts)
    ]
    found = [json.loads(process.communicate()[0].splitlines()[-1]) for process in running]
    return {key: max(one[key] for one in found) for key in found[0]}


def script(folder: Path, copies: int) -> dict:
    """Run the notebook's stages one after another in one process, with its start."""
    began = time.perf_counter()
    found = stage("notebook", "whole", folder, copies)
    return found | {"seconds": time.perf_counter() - began}


def workflow(folder: Path, copies: int, work: Path, shards: int = CORES) -> dict:
    """Run `snakemake features` from nothing, with every process start; as many shards as cores start the fewest."""
    kinds = {kind: {"clips": copies} for kind in ("time_stretch", "pitch_shift")}
    with tempfile.TemporaryDirectory(dir=work) as results:
        command = [sys.executable, "-m", "snakemake", "features", "--snakefile", str(PROJECT / "Snakefile")]
        command += ["--cores", str(CORES), "--quiet", "all", "--config", "corpus=bench", f"audio={folder}"]
        # Runs are named since the default ones need speakers of several blocks, which a few clips do not have.
        runs = [{"protocol": "notebook", "models": ["cnn1d", "cnn2d"], "seeds": [0]}]
        command += [f"augment={json.dumps(kinds)}", f"runs={json.dumps(runs)}", f"shards={shards}"]
        began = time.perf_counter()
        subprocess.run(command, cwd=results, check=True, capture_output=True)
        seconds = time.perf_counter() - began
        tables = [path.read_text().splitlines() for path in Path(results).rglob("benchmarks/**/*.tsv")]
        peaks = [float(dict(zip(*map(str.split, table[:2]), strict=False))["max_rss"]) for table in tables]
    return {"seconds": seconds, "peak_mb": max(peaks)}


def measure(rounds: int, sides: dict) -> dict:
    """Run the sides in turn and keep each one's median."""
    found: dict[str, list[dict]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, run in sides.items():
            found[side].append(run())
    medians = {
        side: {key: statistics.median(one[key] for one in several) for key in several[0]}
        for side, several in found.items()
    }
    return medians | {"ratio": medians["notebook"]["seconds"] / medians["serflow"]["seconds"]}


def table(result: dict) -> str:
    """Return the result as Markdown."""
    lines = [
        f"{result['clips']} clips and {2 * result['copies']} copies, {result['recordings']}; {CORES} cores, median of "
        f"{result['rounds']} rounds, both sides alternating; load average {result['load']:.1f} before it.",
        "",
        "| stage | notebook s | MB | serflow s | MB | ratio | bare real FFTs s | of them | in pairs s | of them |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in result["stages"].items():
        ours, theirs = row["serflow"], row["notebook"]
        floors = [row[kind] for kind in FLOORS if kind in row]
        last = " | ".join(f"{floor:.2f} | {ours['seconds'] / floor:.1f} ×" for floor in floors) or " | | | "
        lines.append(
            f"| {name} | {theirs['seconds']:.2f} | {theirs['peak_mb']:.0f} | {ours['seconds']:.2f} | "
            f"{ours['peak_mb']:.0f} | {row['ratio']:.1f} × | {last} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print the table and write it, anew after each stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=480)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stages", nargs="*", default=STAGES, choices=STAGES)
    parser.add_argument("--full", action="store_true", help="the whole path at 7,442 clips too")
    arguments = parser.parse_args()
    out = PROJECT / "results/bench"
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        source, what = corpus.recordings(work)
        folder = corpus.link(source, arguments.clips, work / "AudioWAV")
        copies = round(arguments.clips * corpus.COPIED)
        result = {"recordings": what, "clips": arguments.clips, "copies": copies, "rounds": arguments.rounds}
        result |= {"cores": CORES, "load": os.getloadavg()[0], "stages": {}}

        def add(title: str, rounds: int, stage_name: str, clips: Path, number: int) -> None:
            if stage_name == "whole":
                sides = {"notebook": lambda: script(clips, number), "serflow": lambda: workflow(clips, number, work)}
            else:
                sides = {
                    side: lambda side=side: stage(side, stage_name, clips, number) for side in ("notebook", "serflow")
                }
            row = measure(rounds, sides)
            if stage_name in ("frames", "mel"):
                for kind in FLOORS:
                    row[kind] = stage("serflow", f"{kind} {stage_name}", clips, number)["seconds"]
            result["stages"][title] = row
            (out / "features.json").write_text(json.dumps(result, indent=1) + "\n")
            (out / "features.md").write_text(table(result))
            print(title, f"{row['ratio']:.1f} ×", flush=True)

        for one in arguments.stages:
            add(one, arguments.rounds, one, folder, copies)
        add("whole path", arguments.rounds, "whole", folder, copies)
        if arguments.full:
            full = corpus.link(source, corpus.FULL_SIZE, work / "full")
            add("whole path, 7,442 clips and 3,000 copies", arguments.rounds, "whole", full, 1500)
    print(table(result))


if __name__ == "__main__":
    main()
