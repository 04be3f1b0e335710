"""Whatever is given, there is an answer or a UserError of one printable line, and never anything else."""

import io
import itertools
import math
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serflow.audio.containers import length_fault, plain_wav
from serflow.audio.io import LOUDEST, MOST_SAMPLES, decode, mono
from serflow.configuration import configure
from serflow.corpus.crema_d_names import EMOTIONS, SENTENCES, ClipName, parse_name
from serflow.runtime.errors import UserError, printable
from serflow.runtime.settings import read_scalars
from serflow.storage import open_array, read_json, read_table

# The same cases each time: a test that fails once in a while tells nobody what to do.
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("same")

NAMES = st.builds(
    ClipName,
    speaker=st.integers(1000, 10**9).map(str).filter(lambda speaker: speaker.startswith("1")),
    sentence=st.sampled_from(sorted(SENTENCES)),
    emotion=st.sampled_from(sorted(EMOTIONS)),
    level=st.sampled_from(["LO", "MD", "HI", "XX"]),
)
SEEDS = []
for form, subtype in [("WAV", "PCM_16"), ("WAVEX", "FLOAT"), ("RF64", "PCM_24"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")]:
    made = io.BytesIO()
    sf.write(made, 0.4 * np.sin(np.arange(900) / 7), 16_000, subtype, format=form)
    SEEDS.append(made.getvalue())


def refused(error: UserError) -> None:
    assert str(error).isprintable() and len(str(error)) > 10


@given(NAMES)
def test_a_name_read_and_written_is_the_name(name):
    assert parse_name(name.clip) == name


def test_every_code_of_the_grammar():
    for parts in itertools.product(["1001", "1091"], SENTENCES, EMOTIONS, ["LO", "MD", "HI", "XX"]):
        assert parse_name("_".join(parts)) == parts


@given(
    st.text()
    | NAMES.map(lambda name: name.clip).flatmap(lambda clip: st.sampled_from([clip + "\n", f" {clip}", clip[1:]]))
)
@settings(max_examples=500)
def test_any_other_name_is_refused(stem):
    try:
        name = parse_name(stem)
    except UserError as error:
        refused(error)
    else:
        assert stem in (name.clip, name.clip.removesuffix("X"))


@given(st.binary(min_size=1, max_size=300))
def test_any_bytes_can_be_shown(name):
    shown = printable(os.fsdecode(name))
    assert shown.isprintable() and shown.encode()
    assert printable(shown) == shown


SHORT = st.text(max_size=9) | st.binary(max_size=9)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | SHORT | st.dates()
KEYS = st.text(max_size=9) | st.integers()
TREES = st.recursive(LEAVES, lambda below: st.lists(below) | st.dictionaries(KEYS, below), max_leaves=12)


@pytest.fixture(scope="module")
def config(project):
    return yaml.safe_load((project / "config.yaml").read_text())


@given(data=st.data())
@settings(max_examples=150)
def test_any_settings_are_taken_or_refused(project, config, data):
    """Arbitrary trees, and arbitrary trees in the place of a setting."""
    tree = data.draw(TREES)
    if data.draw(st.booleans()):
        path, place = [], config
        while isinstance(place, dict) and place and (not path or data.draw(st.booleans())):
            path.append(data.draw(st.sampled_from(sorted(place))))
            place = place[path[-1]]
        for key in reversed(path):
            above = config
            for part in path[: path.index(key)]:
                above = above[part]
            tree = above | {key: tree}
    try:
        complete = configure(tree if isinstance(tree, dict) else {"shards": tree}, project)
    except UserError as error:
        refused(error)
    else:
        assert set(complete) == set(config)
        assert all(math.isfinite(number) for number in numbers(complete))


def numbers(tree):
    if isinstance(tree, dict | list):
        for below in tree.values() if isinstance(tree, dict) else tree:
            yield from numbers(below)
    elif isinstance(tree, int | float):
        yield tree


@given(TREES)
@settings(max_examples=60)
def test_scalars_are_read_at_any_depth(tree):
    if isinstance(tree, dict | list):
        assert len(read_scalars(tree, {})) == len(tree)
    assert repr(read_scalars(read_scalars(tree, {}), {})) == repr(read_scalars(tree, {}))


SIZES = st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f"])


@st.composite
def mutated(draw):
    """A recording with some bytes, or some of the sizes in its header, changed, or cut or gone on with."""
    content = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, min(len(content) - 1, draw(st.sampled_from([60, 10_000])))))
        some = draw(
            st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f"]) | st.binary(min_size=1, max_size=4)
        )
        content[place : place + len(some)] = some
    return bytes(content[: draw(st.integers(0, len(content)) | st.just(len(content)))]) + draw(st.binary(max_size=20))


BEGUN = st.binary(max_size=200).map(lambda end: b"RIFF\x40\0\0\0WAVEfmt " + end)


@given(st.binary(max_size=1000) | mutated() | BEGUN)
@settings(max_examples=600)
def test_any_bytes_are_a_recording_or_refused(content):
    try:
        recording = decode("x.wav", content)
    except UserError as error:
        refused(error)
        return
    samples = recording.samples
    assert samples.dtype == np.float32 and samples.ndim == 2 and 0 < samples.size <= MOST_SAMPLES
    assert np.abs(samples).max() <= LOUDEST
    mixed = mono(recording, 16_000)
    assert abs(len(mixed) - len(samples) * 16_000 / recording.rate) < 2 and np.isfinite(mixed).all()


@given(mutated(), st.sampled_from([1, 2, 3, 8]), st.sampled_from([8000, 16_000, 44_100]))
@settings(max_examples=600)
def test_a_plain_wav_is_what_the_decoder_makes_of_it(content, channels, rate):
    made = io.BytesIO()
    sf.write(made, np.sin(np.arange(40 * channels)).reshape(-1, channels), rate, "PCM_16", format="WAV")
    assert plain_wav(made.getvalue())[:3] == (rate, channels, 40)
    header = made.getvalue()[:40]
    for data in (header + len(content).to_bytes(4, "little") + content, header + content, content):
        if plain_wav(data) and not length_fault(data):
            expected, its_rate = sf.read(io.BytesIO(data), dtype="float32", always_2d=True)
            try:
                recording = decode("x.wav", data)
            except UserError as error:
                assert "rate" in str(error) or "samples" in str(error)
            else:
                assert recording.rate == its_rate and np.array_equal(recording.samples, expected)


@given(
    st.binary(max_size=400) | st.binary(max_size=60).map(lambda end: b"\x93NUMPY\x01\0\x3a\0{'descr': '<f4', " + end)
)
@settings(max_examples=200)
def test_any_bytes_are_a_result_or_refused(tmp_path_factory, content):
    path = Path(tmp_path_factory.getbasetemp(), "any")
    path.write_bytes(content)
    for read in (open_array, read_table, read_json):
        try:
            read(path)
        except UserError as error:
            refused(error)
