"""A table of one's own as features: what is read of it, and one line for each mistake in it."""

import numpy as np
import pandas as pd
import pytest

from serflow.configuration import configure
from serflow.features import KINDS, column_names, from_recordings
from serflow.features.extract import extract_features
from serflow.features.table import check_settings
from serflow.models.named import named_models
from serflow.models.standardize import mean_and_sd, open_features
from serflow.runtime.errors import UserError
from serflow.storage import read_table, table_of, write_table

CLIPS = ["1001_DFA_ANG_XX", "1001_DFA_HAP_XX", "1002_IEO_SAD_HI"]


def values(**changes):
    """A table of the user's, with a recording that the corpus does not have."""
    columns = {
        "clip": [CLIPS[2], CLIPS[0], "1099_DFA_ANG_XX", CLIPS[1]],
        "pitch_1": [210.5, 180.0, np.nan, 190.25],
        "pitch_2": [1, 2, 3, 4],
        "voiced": [True, False, True, True],
    }
    return pd.DataFrame(columns | changes)


@pytest.fixture
def extract(tmp_path):
    """Return a function that extracts the shard of the three clips, and a recording that cannot be used."""
    rows = [*((clip, 0, 9) for clip in CLIPS), ("1002_IEO_SAD_XX", 0, 0)]
    write_table(tmp_path / "index.parquet", table_of(rows, {"clip": "string", "offset": "int64", "length": "int64"}))

    def extracted(path):
        output = tmp_path / "table.parquet"
        extract_features("table", tmp_path / "index.parquet", settings={"path": str(path)}, output=output)
        return read_table(output)

    return extracted


WRITERS = {
    "mine.csv": lambda table, path: table.to_csv(path, index=False),
    "marked.csv": lambda table, path: table.to_csv(path, index=False, encoding="utf-8-sig"),
    "mine.parquet": lambda table, path: table.to_parquet(path, index=False),
    "counted.parquet": lambda table, path: table.iloc[::-1].to_parquet(path, index=True),
    "indexed.parquet": lambda table, path: table.set_index("clip").to_parquet(path),
    "MINE.PARQUET": lambda table, path: table.convert_dtypes().to_parquet(path, index=False),
}


@pytest.mark.parametrize("name", WRITERS)
def test_rows_are_found_by_the_name_of_the_clip(extract, tmp_path, name):
    WRITERS[name](values(), tmp_path / name)
    table = extract(tmp_path / name)
    expected = {"clip": CLIPS, "pitch_1": [180, 190.25, 210.5], "pitch_2": [2, 4, 1], "voiced": [0, 1, 1]}
    assert table.to_pydict() == expected
    assert {str(table[name].type) for name in table.column_names[1:]} == {"float"}


def test_each_column_has_a_mean_of_its_own(extract, tmp_path):
    """Not like ``{feature}_{frame}``, though names may look so."""
    values().to_csv(tmp_path / "mine.csv", index=False)
    extract(tmp_path / "mine.csv")
    settings = {"features": "table", "standardize": "training"}
    features = open_features("svm_functionals", [tmp_path / "table.parquet"], [], settings)
    mean = mean_and_sd(features, features.places(CLIPS)).mean
    np.testing.assert_allclose(mean, [193.583, 7 / 3, 2 / 3], rtol=1e-4)
    assert column_names("table", {"path": str(tmp_path / "mine.csv")}) is None


TEXTS = {
    "none.csv": (None, "none.csv: no such file; check the path"),
    "empty.csv": ("", "empty.csv has no column clip; it has: none"),
    "other.csv": ("file,x\na,1\n", "other.csv has no column clip; it has: file, x"),
    "bare.csv": ("clip\n1001_DFA_ANG_XX\n", "bare.csv has no column but clip; add the features"),
    "twice.csv": ("clip,x,x\na,1,2\n", "twice.csv has two columns x; remove one of them"),
    "counted.csv": (",clip,x\n0,a,1\n", "column 1 has no name; name it, or remove it if it counts rows"),
    "ragged.csv": ("clip,x\na,1\nb,1,2\n", "ragged.csv: not a readable table (Error tokenizing data"),
    "latin.csv": (b"clip,x\n\xff,1\n", "latin.csv: not a readable table ('utf-8' codec can't decode"),
    "text.parquet": ("clip,x\na,1\n", "text.parquet: not a readable table (Parquet magic bytes not found"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_that_is_no_table(extract, tmp_path, name):
    text, message = TEXTS[name]
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as error:
        extract(tmp_path / name)
    assert str(error.value).startswith("table.path: ") and message in str(error.value)
    assert not (tmp_path / "table.parquet").exists()


CHANGES = {
    "missing": ({"clip": ["a", "b", "c", CLIPS[1]]}, f"has no row of {CLIPS[0]} and 1 more; add them"),
    "twice": ({"clip": [*CLIPS, CLIPS[1]]}, f"has two rows of {CLIPS[1]}; remove one of them"),
    "text": ({"pitch_2": ["a", "1", "2", "3"]}, "the column pitch_2 holds text; remove it, or make it numbers"),
    "texts": ({"pitch_2": list("abcd"), "z": list("abcd")}, "the column pitch_2 (and 1 more) holds text"),
    "nan": ({"pitch_1": [1, 2, 3, np.nan]}, f"pitch_1 of {CLIPS[1]} is empty, NaN or infinite; give it a number"),
    "inf": ({"pitch_1": [1, -np.inf, 3, 4]}, f"pitch_1 of {CLIPS[0]} is empty, NaN or infinite"),
    "huge": ({"pitch_1": [1, 2, 3, 1e300]}, f"pitch_1 of {CLIPS[1]} is empty, NaN or infinite"),
}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_mistake_in_the_table(extract, tmp_path, change, suffix):
    changes, message = CHANGES[change]
    path = tmp_path / f"mine.{suffix}"
    WRITERS[path.name](values(**changes), path)
    with pytest.raises(UserError) as error:
        extract(path)
    assert str(error.value).startswith(f"table.path: {path}") and message in str(error.value)
    assert not (tmp_path / "table.parquet").exists()


MODEL = {"svm_table": {"architecture": "svm_functionals", "features": "table"}}
RUNS = [{"protocol": "speaker-independent", "models": ["svm_table"], "seeds": [0]}]


def test_a_model_needs_the_file(project, tmp_path):
    with pytest.raises(UserError, match=r"config: table\.path is null; name the table with your features"):
        configure({"models": MODEL, "runs": RUNS}, project)
    missing = str(tmp_path / "none.csv")
    with pytest.raises(UserError, match=r"table\.path: .*none\.csv: no such file"):
        configure({"models": MODEL, "runs": RUNS, "table": {"path": missing}}, project)
    configure({"table": {"path": missing}}, project)  # no model reads it
    with pytest.raises(UserError, match=r"table\.path is 'mine\.xlsx', but must be null, or the path of a \.parquet"):
        configure({"table": {"path": "mine.xlsx"}}, project)
    values().to_csv(tmp_path / "mine.csv", index=False)
    check_settings({"table": {"path": str(tmp_path / "mine.csv")}})


def test_copies_have_no_features_that_are_looked_up(project, tmp_path):
    assert not from_recordings("table") and all(from_recordings(kind) for kind in KINDS if kind != "table")
    assert named_models(MODEL)["svm_table"].copies == []
    values().to_csv(tmp_path / "mine.csv", index=False)
    settings = {"runs": RUNS, "table": {"path": str(tmp_path / "mine.csv")}}
    configure({"models": {"svm_table": {**MODEL["svm_table"], "copies": []}}, **settings}, project)
    with pytest.raises(UserError, match=r"models\.svm_table\.copies.*copies are in no table"):
        configure({"models": {"svm_table": {**MODEL["svm_table"], "copies": ["speed"]}}, **settings}, project)
