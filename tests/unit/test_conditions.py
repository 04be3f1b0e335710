"""Each robustness condition does what it says, measured on what it returns, and depends on nothing but its key."""

import numpy as np
import pytest
import soundfile as sf
import yaml
from scipy import signal

from serflow.corpus.copies import generator_of
from serflow.evaluation.robustness import CONDITIONS, Scene, default_settings, variants_of
from serflow.evaluation.robustness.codec import encoded
from serflow.evaluation.robustness.mp3 import how as as_mp3
from serflow.evaluation.robustness.opus import how as as_opus
from serflow.evaluation.robustness.pink_noise import pink
from serflow.evaluation.robustness.room import impulse_response
from serflow.runtime.errors import UserError
from voice import voice

RATE = 16_000
SETTINGS = default_settings()
OTHERS = [voice(0.7, rate) for rate in (12_000, 14_000, 19_000)]  # read at 16,000 Hz, of other voices
BY_DEFAULT = [
    (name, variant.level)
    for name in CONDITIONS
    if name != "recorded_noise"
    for variant in variants_of(name, SETTINGS[name])
]


@pytest.fixture(scope="module")
def clip():
    rng = np.random.default_rng(0)
    return (voice(2.5) + 0.01 * rng.standard_normal(40_000)).astype(np.float32)


def change(name, samples, level=None, key="clip", **settings):
    scene = Scene(RATE, SETTINGS[name] | settings, 4, lambda rng, count: OTHERS[:count])
    return CONDITIONS[name].load().change(samples, level, generator_of(0, key, f"robustness {name}"), scene)


def decibels(power, other):
    return 10 * np.log10(power / other)


def spectrum(samples):
    return signal.welch(samples, RATE, nperseg=2048)


@pytest.mark.parametrize(("name", "level"), BY_DEFAULT)
def test_a_change_depends_on_its_key_alone(clip, name, level):
    before = clip.copy()
    changed = np.asarray(change(name, clip, level))
    np.testing.assert_array_equal(clip, before)
    assert np.isfinite(changed).all() and changed.ndim == 1 and not np.array_equal(changed, clip)
    change(name, clip[:9000], level, key="another")
    np.testing.assert_array_equal(change(name, clip, level), changed)
    drawn = ("cut", "pad", "faint_noise", "white_noise", "pink_noise", "babble", "room")
    assert np.array_equal(change(name, clip, level, key="another"), changed) is (name not in drawn)
    if name not in ("cut", "pad"):
        assert changed.shape == clip.shape


@pytest.mark.parametrize("level", [-2, 2, 6.5])
def test_gain(clip, level):
    assert decibels(np.square(change("gain", clip, level)).mean(), np.square(clip).mean()) == pytest.approx(
        level, abs=1e-3
    )


def test_cut_and_pad(clip):
    cuts, pads, ends = [], [], {"cut": set(), "pad": set()}
    for key in range(60):
        cut, padded = change("cut", clip, key=key), change("pad", clip, key=key)
        cuts.append(len(clip) - len(cut))
        pads.append(len(padded) - len(clip))
        at_start = np.array_equal(cut, clip[cuts[-1] :])
        assert at_start or np.array_equal(cut, clip[: -cuts[-1]])
        ends["cut"].add(at_start)
        at_start = np.array_equal(padded[pads[-1] :], clip) and not padded[: pads[-1]].any()
        assert at_start or (np.array_equal(padded[: -pads[-1]], clip) and not padded[-pads[-1] :].any())
        ends["pad"].add(at_start)
    for counts in (cuts, pads):
        assert min(counts) >= 100 and max(counts) <= 1000 and min(counts) < 300 and max(counts) > 800
    assert ends == {"cut": {True, False}, "pad": {True, False}}
    assert len(change("cut", clip[:150])) >= 75


@pytest.mark.parametrize(
    ("name", "level", "kept", "removed"),
    [
        ("high_pass", 100, (200, 7900), (5, 40)),
        ("low_pass", 5000, (0, 4000), (7500, 8000)),
        ("telephone", None, (500, 3000), (4000, 8000)),
        ("telephone", None, (500, 3000), (0, 100)),
    ],
)
def test_bands(name, level, kept, removed):
    noise = 0.1 * np.random.default_rng(1).standard_normal(20 * RATE).astype(np.float32)
    frequencies, before = spectrum(noise)
    _, after = spectrum(change(name, noise, level))
    gain = decibels(after, before)
    inside = (frequencies >= kept[0]) & (frequencies <= kept[1])
    outside = (frequencies >= removed[0]) & (frequencies <= removed[1])
    assert np.abs(gain[inside]).max() < 1.5 and gain[outside].max() < -20
    # At the cutoff a Butterworth filter has half of the power.
    if level:
        assert gain[np.abs(frequencies - level).argmin()] == pytest.approx(-3, abs=1.2)


@pytest.mark.parametrize("name", ["faint_noise", "white_noise", "pink_noise", "babble"])
@pytest.mark.parametrize("snr", [40, 20, 10, 0, -5.5])
def test_signal_to_noise_ratio(clip, name, snr):
    noise = change(name, clip, snr).astype(np.float64) - clip
    assert decibels(np.square(clip, dtype=np.float64).mean(), np.square(noise).mean()) == pytest.approx(snr, abs=0.1)


def test_colours_of_noise(clip):
    silent = np.zeros(1000, np.float32)
    assert not change("white_noise", silent, 20).any()
    frequencies, power = spectrum(pink(60 * RATE, np.random.default_rng(0)))
    heard = (frequencies > 50) & (frequencies < 7000)
    slope = np.polyfit(np.log2(frequencies[heard]), 10 * np.log10(power[heard]), 1)[0]
    assert slope == pytest.approx(-3.01, abs=0.1)  # dB per octave
    noise = change("white_noise", np.ones(60 * RATE, np.float32), 0) - 1
    frequencies, power = spectrum(noise)
    heard = (frequencies > 50) & (frequencies < 7000)
    assert np.polyfit(np.log2(frequencies[heard]), 10 * np.log10(power[heard]), 1)[0] == pytest.approx(0, abs=0.1)


def test_babble_is_of_the_other_speakers(clip):
    others = {"voices": 2}
    noise = change("babble", clip, 0, **others) - clip
    frequencies, power = spectrum(noise)
    assert frequencies[power.argmax()] < 1500
    alone = Scene(RATE, SETTINGS["babble"], 1)
    assert "no other test speaker" in CONDITIONS["babble"].load().impossible(alone)
    assert CONDITIONS["babble"].load().impossible(alone._replace(speakers=2)) is None


def test_recorded_noise(clip, tmp_path):
    plugin = CONDITIONS["recorded_noise"].load()
    with pytest.raises(UserError, match=r"recorded_noise\.folder is None; name a folder"):
        plugin.check_settings(SETTINGS["recorded_noise"])
    tone = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    sf.write(tmp_path / "tone.wav", tone, RATE)
    plugin.check_settings({"folder": str(tmp_path)})
    noise = change("recorded_noise", clip, 10, folder=str(tmp_path)).astype(np.float64) - clip
    frequencies, power = spectrum(noise)
    assert frequencies[power.argmax()] == pytest.approx(1000, abs=8)
    assert decibels(np.square(clip, dtype=np.float64).mean(), np.square(noise).mean()) == pytest.approx(10, abs=0.1)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="holds no recordings"):
        change("recorded_noise", clip, 10, folder=str(empty))


@pytest.mark.parametrize(("name", "percent"), [("light_clipping", 0.2), ("clipping", 20), ("clipping", 50)])
def test_share_of_clipped_samples(clip, name, percent):
    changed = change(name, clip, percent)
    limit = np.abs(changed).max()
    assert (np.abs(changed) == limit).mean() == pytest.approx(percent / 100, abs=1e-4)
    inside = np.abs(clip) < limit
    np.testing.assert_array_equal(changed[inside], clip[inside])
    assert not change(name, np.zeros(100, np.float32), percent).any()


@pytest.mark.parametrize("slope", [-3, 3])
def test_tilt(slope):
    noise = 0.1 * np.random.default_rng(1).standard_normal(20 * RATE).astype(np.float32)
    changed = change("tilt", noise, slope)
    frequencies, after = spectrum(changed)
    _, before = spectrum(noise)
    heard = (frequencies > 100) & (frequencies < 7800)
    found = np.polyfit(np.log2(frequencies[heard]), decibels(after, before)[heard], 1)[0]
    assert found == pytest.approx(slope, abs=0.05)
    assert np.square(changed).mean() == pytest.approx(np.square(noise).mean(), rel=1e-4)


@pytest.mark.parametrize("rt60", [0.3, 0.8])
@pytest.mark.parametrize("direct", [-6, 0, 6])
def test_reverberation_time_by_schroeders_integration(rt60, direct):
    """Schroeder, "New method of measuring reverberation time", J. Acoust. Soc. Am. 37, 1965: T30, of -5 to -35 dB."""
    response = impulse_response(rt60, direct, RATE, np.random.default_rng(3))
    assert response[0] == 1 and decibels(1, np.square(response[1:]).sum()) == pytest.approx(direct, abs=1e-6)
    echoes = np.square(response[1:])
    decay = 10 * np.log10(np.cumsum(echoes[::-1])[::-1] / echoes.sum())
    fitted = (decay < -5) & (decay > -35)
    slope = np.polyfit(np.flatnonzero(fitted) / RATE, decay[fitted], 1)[0]
    assert -60 / slope == pytest.approx(rt60, rel=0.06)


def test_a_room_keeps_level_and_place(clip):
    impulse = np.zeros(RATE, np.float32)
    impulse[4000] = 0.5
    changed = change("room", impulse, 0.3)
    assert np.abs(changed).argmax() == 4000 and not np.abs(changed[:4000]).max() > 1e-6
    assert np.square(change("room", clip, 0.8)).mean() == pytest.approx(np.square(clip).mean(), rel=1e-4)


@pytest.mark.parametrize(("name", "level"), [("mp3", 32), ("mp3", 64), ("opus", 24), ("telephone", None)])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_codecs_keep_the_place(name, level, rate):
    """The delay of a codec is taken away: what is decoded fits best where it was. A filter delays by 2 ms."""
    rng = np.random.default_rng(0)
    samples = (voice(1.0) * np.hanning(16_000) + 0.003 * rng.standard_normal(16_000)).astype(np.float32)
    if rate != RATE:
        samples = signal.resample(samples, rate).astype(np.float32)
    scene = Scene(rate, SETTINGS[name], 2)
    changed = CONDITIONS[name].load().change(samples, level, None, scene)
    shift = signal.correlate(changed, samples, "full").argmax() - (len(samples) - 1)
    assert changed.shape == samples.shape and abs(shift) / rate <= (0.003 if name == "telephone" else 0.001)
    # Of the voice, whose pitch is 120 Hz, a telephone leaves the harmonics from 300 Hz.
    assert np.corrcoef(changed, np.roll(samples, shift))[0, 1] > (0.3 if name == "telephone" else 0.7)


def test_bit_rates():
    """MP3 has the wanted bit rate exactly; Opus chooses its own around it."""
    samples = np.concatenate([voice(1.0, rate) for rate in range(10_000, 24_000, 2000)])
    seconds = len(samples) / RATE
    for kbit in (16, 32, 64):
        size = len(encoded(samples, **as_mp3(kbit)).getvalue())
        assert 8 * size / seconds / 1000 == pytest.approx(kbit, rel=0.03)
    sizes = [8 * len(encoded(samples, **as_opus(kbit)).getvalue()) / seconds / 1000 for kbit in (12, 24, 64)]
    assert sizes == sorted(sizes) and 8 < sizes[0] < 18


def test_a_low_rate_has_no_high_frequencies():
    plugin = CONDITIONS["low_pass"].load()
    assert plugin.impossible(Scene(16_000, SETTINGS["low_pass"], 2)) is None
    assert plugin.impossible(Scene(8000, SETTINGS["low_pass"], 2)) == "at 8000 Hz there is nothing above 7000 Hz"


def test_the_settings_are_those_of_the_files(project):
    shown = yaml.safe_load((project / "config.yaml").read_text())["robustness"]
    assert {name: shown[name] for name in CONDITIONS} == SETTINGS
    assert set(shown) == {"runs", "seed", "conditions", *CONDITIONS}
    assert set(shown["conditions"]) == set(CONDITIONS) - {"recorded_noise"}
    assert {CONDITIONS[name].kind for name in CONDITIONS} == {"small", "noise", "channel", "room"}
    names = [variant.name for name in shown["conditions"] for variant in variants_of(name, shown[name])]
    assert len(names) == len(set(names)) == 25 and {"gain_-2", "white_noise_20", "room_0.3", "telephone"} <= set(names)
