"""Occlusion finds the part of a clip that a label was made of."""

from types import SimpleNamespace

import numpy as np
import pytest

from serflow.inference.occlusion import mel_borders, occlude, quietest, replace_bands, replace_parts

RATE = 16_000


NOISE = np.random.default_rng(3).normal(0, 0.1, 2 * RATE).astype(np.float32)
NOISE[-RATE // 5 :] *= 0.001  # a pause


def energy(clip, first, last, low, high):
    part = clip[int(first * RATE) : int(last * RATE)]
    frequencies = np.fft.rfftfreq(len(part), 1 / RATE)
    return (np.abs(np.fft.rfft(part)) ** 2)[(frequencies >= low) & (frequencies < high)].sum()


def listens_to(*where):
    """Return a model that gives its first class 0.9 for NOISE, and 0.5 without energy in one stretch and band."""

    def probabilities(clips):
        shares = np.array([0.5 + 0.4 * energy(clip, *where) / energy(NOISE, *where) for clip in clips])
        return np.stack([shares, 1 - shares], axis=1).astype(np.float32)

    return SimpleNamespace(probabilities=probabilities, preprocessing={"sampling_rate": RATE})


@pytest.mark.parametrize(("first", "last", "low", "high"), [(0.3, 0.45, 300, 800), (1.5, 1.8, 4000, 7000)])
def test_what_a_model_listens_to_is_found(first, last, low, high):
    found = occlude(listens_to(first, last, low, high), NOISE)
    inside = (found.edges[1:] > first + 1e-9) & (found.edges[:-1] < last - 1e-9)
    assert found.parts[~inside] == pytest.approx(0, abs=1e-3)
    assert found.parts[inside].sum() == pytest.approx(0.4, abs=0.05)
    of_band = (found.bands[1:] > low) & (found.bands[:-1] < high)
    assert found.levels[of_band].sum() == pytest.approx(0.4, abs=0.05)
    assert np.abs(found.levels[~of_band]).max() < 0.02
    lower, upper, fall = found.strongest_band
    assert lower < high and upper > low and fall == found.levels.max()


def test_parts_cover_the_recording_and_not_the_zeros_behind_it():
    padded = np.concatenate([NOISE[:RATE], np.zeros(RATE, np.float32)])
    found = occlude(listens_to(0.1, 0.3, 100, 7000), padded, RATE)
    assert found.edges[0] == 0
    assert found.edges[-1] == pytest.approx(1)
    assert len(found.parts) == 7


def test_bands_add_up_to_the_clip_and_are_equally_wide_on_the_mel_scale():
    bands = mel_borders(8, 8000)
    taken = [NOISE - copy for copy in replace_bands(NOISE, np.zeros_like(NOISE), bands, RATE)]
    assert np.sum(taken, axis=0) == pytest.approx(NOISE, abs=1e-5)
    assert np.diff(2595 * np.log10(1 + bands / 700)) == pytest.approx(np.full(8, 2840.0 / 8), rel=1e-3)
    for band, part in enumerate(taken):
        power, frequencies = np.abs(np.fft.rfft(part)) ** 2, np.fft.rfftfreq(len(part), 1 / RATE)
        within = (frequencies >= bands[band] - 1) & (frequencies <= bands[band + 1] + 1)
        assert power[within].sum() / power.sum() > 0.999


def test_the_background_takes_the_place_of_a_part_without_a_click():
    ones = np.ones(RATE, np.float32)
    (copy,) = replace_parts(ones, -ones, np.array([4000, 6000]), RATE)
    assert np.abs(np.diff(copy)).max() < 0.03
    assert (copy[4100:5900] == -1).all()
    assert (copy[:4000] == 1).all() and (copy[6000:] == 1).all()


def test_the_background_is_the_quietest_part():
    background = quietest(NOISE, np.arange(0, 2 * RATE + 1, 1600))
    assert len(background) == len(NOISE)
    assert np.abs(background).max() < 0.001
    assert any((background[:1600] == part).all() for part in (NOISE[-3200:-1600], NOISE[-1600:]))
