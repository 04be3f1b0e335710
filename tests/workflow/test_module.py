"""serflow as a part of somebody's own workflow, by the documented lines."""

import json
import subprocess
import sys

import pytest

import readme
from serflow.storage import read_table

OUTER = """
rule count_clips:
    default_target: True
    input: "results/sample/catalog/clips.parquet"
    output: "count.txt"
    run:
        import pyarrow.parquet
        Path(output[0]).write_text(str(pyarrow.parquet.read_metadata(input[0]).num_rows))
"""


@pytest.mark.extended
def test_from_another_workflow_in_another_folder(project, tmp_path, sample):
    lines, place = readme.block(readme.PROJECT / "docs/within.md", "module serflow:"), '"/path/to/serflow/Snakefile"'
    assert place in lines
    named = lines.replace(place, repr(str(project / "Snakefile")))
    (tmp_path / "Snakefile").write_text(f'configfile: "outer.json"\n\n{named}{OUTER}')
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
