"""What models trained by gradient are trained on: batches, augmentation, optimizer, and what is monitored."""

import keras
import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import balanced_accuracy_score
from sklearn.utils.class_weight import compute_class_weight

from serflow.configuration import configure
from serflow.models.augmentation import augment, mix
from serflow.models.batches import dataset
from serflow.models.data import Features
from serflow.models.gradient import _optimizer, _uar, measure_activations
from serflow.models.gradient_settings import AUGMENTATION_RULES, BY_GRADIENT
from serflow.models.named import named_models
from serflow.runtime.errors import UserError
from serflow.storage import ArrayWriter, write_table

OFF = {name: rule["default"] for name, rule in BY_GRADIENT.items()}
CLASSES = ["ANG", "FEA", "HAP"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Features of 50 clips of 3 to 52 frames in random order, and their rows; the frames of a clip count up from it."""
    folder = tmp_path_factory.mktemp("clips")
    lengths = np.random.default_rng(0).permutation(np.arange(3, 53))
    with ArrayWriter(folder / "s.npy", (4,)) as out:
        for number, length in enumerate(lengths):
            out.write(np.tile(100 * number + np.arange(length)[:, None], (1, 4)))
    names = [f"c{number}" for number in range(len(lengths))]
    index = {"clip": names, "offset": np.cumsum(lengths) - lengths, "length": lengths}
    write_table(folder / "s.parquet", pa.table(index))
    features = Features([folder / "s.npy"], [folder / "s.parquet"], own_length=True)
    return features, features.rows(names, [CLASSES[number % 5 % 3] for number in range(50)], CLASSES), lengths


def all_of(batches):
    return [batches[number] for number in range(len(batches))]


def test_clips_of_their_own_length_are_padded_with_nan(clips):
    features, rows, lengths = clips
    assert features.shape == (4, None, 1) and list(features.lengths(rows.places)) == list(lengths)
    taken = features.take(rows.places[[3, 8]])
    assert taken.shape == (2, 4, max(lengths[3], lengths[8]), 1)
    for row, clip in enumerate((3, 8)):
        np.testing.assert_array_equal(taken[row, 2, : lengths[clip], 0], 100 * clip + np.arange(lengths[clip]))
        assert np.isnan(taken[row, :, lengths[clip] :]).all()


def test_an_index_that_does_not_fit_the_frames(tmp_path):
    with ArrayWriter(tmp_path / "s.npy", (4,)) as out:
        out.write(np.zeros((5, 4)))
    write_table(tmp_path / "s.parquet", pa.table({"clip": ["a"], "offset": [0], "length": [4]}))
    with pytest.raises(UserError, match="5 rows, but 4 names"):
        Features([tmp_path / "s.npy"], [tmp_path / "s.parquet"], own_length=True)


def test_batches_of_like_length_have_each_clip_once_and_differ_in_each_epoch(clips):
    features, rows, lengths = clips
    batches, orders = dataset(features, rows, 3, 8, shuffle_seed=1), []
    for _ in range(2):
        found = [batch[0][:, 0, 0, 0] / 100 for batch in all_of(batches)]
        assert sorted(np.concatenate(found)) == list(range(50)) and len(found) == 7
        spread = [np.ptp(lengths[batch.astype(int)]) for batch in found]
        assert max(spread) < 10 < np.ptp(lengths)
        orders.append(np.concatenate(found).tolist())
        batches.on_epoch_end()
    assert orders[0] != orders[1]
    assert [len(batch[0]) for batch in all_of(dataset(features, rows, 3, 64))] == [25, 25]  # of any length, but two
    frames = [batch[0].shape[2] % 2 for batch in all_of(dataset(features, rows, 3, 8))]
    assert frames == [0, 1, 0, 1, 0, 1, 0]  # never the same for all batches that Keras looks at


def test_what_is_drawn_depends_on_seed_clip_and_epoch_alone(clips):
    features, rows, _ = clips
    settings = OFF | {"mixup": 0.4, "stretch": 0.2, "mask_frames": 3, "gain": 5, "batch_size": 8}
    how = {"shuffle_seed": 3, "settings": settings}
    unbroken, resumed = dataset(features, rows, 3, 8, **how), dataset(features, rows, 3, 8, **how, epochs_done=2)
    first = all_of(unbroken)
    for _ in range(2):
        unbroken.on_epoch_end()
    for one, other in zip(all_of(unbroken), all_of(resumed), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    assert any(one[0].shape != other[0].shape for one, other in zip(first, all_of(resumed), strict=True))
    # Without mixup, whose partner is in the batch, the size of the batch does not matter.
    how["settings"] = settings | {"mixup": 0}
    small, large = (all_of(dataset(features, rows, 3, size, **how)) for size in (2, 25))
    levels = [np.concatenate([np.nanmean(batch[0], axis=(1, 2, 3)) for batch in found]) for found in (small, large)]
    np.testing.assert_allclose(*map(np.sort, levels), rtol=1e-5)


def test_targets(clips):
    features, rows, _ = clips
    labels = np.concatenate([targets for _, targets in all_of(dataset(features, rows, 3, 8, settings=OFF))])
    np.testing.assert_array_equal(labels, np.eye(3)[rows.labels])
    smoothed = all_of(dataset(features, rows, 3, 8, settings=OFF | {"label_smoothing": 0.3}))[0][1]
    np.testing.assert_allclose(smoothed, np.eye(3)[rows.labels[:8]] * 0.7 + 0.1, rtol=1e-6)
    batches = all_of(dataset(features, rows, 3, 8, settings=OFF | {"class_weight": "balanced"}))
    weights = np.concatenate([weights for _, _, weights in batches])
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=rows.labels)
    np.testing.assert_allclose(weights, wanted[rows.labels], rtol=1e-6)
    values, targets = all_of(dataset(features, rows, 3, 8, shuffle_seed=0, settings=OFF | {"mixup": 1}))[0]
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    assert ((targets > 0).sum(axis=1) == 2).any() and np.isfinite(values[:, 0, 0]).all()


def changed(values, **settings):
    own_length = settings.pop("own_length", True)
    return augment(values, OFF | settings, np.random.default_rng(0), own_length=own_length)


SPECTROGRAM = np.random.default_rng(1).normal(size=(20, 60)).astype(np.float32)


def test_augmentation_that_is_off_changes_nothing():
    np.testing.assert_array_equal(changed(SPECTROGRAM), SPECTROGRAM)
    assert set(AUGMENTATION_RULES) == {"mask_frames", "mask_bands", "shift_frames", "shift_bands", "gain", "stretch"}


def test_gain_is_one_number():
    difference = changed(SPECTROGRAM, gain=6) - SPECTROGRAM
    assert 0 < abs(difference[0, 0]) <= 6
    np.testing.assert_allclose(difference, difference[0, 0], rtol=1e-4)


@pytest.mark.parametrize(("setting", "axis"), [("mask_frames", 0), ("mask_bands", 1)])
def test_masks_have_at_most_their_width_and_the_mean(setting, axis):
    widths = set()
    for seed in range(50):
        masked = augment(SPECTROGRAM, OFF | {setting: 5}, np.random.default_rng(seed), own_length=True)
        whole = (masked == SPECTROGRAM.mean()).all(axis=axis)
        np.testing.assert_array_equal(np.delete(masked, whole, 1 - axis), np.delete(SPECTROGRAM, whole, 1 - axis))
        widths.add(int(whole.sum()))
    assert max(widths) <= 10 and len(widths) > 5


def test_stretch_changes_the_length_only_of_clips_that_may_have_any():
    ramp = np.tile(np.arange(100, dtype=np.float32), (3, 1))
    stretched = changed(ramp, stretch=0.2)
    assert stretched.shape[1] != 100 and abs(stretched.shape[1] - 100) <= 25
    np.testing.assert_allclose(np.diff(stretched[0])[:-1], 99 / stretched.shape[1], rtol=0.03)
    assert changed(ramp, stretch=0.2, own_length=False).shape == ramp.shape


def test_shifts_move_by_parts_of_a_frame_and_repeat_the_edge():
    ramp = np.tile(np.arange(100, dtype=np.float32), (50, 1))
    shift = changed(ramp, shift_frames=8)[0] - ramp[0]
    assert 0 < abs(shift[50]) <= 8 and shift[50] % 1
    np.testing.assert_allclose(shift[8:-8], shift[50], atol=1e-4)
    across = changed(ramp.T.copy(), shift_bands=8)
    assert across.shape == (100, 50) and 0 < abs(across[50, 0] - 50) <= 8


def test_mixed_clips():
    one, other = np.ones((2, 5), np.float32), np.array([[10, 20], [30, 40]], np.float32)
    np.testing.assert_allclose(
        mix(one, other, 0.75), [[3.25, 5.75, 3.25, 5.75, 3.25], [8.25, 10.75, 8.25, 10.75, 8.25]]
    )
    np.testing.assert_allclose(mix(one, 3 * one, 0.5), 2 * one)


def rate(settings, step, steps=10):
    schedule = _optimizer(OFF | {"learning_rate": 0.1, "epochs": 20} | settings, steps)._learning_rate
    return float(schedule(step) if callable(schedule) else schedule)


def test_the_schedule_of_the_step_size():
    assert rate({}, 0) == rate({}, 150) == pytest.approx(0.1)
    cosine = {"schedule": "cosine", "warmup": 2}
    assert [round(rate(cosine, step), 4) for step in (0, 10, 20, 110, 200)] == [0, 0.05, 0.1, 0.05, 0]
    assert [round(rate({"warmup": 2}, step), 4) for step in (0, 10, 20, 110, 200)] == [0, 0.05, 0.1, 0.1, 0.1]
    assert [round(rate({"schedule": "cosine"}, step), 4) for step in (0, 100, 200)] == [0.1, 0.05, 0]


def test_the_optimizer():
    plain = _optimizer(OFF, 1)
    assert type(plain) is keras.optimizers.Adam
    assert plain.get_config() | {"name": ""} == keras.optimizers.Adam(0.001).get_config() | {"name": ""}
    other = _optimizer(OFF | {"optimizer": "adamw", "weight_decay": 0.1, "clip_norm": 2, "ema": 0.9}, 1)
    assert type(other) is keras.optimizers.AdamW and (other.weight_decay, other.global_clipnorm) == (0.1, 2)
    assert other.use_ema and other.ema_momentum == 0.9
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    other.build(layer.trainable_variables)
    assert [other._use_weight_decay(variable) for variable in (layer.kernel, layer.bias)] == [True, False]


def test_batch_normalisation_after_averaged_weights():
    normalization = keras.layers.BatchNormalization(momentum=0.9)
    inner = keras.Sequential([keras.Input((3,)), normalization])
    inputs = keras.Input((3,))
    network = keras.Model(inputs, inner(inputs))
    normalization.moving_mean.assign([7, 7, 7])
    rng = np.random.default_rng(0)
    batches = [(rng.normal(number, 1 + number, (20, 3)).astype(np.float32), None) for number in range(5)]
    measure_activations(network, batches)
    assert normalization.moving_mean.numpy() == pytest.approx(
        np.mean([x.mean(axis=0) for x, _ in batches], axis=0), 1e-4
    )
    assert normalization.moving_variance.numpy() == pytest.approx(
        np.mean([x.var(axis=0) for x, _ in batches], axis=0), 1e-4
    )
    assert normalization.momentum == 0.9


def test_the_monitored_recall():
    rng, metric = np.random.default_rng(0), _uar(4)
    truth, scores = rng.choice(3, size=60), rng.uniform(size=(60, 4))  # one class has no clip
    for part in (slice(0, 20), slice(20, 60)):
        metric.update_state(np.eye(4)[truth[part]], scores[part])
    wanted = np.mean([(scores[truth == code].argmax(axis=1) == code).mean() for code in range(3)])
    assert float(metric.result()) == pytest.approx(wanted)
    hit = truth == scores.argmax(axis=1)
    assert wanted == pytest.approx(balanced_accuracy_score(truth, np.where(hit, truth, (truth + 1) % 3)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weight_decay": 0.1}, "models.cnn1d.weight_decay is 0.1, but the optimizer is adam, which has none"),
        ({"warmup": 101}, "models.cnn1d.warmup is 101 epochs, above the 100 of the whole training"),
    ],
)
def test_training_settings_that_contradict_each_other(project, settings, message):
    with pytest.raises(UserError, match=message):
        configure({"corpus": "mine", "models": {"cnn1d": settings}}, project)


def test_the_notebooks_networks_have_none_of_it():
    for name in ("cnn1d", "cnn2d"):
        settings = named_models({})[name].settings
        assert {key: settings[key] for key in OFF if key in settings and key != "epochs"} == {
            key: value for key, value in OFF.items() if key in settings and key != "epochs"
        }
    assert "mask_bands" in named_models({})["cnn2d"].settings and "mask_bands" not in named_models({})["cnn1d"].settings
