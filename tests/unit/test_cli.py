"""The command line: options from signatures and docstrings, and one line for each mistake."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from serflow import __version__
from serflow.cli import ALIASES, COMMANDS, FOR_PEOPLE, PEOPLE, main
from serflow.runtime.arguments import Parser
from serflow.runtime.errors import UserError


def step(
    bundle: str,
    inputs: Sequence[Path],
    /,
    *,
    output: Path,
    shards: int,
    fold: int = 0,
    length: str | int,
    settings: Mapping[str, int],
    source: Path | Mapping,
    names: Sequence[str] = (),
    share: float | None,
    threads: int | None = None,
    quiet: bool = False,
    progress: Callable[[int], None] | None = None,
) -> dict:
    """Do 100 % of ``something``; see :func:`serflow.cli.main`.

    Parameters
    ----------
    bundle, inputs
        What to read, 50 % of it,
        or all.
    output : Path
        Where to write.

    fold
        A number.

        More of it.

    Returns
    -------
    dict
        Not an option.
    """
    calls.append(dict(locals()))


calls: list[dict] = []
GIVEN = ["b.zip", "x.wav", "y.wav", "--output", "o", "--shards", "2", "--length", "average", "--settings", '{"a": 1}']
GIVEN += ["--source", "folder"]
TAKEN = {"bundle": "b.zip", "inputs": [Path("x.wav"), Path("y.wav")], "output": Path("o"), "shards": 2, "fold": 0}
TAKEN |= {"length": "average", "settings": {"a": 1}, "source": Path("folder"), "names": (), "share": None}
TAKEN |= {"threads": None, "quiet": False, "progress": None}


@pytest.mark.parametrize(
    ("more", "changed"),
    [
        ([], {}),
        (["--fold", "3", "--threads", "2", "--quiet"], {"fold": 3, "threads": 2, "quiet": True}),
        (["--length", "400"], {"length": 400}),
        (["--source", '{"a": "b"}'], {"source": {"a": "b"}}),
        (["--names", "a", "b", "--share", "0.5"], {"names": ["a", "b"], "share": 0.5}),
        (["--names"], {"names": []}),
    ],
)
def test_arguments_are_read_as_the_signature_says(more, changed):
    parser = Parser("serflow step", step)
    parser.call(vars(parser.parse_args([*GIVEN, *more])))
    assert calls.pop() == TAKEN | changed


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--shards", "0"], "argument --shards: 0 is less than 1"),
        (["--threads", "-3"], "argument --threads: -3 is less than 1"),
        (["--fold", "-1"], "argument --fold: -1 is less than 0"),
        (["--fold", "1.5"], "argument --fold: '1.5' is not a number"),
        (["--fold", "9" * 5000], "is not a number"),
        (["--share", "half"], "argument --share: 'half' is not a number"),
        (["--settings", "{"], "argument --settings: not JSON ("),
        (["--settings", "[1]"], "argument --settings: not JSON (not an object)"),
        (["--settings", "[" * 100000], "argument --settings: not JSON (nested too deeply)"),
        (["--thread", "2"], "unrecognized arguments: --thread 2; did you mean '--threads'?"),
        (["--progress", "2"], "unrecognized arguments: --progress 2"),
        (["--output"], "argument --output: expected one argument"),
    ],
)
def test_a_wrong_argument_is_one_line(more, message):
    with pytest.raises(UserError) as error:
        Parser("serflow step", step).parse_args([*GIVEN, *more])
    assert message in str(error.value) and str(error.value).endswith("; see serflow step --help")


def test_an_option_that_is_missing():
    with pytest.raises(UserError, match="required: inputs, --output, --shards, --length, --settings, --source;"):
        Parser("serflow step", step).parse_args(["b.zip"])


def test_help_is_in_the_docstring():
    text = " ".join(Parser("serflow step", step).format_help().split())
    assert "Do 100 % of something; see serflow.cli.main." in text
    assert text.count("What to read, 50 % of it, or all.") == 2
    assert "--output PATH Where to write." in text and "--fold N A number. More of it." in text
    assert "--length N|TEXT" in text and "--source JSON|PATH" in text and "--share X" in text
    assert "Not an option" not in text and "progress" not in text


def serflow(*arguments, **options):
    options = {"capture_output": True, "text": True, "check": False} | options
    return subprocess.run([sys.executable, "-m", "serflow", *arguments], **options)


def test_a_command_for_each_rule_and_a_rule_for_each_command(project):
    rules = "".join(path.read_text() for path in (project / "workflow/rules").glob("*.smk"))
    called = set(re.findall(r"python -m serflow (\w+)", rules))
    rest = {name for name in COMMANDS if not name.startswith("extract_")}
    assert {name for name in called if not name.startswith("extract_")} == rest - set(PEOPLE)
    assert ALIASES.keys().isdisjoint(COMMANDS) and set(ALIASES.values()) <= set(COMMANDS)


@pytest.mark.parametrize("command", [*COMMANDS, *ALIASES])
def test_help_of_each_command(command):
    done = serflow(command, "--help", check=True)
    assert ("--log" in done.stdout) == (command not in PEOPLE)
    # Every option has a help text.
    for option in re.findall(r"^  (-.*|\w.*)$", done.stdout.partition("options:")[2], re.MULTILINE):
        assert re.search(r"\S  +\S", option) or re.search(
            rf"^  {re.escape(option)}\n {{6,}}\S", done.stdout, re.MULTILINE
        ), option


def test_the_list_of_commands_has_a_line_for_each():
    lines = serflow("--help", check=True).stdout.splitlines()
    short = {long: name for name, long in ALIASES.items()}
    places = {}
    for name in COMMANDS:
        ((places[name], line),) = [
            (n, line) for n, line in enumerate(lines) if line.split()[:1] == [short.get(name, name)]
        ]
        assert len(line.split()) > 2
    assert max(places[name] for name in FOR_PEOPLE) < min(places[name] for name in COMMANDS if name not in FOR_PEOPLE)
    assert serflow(check=True).stdout.splitlines() == lines


def test_the_version():
    assert serflow("--version", check=True).stdout == f"serflow {__version__}\n"


def test_a_command_that_does_not_exist():
    done = serflow("fixlength")
    assert done.returncode == 1
    assert (
        done.stderr == "serflow fixlength: there is no such command; did you mean 'fix_length'?; see serflow --help\n"
    )


FIX = ("fix_length", "--samples", "none.npy", "--indices", "none.parquet", "--length", "none.json")
FIX += ("--copies", "speed", "--output", "x.npy", "--output-index", "x.parquet")


def test_a_mistake_is_one_line_on_the_terminal_and_in_the_log(tmp_path):
    done = serflow(*FIX, "--log", str(tmp_path / "logs/x.log"), cwd=tmp_path)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and not done.stdout
    assert done.stderr.startswith("serflow fix_length: none.") and "no such file" in done.stderr
    log = (tmp_path / "logs/x.log").read_text().splitlines()
    assert log[0].startswith("python -m serflow fix_length") and log[1] == done.stderr.strip()
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


def test_standard_output_that_takes_nothing():
    full = Path("/dev/full")
    if full.exists():
        with full.open("w") as stream:
            done = serflow("--help", capture_output=False, stdout=stream, stderr=subprocess.PIPE)
        assert done.returncode == 1 and done.stderr == "serflow: No space left on device\n"
    read, write = os.pipe()
    os.close(read)
    done = serflow("--help", capture_output=False, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert done.returncode == 1 and done.stderr == "serflow: Broken pipe\n"
    done = subprocess.run(
        ["bash", "-c", '"$0" -m serflow --help >&-', sys.executable], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "serflow: standard output is closed; redirect it to a file\n"


def test_names_that_the_encoding_of_the_terminal_lacks(tmp_path):
    name = os.fsdecode("é".encode() + b"\xff.npy")
    for encoding in ("ascii", "utf-8"):
        arguments = [name if word == "none.npy" else word for word in FIX]
        done = serflow(*arguments, cwd=tmp_path, env=os.environ | {"PYTHONIOENCODING": encoding})
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr


def test_mapping_options_reach_the_function(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["extract_mel", "--samples", "x", "--length", str(tmp_path / "none"), "--settings", json.dumps({})])
    assert "required: --output; see serflow extract_mel --help" in capsys.readouterr().err
