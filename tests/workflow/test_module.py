"""serflow as a part of somebody's own workflow, by the documented lines."""

import json
import subprocess
import sys

import pytest
import soundfile as sf

import readme
from serflow.storage import read_table
from voice import voice

PAGE = readme.PROJECT / "docs/within.md"

OUTER = """
rule count_clips:
    default_target: True
    input: "results/sample/catalog/clips.parquet"
    output: "count.txt"
    run:
        import pyarrow.parquet
        Path(output[0]).write_text(str(pyarrow.parquet.read_metadata(input[0]).num_rows))
"""


def documented(project):
    """Return the lines that the documentation shows, with the place of this project."""
    lines, place = readme.block(PAGE, "module serflow:"), '"/path/to/serflow/Snakefile"'
    assert place in lines
    return lines.replace(place, repr(str(project / "Snakefile")))


def test_the_documented_rule_in_a_dry_run(project, tmp_path):
    (tmp_path / "audio").mkdir()
    for speaker in ("1001", "1002", "1019", "1020"):
        for label in ("ANG", "SAD"):
            sf.write(tmp_path / f"audio/{speaker}_DFA_{label}_XX.wav", voice(0.5), 16_000)
    settings = readme.block(PAGE, "serflow:").replace("/data/AudioWAV", str(tmp_path / "audio"))
    (tmp_path / "outer.yaml").write_text(settings)
    rule = readme.block(PAGE, "rule count_clips:")
    (tmp_path / "Snakefile").write_text(f'configfile: "outer.yaml"\n\n{documented(project)}\n{rule}')

    def planned(*arguments):
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run", "--printshellcmds", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    assert "python count.py results/crema-d/catalog/clips.parquet > count.txt" in planned()
    report = planned("serflow_report")
    assert "serflow_render_report" in report and '"epochs": 30' in report
    assert "serflow_extract_embedding" in planned("serflow_quick")


@pytest.mark.extended
def test_from_another_workflow_in_another_folder(project, tmp_path, sample):
    (tmp_path / "Snakefile").write_text(f'configfile: "outer.json"\n\n{documented(project)}{OUTER}')
    (tmp_path / "outer.json").write_text(json.dumps({"serflow": {"shards": 2, "models": {"cnn1d": {"epochs": 3}}}}))

    def snakemake(*arguments):
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout + done.stderr

    snakemake()
    clips = read_table(tmp_path / "results/sample/catalog/clips.parquet")
    assert int((tmp_path / "count.txt").read_text()) == len(clips) > 100
    # The same corpus, in as many shards as the outer workflow asks for.
    assert clips["sha256"] == read_table(sample.results() / "catalog/clips.parquet")["sha256"]
    assert len(list(tmp_path.glob("results/sample/recordings/*.npy"))) == 2
    planned = snakemake("--dry-run", "--printshellcmds", "serflow_report")
    assert '"epochs": 3' in planned and "serflow_render_report" in planned
