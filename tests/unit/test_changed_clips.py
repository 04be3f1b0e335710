"""Which run is tested, which clips are changed, and how a model is adapted to changed clips."""

import numpy as np
import pyarrow as pa

from made_up_runs import write_catalog, write_run
from serflow.corpus.ids import speaker_of
from serflow.evaluation.change_clips import FoldClips
from serflow.evaluation.headline import choose_headline
from serflow.evaluation.label_changed import answers, groups_of
from serflow.evaluation.robustness import Scene
from serflow.inference.classifier import Classifier
from serflow.models.moments import moments_of
from serflow.storage import ArrayWriter, read_json, write_table

PROTOCOL = "speaker-independent"


def test_the_headline_run_is_that_of_the_report(tmp_path):
    write_catalog(tmp_path)
    models = {"a": 1, "b": 4, "c": 2}
    paths = [write_run(tmp_path, PROTOCOL, model, fold, skill) for model, skill in models.items() for fold in range(3)]
    paths.append(write_run(tmp_path, "notebook", "b", 0, 40, [("1001_x_ANG_XX", "1001_x_ANG_XX", "train", "ANG")]))
    choose_headline(paths, [path.parent / "predictions.parquet" for path in paths], output=tmp_path / "headline.json")
    assert read_json(tmp_path / "headline.json") == {"protocol": PROTOCOL, "model": "b", "seed": 0}


def test_clips_of_a_fold_and_their_batches(tmp_path):
    """Test recordings of the fold alone, without copies, in batches of one speaker; voices are of the others."""
    clips = [f"{speaker}_{number}" for speaker in ("s", "t", "u") for number in range(3)]
    rows = [
        {"clip": clip, "origin": clip, "fold": fold, "part": part, "label": "x"}
        for fold, of_s_and_t, of_u in ((0, "valid", "test"), (1, "test", "train"))
        for clip in clips
        for part in [of_u if clip[0] == "u" else of_s_and_t]
    ]
    rows.append({"clip": "s_0.speed", "origin": "s_0", "fold": 1, "part": "test", "label": "x"})
    write_table(tmp_path / "split.parquet", pa.Table.from_pylist(rows))
    samples = {clip: np.full(10 + place, place, np.float32) for place, clip in enumerate(clips)}
    offset, index = 0, []
    with ArrayWriter(tmp_path / "s00.npy") as out:
        for clip in reversed(clips):
            out.write(samples[clip])
            index.append({"clip": clip, "offset": offset, "length": len(samples[clip])})
            offset += len(samples[clip])
    write_table(tmp_path / "s00.parquet", pa.Table.from_pylist(index))
    fold = FoldClips(tmp_path / "split.parquet", 1, [tmp_path / "s00.npy"], [tmp_path / "s00.parquet"])
    assert list(fold.labels) == clips[:6]
    assert list(fold.batches(2)) == [
        ["s_0", "s_1"],
        ["s_2"],
        ["t_0", "t_1"],
        ["t_2"],
    ]
    for clip in fold.labels:
        np.testing.assert_array_equal(fold.read(clip), samples[clip])
    scene = fold.around("s_1", Scene(16_000, {}, 2))
    (voice,) = scene.others(np.random.default_rng(0), 5)
    assert voice[0] in (3, 4, 5)  # a clip of the only other speaker


def test_an_adapted_model_is_adapted_by_the_changed_clips_of_the_speaker(tmp_path):
    rng = np.random.default_rng(0)
    clips = pa.table({"clip": ["s_0", "s_1", "s_2", "t_0", "t_1"], "batch": [0, 0, 1, 2, 2]})
    values = rng.normal(3, 2, size=(5, 4, 1)).astype(np.float32)
    paths = []
    for number, rows in enumerate(([0, 1], [2], [3, 4])):
        paths.append(tmp_path / f"{number}.npy")
        with ArrayWriter(paths[-1], (4, 1)) as out:
            out.write(values[rows])

    class Echo:
        def probabilities(self, features):
            return features[..., 0]

    classifier = Classifier(Echo(), "embedding", {}, 1)
    groups = groups_of(clips, speaker_of)
    assert groups == ["s", "s", "t"]
    found = np.concatenate(list(answers(classifier, paths, groups, None)))
    for rows in ([0, 1, 2], [3, 4]):
        expected = (values[rows, :, 0] - values[rows, :, 0].mean(axis=0)) / values[rows, :, 0].std(axis=0)
        np.testing.assert_allclose(found[rows], expected, rtol=1e-4, atol=1e-5)
        moments = moments_of([values[rows]])
        np.testing.assert_allclose(found[rows], moments.standardize(values[rows])[..., 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(np.concatenate(list(answers(classifier, paths, None, None))), values[..., 0])
