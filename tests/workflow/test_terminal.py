"""What a run shows on a terminal, and that it ends with its result."""

import os
import pty
import re
import subprocess
import sys
import termios

import pytest

import snakemake_logger_plugin_serflow as display
from made_up_runs import evaluate, write_catalog, write_run
from serflow.evaluation.headline import headline
from serflow.runtime.progress import RESULT, SCREEN_VARIABLE
from serflow.storage import read_json

SNAKEFILE = f"""
rule all:
    input: expand("{{n}}.out", n=range(3))

onsuccess:
    shell("echo 'serflow: the report is here' >> ${SCREEN_VARIABLE}")

rule train_model:
    output: "{{n}}.out"
    log: "{{n}}.log"
    shell:
        "echo 'cnn1d seed 0 fold {{wildcards.n}}: epoch 3/6 - loss: 1.2' >> ${SCREEN_VARIABLE}; sleep 1;"
        "echo 'a note of job {{wildcards.n}}' >> ${SCREEN_VARIABLE}; FAIL touch {{output}}"
"""


def run(folder, project, fail="", stderr=subprocess.PIPE):
    (folder / "Snakefile").write_text(SNAKEFILE.replace("FAIL", fail))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--logger", "serflow", "--show-failed-logs"]
    environment = os.environ | {"TERM": "xterm", "PYTHONPATH": str(project / "workflow/src")}
    environment.pop(SCREEN_VARIABLE, None)
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr
    )


def on_terminal(folder, project, fail=""):
    """Return the exit code and everything that a run wrote to a terminal, without the codes that move the cursor."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 120))
    process = run(folder, project, fail, theirs)
    os.close(theirs)
    drawn = b""
    while True:
        try:
            drawn += os.read(ours, 100_000)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    return process.wait(), re.sub(r"\x1b\[[\d;?]*\w", "", drawn.decode())


def test_a_line_for_each_rule_with_counts_and_epochs(tmp_path, project):
    code, text = on_terminal(tmp_path, project)
    assert code == 0, text
    last = text[text.rindex("train_model") :]
    assert re.search(r"train_model +\S+ +3/3 +took \d:\d\d", last) and re.search(r"all jobs +\S+ +4/4 +\d:\d\d", last)
    assert last.endswith("serflow: the report is here\r\n")
    assert "cnn1d seed 0 fold 2: epoch 3/6" in text and re.search(r"about \d:\d\d left", text)
    assert all(text.count(f"a note of job {number}") == 1 for number in range(3))
    # What Snakemake says of each job is in its log alone.
    assert "wildcards: n=2" not in text
    (log,) = (tmp_path / ".snakemake/log").iterdir()
    assert "wildcards: n=2" in log.read_text()


def test_both_sides_agree():
    assert (display.RESULT, display.SCREEN_VARIABLE) == (RESULT, SCREEN_VARIABLE)


def test_an_error_is_shown_with_the_log_of_the_job(tmp_path, project):
    code, text = on_terminal(tmp_path, project, "echo what is wrong > {log}; false;")
    assert code == 1 and "Error in rule train_model" in text and "what is wrong" in text


def test_elsewhere_snakemake_shows_its_own_lines(tmp_path, project):
    process = run(tmp_path, project)
    _, err = process.communicate()
    assert process.returncode == 1  # without a terminal the jobs of this test have no file to write to
    assert b"wildcards: n=" in err and b"\x1b" not in err and b"all jobs" not in err


@pytest.mark.parametrize("leaky", [False, True])
def test_the_result_in_one_line(tmp_path, project, leaky):
    write_catalog(tmp_path)
    copies = [("1001_x", "1001_x", "train", "ANG")]
    protocol, extra = ("notebook", copies) if leaky else ("speaker-independent", [])
    paths = [
        write_run(tmp_path, protocol, model, fold, skill, extra)
        for model, skill in (("good", 2.0), ("chancy", 0.0))
        for fold in range(1 if leaky else 3)
    ]
    evaluate(tmp_path, paths, project)
    found = read_json(tmp_path / "evaluation.json")
    uar = 100 * found["models"][0]["interval"]["uar"]["value"]
    text = headline(found)
    assert text.startswith(f"good, {uar:.1f} % UAR [")
    assert text.endswith(f"speakers that it was {'' if leaky else 'not '}trained on, protocol {protocol}")
