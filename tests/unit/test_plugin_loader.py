"""Plug-ins are found by their file, read without being run, and refused with the reason."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from serflow.runtime.errors import UserError
from serflow.runtime.plugins import REQUIRED, Plugins

GOOD = '''"""Says something.

More about it.
"""

raise SystemExit("reading must not run it")
TITLE: str = "a title"
SIZE = 9


def run():
    pass


def helper():
    pass
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty package of plug-ins."""
    folder = tmp_path / "throw_away"
    folder.mkdir()
    (folder / "__init__.py").write_text("def run():\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "throw_away"]:
        del sys.modules[name]


def plugins():
    return Plugins(
        "throw_away", what="thing", function="run", constants={"TITLE": REQUIRED, "SIZE": 3, "KIND": "x"}, hyphens=True
    )


def test_constants_are_read_without_running_the_file(folder):
    (folder / "my_thing.py").write_text(GOOD)
    (folder / "helper.py").write_text("def runs():\n    pass\n")
    found = plugins()
    assert list(found) == ["my-thing"] and "helper" not in found
    plugin = found.find("my-thing", "config: things")
    assert (plugin.name, plugin.title, plugin.size, plugin.kind) == ("my-thing", "a title", 9, "x")
    assert plugin.module == "throw_away.my_thing"
    assert plugin.functions == {"run", "helper"}
    with pytest.raises(SystemExit, match="must not run"):
        plugin.load()


def test_a_plugin_is_loaded_on_demand(folder):
    (folder / "one.py").write_text('TITLE = "x"\n\n\ndef run():\n    return 5\n')
    assert plugins()["one"].load().run() == 5


RUN = "\n\n\ndef run():\n    pass\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RUN, r"one\.py: the constant TITLE is missing, which every thing has"),
        ("TITLE = 'a' + str(1)" + RUN, r"one\.py: TITLE must be a literal; it is read without running the file"),
        ("TITLE = {[]: 1}" + RUN, r"one\.py: TITLE must be a literal"),
        ("TITLE = 'x'\nSIZE = TITLE" + RUN, r"one\.py: SIZE must be a literal"),
        ("TITLE = 'x'\nSIZE = (" + RUN, r"one\.py, line 2: not valid Python \('\(' was never closed\)"),
        (b"TITLE = '\xff'" + RUN.encode(), r"one\.py, line \d+: not valid Python"),
        ("TITLE = 'x'\n\n\ndef runs():\n    pass\n", r"one\.py: has no function run\(\), so it is no thing"),
    ],
)
def test_a_file_that_is_not_a_plugin(folder, text, message):
    (folder / "one.py").write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "two.py").write_text(GOOD)
    with pytest.raises(UserError, match=message):
        plugins().find("one", "config: things")
    assert plugins().find("two", "config: things").size == 9  # the others still work


@pytest.mark.parametrize("name", ["my-thin", "../throw_away/my_thing", "__init__.x", "x" * 5000, "a\0b", ""])
def test_an_unknown_name(folder, name):
    (folder / "my_thing.py").write_text(GOOD)
    with pytest.raises(UserError) as error:
        plugins().find(name, "config: things.0")
    message = str(error.value)
    assert message.startswith("config: things.0: unknown thing ") and "; known: my-thing" in message
    assert message.isprintable() and (name != "my-thin" or message.endswith("; did you mean 'my-thing'?"))


FILES = {
    "corpus/formats/throw_away.py": '''"""Names such as ``happy-anna-1``."""

from serflow.corpus.listing import Utterance

TITLE = "throw-away"


def parse(path):
    emotion, speaker, number = path.split("-")
    return Utterance(f"{speaker}_{emotion}{number}", speaker, None, emotion, None)
''',
    "features/frame_features/throw_away.py": '''"""The largest sample of each frame."""


def compute(frames, settings):
    return abs(frames.samples).max(axis=2)
''',
    "features/loudness.py": '''"""Mean power of parts of a clip."""

import numpy as np

READS = "fixed"
WRITES = "npy"
SETTINGS = {"parts": {"type": "integer", "minimum": 1, "default": 4}}


def compute(rows, settings, threads=1):
    for start in range(0, len(rows), 2):
        batch = rows[start : start + 2]
        yield np.square(batch).reshape(len(batch), settings["parts"], -1).mean(axis=2)
''',
    "splits/every_other.py": '''"""Every other clip is tested on."""

from serflow.splits.folds import with_copies

TITLE = "every other clip"
ORDER = 1.5
COPIES = ("time_stretch",)


def split(labels, copies, settings):
    parts = {clip: ("test", "train", "valid")[number % 3] for number, clip in enumerate(sorted(labels))}
    return with_copies(parts, 0, labels, copies)
''',
}
SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np
import soundfile as sf
from steps import list_corpus, read_corpus, split
from serflow.features import KINDS, compute_features, kind_settings
from serflow.features.extract import extract_features
from serflow.features.frames import column_names
from serflow.splits import PROTOCOLS, count_folds
from serflow.storage import ArrayWriter, open_array, table_of, write_json, write_table

folder = Path(sys.argv[1])
(folder / "audio").mkdir()
for number in range(6):
    path = folder / f"audio/{'happy' if number % 2 else 'calm'}-{'anna' if number < 3 else 'ben'}-{number}.wav"
    sf.write(path, np.random.default_rng(number).uniform(-0.2, 0.2, 16_000), 16_000)
opened = list_corpus(folder / "results", folder / "audio", format="throw-away")
indices = read_corpus(folder / "results", folder / "audio", format="throw-away")
plans = [folder / "results/plan/s00.parquet"]
rows = split(indices, plans, folder / "split", "every-other", {}, formats=opened.formats)

frames = {"features": ["throw_away"], "n_mfcc": 13, "size": None, "hop": None}
config = {"sampling_rate": 16_000, "loudness": {"parts": 4}, "frames": frames}
sizes = {"target_length": 4_000, "frame_size": 400}
clips = np.random.default_rng(0).uniform(-0.2, 0.2, (3, 4_000)).astype(np.float32)
with ArrayWriter(folder / "fixed.npy", (4_000,)) as out:
    out.write(clips)
write_table(folder / "fixed", table_of([(name,) for name in "abc"], {"clip": "string"}))
write_json(folder / "target", sizes)
settings = kind_settings("loudness", config)
extract_features("loudness", folder / "fixed.npy", index=folder / "fixed", length=folder / "target",
                 settings=settings, output=folder / "loudness.npy", output_index=folder / "loudness")
extracted, computed = open_array(folder / "loudness.npy"), compute_features("loudness", clips, settings | sizes)
frames = compute_features("frames", clips, kind_settings("frames", config) | sizes)
print(json.dumps({
    "speakers": opened.speakers, "formats": opened.formats, "protocols": list(PROTOCOLS),
    "folds": count_folds("every-other", opened.speakers, opened.formats, {}),
    "parts": sorted([row["clip"], row["part"], row["label"]] for row in rows),
    "kinds": list(KINDS), "settings": settings, "same": bool((extracted == computed[..., 0]).all()),
    "shape": computed.shape, "peak": float(frames.max()), "expected": float(abs(clips).max()),
    "columns": column_names(kind_settings("frames", config) | sizes)[:1],
}))
"""


def test_a_plugin_of_each_kind_is_one_file(project, tmp_path):
    source = tmp_path / "src/serflow"
    shutil.copytree(project / "workflow/src/serflow", source, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in FILES.items():
        (source / name).write_text(text)
    path = os.pathsep.join([str(tmp_path / "src"), str(project / "tests")])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["speakers"] == ["anna", "ben"] and found["formats"] == {"": "throw-away"}
    assert "every-other" in found["protocols"] and "loudness" in found["kinds"] and found["folds"] == 1
    clips = ["anna_calm0", "anna_calm2", "anna_happy1", "ben_calm4", "ben_happy3", "ben_happy5"]
    expected = [[clip, ("test", "train", "valid")[number % 3]] for number, clip in enumerate(clips)]
    expected += [[f"{clip}.time_stretch", "train"] for clip in ("anna_calm2", "ben_happy3")]
    assert [row[:2] for row in found["parts"]] == sorted(expected)
    assert {row[2] for row in found["parts"]} == {"calm", "happy"}
    assert found["settings"] == {"sampling_rate": 16_000, "parts": 4}
    assert found["same"] and found["shape"] == [3, 4, 1]
    assert found["peak"] == pytest.approx(found["expected"]) and found["columns"] == ["throw_away_000"]
