"""serflow as a part of somebody's own workflow."""

import json
import subprocess
import sys

from serflow.store import read_table

OUTER = """
configfile: "outer.json"

module serflow:
    snakefile: {snakefile!r}
    config: config["emotions"]

use rule * from serflow as emotions_*

rule count_clips:
    default_target: True
    input: "results/sample/catalog/clips.parquet"
    output: "count.txt"
    run:
        import pyarrow.parquet
        Path(output[0]).write_text(str(pyarrow.parquet.read_metadata(input[0]).num_rows))
"""


def test_from_another_workflow_in_another_folder(project, tmp_path, sample):
    (tmp_path / "Snakefile").write_text(OUTER.format(snakefile=str(project / "Snakefile")))
    (tmp_path / "outer.json").write_text(json.dumps({"emotions": {"shards": 2, "models": {"cnn1d": {"epochs": 3}}}}))

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
    assert len(list(tmp_path.glob("results/sample/scan/*.parquet"))) == 2
    planned = snakemake("--dry-run", "--printshellcmds", "emotions_report")
    assert '"epochs": 3' in planned and "emotions_render_report" in planned
