"""What is drawn of a corpus."""

import numpy as np
import pyarrow as pa
import pytest

from serflow.errors import UserError
from serflow.report.figures import draw_spectrograms
from serflow.store import ArrayWriter, write_table


def test_no_more_than_there_is(tmp_path):
    with ArrayWriter(tmp_path / "s00.npy", (4, 3)) as out:
        out.write(np.zeros((2, 4, 3), np.float32))
    write_table(tmp_path / "s00.parquet", pa.table({"clip": ["1001_DFA_ANG_XX", "1001_DFA_SAD_XX"]}))
    known = {
        "clip": ["1001_DFA_ANG_XX", "1001_DFA_SAD_XX"],
        "emotion": ["ANG", "SAD"],
        "problem": pa.nulls(2, "string"),
    }
    write_table(tmp_path / "scan.parquet", pa.table(known))
    files = ([tmp_path / "s00.npy"], [tmp_path / "scan.parquet"])
    how = {"seed": 0, "sampling_rate": 16000, "hop_length": 512, "index": tmp_path / "drawn.json"}
    draw_spectrograms(*files, count=2, **how)
    assert (tmp_path / "mel01.png").stat().st_size > 1000
    with pytest.raises(UserError, match=r"report\.spectrograms is 3, but there are 2 clips to draw from"):
        draw_spectrograms(*files, count=3, **how)
