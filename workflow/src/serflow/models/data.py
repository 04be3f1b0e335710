"""Features and labels of a run's rows, aligned by clip name and never by position."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from serflow.runtime.errors import UserError
from serflow.storage import open_array, read_table


class Rows(NamedTuple):
    """One part of a split: names, labels (codes in the order of the classes), and where the features are."""

    clips: list[str]
    labels: np.ndarray
    places: np.ndarray


class Features:
    """Feature arrays of all shards, opened and not read, with the row of each clip.

    Parameters
    ----------
    arrays
        Shards of either kind: ``.npy`` arrays with an index table beside them, which are memory-mapped,
        or Parquet tables of named columns.

    Attributes
    ----------
    shape
        Of one clip's features, with a last axis of 1 for the channel.
    columns
        Their names, where they are named columns.
    """

    def __init__(self, arrays: Sequence[Path]):
        self.arrays, self._row_of, self.columns = [], {}, None
        for shard, path in enumerate(arrays):
            path = Path(path)
            if path.suffix == ".npy":
                array, clips = open_array(path), read_table(path.with_suffix(".parquet"), ["clip"])["clip"]
            else:
                table = read_table(path)
                clips = table["clip"]
                self.columns = table.column_names[1:]
                array = np.column_stack([table[name].to_numpy() for name in self.columns]).astype(
                    np.float32, copy=False
                )
            if len(clips) != len(array):
                raise UserError(f"{path}: {len(array)} rows, but {len(clips)} names; delete it to have it made again")
            self.arrays.append(array)
            self._row_of.update((clip, (shard, row)) for row, clip in enumerate(clips.to_pylist()))
        shapes = {array.shape[1:] for array in self.arrays if len(array)}
        if len(shapes) != 1:
            raise UserError(f"feature shards differ in shape: {sorted(shapes)}; delete them to have them made again")
        self.shape = (*shapes.pop(), 1)

    def rows(self, clips: Sequence[str], labels: Sequence[str], classes: Sequence[str]) -> Rows:
        """Find clips' features by name.

        Raises
        ------
        UserError
            If a clip has no features.
        """
        missing = [clip for clip in clips if clip not in self._row_of]
        if missing:
            raise UserError(f"{len(missing)} clips of the split have no features, the first is {missing[0]}")
        code = {label: index for index, label in enumerate(classes)}
        places = np.array([self._row_of[clip] for clip in clips], dtype=np.int64).reshape(-1, 2)
        return Rows(list(clips), np.array([code[label] for label in labels]), places)

    def take(self, places: np.ndarray) -> np.ndarray:
        """Read features: places of shape (n, 2) give float32 of shape (n, *shape)."""
        taken = np.empty((len(places), *self.shape[:-1]), dtype=np.float32)
        for shard in np.unique(places[:, 0]):
            where = places[:, 0] == shard
            taken[where] = self.arrays[shard][places[where, 1]]
        return taken[..., None]


def read_split(split: Path, fold: int) -> tuple[list[str], dict[str, tuple[list[str], list[str]]]]:
    """Read one fold of a split table.

    Returns
    -------
    classes : list of str
        In alphabetical order.
    parts : dict
        Part to its clips and labels.

    Raises
    ------
    UserError
        If a part is empty.
    """
    columns = read_table(split, ["clip", "fold", "part", "label"]).to_pydict()
    classes = sorted(set(columns["label"]))
    parts: dict[str, tuple[list[str], list[str]]] = {part: ([], []) for part in ("train", "valid", "test")}
    for clip, of_fold, part, label in zip(*columns.values(), strict=True):
        if of_fold == fold:
            parts[part][0].append(clip)
            parts[part][1].append(label)
    for part, (clips, _) in parts.items():
        if not clips:
            raise UserError(f"{split}: fold {fold} has no clips to {part} on")
    return classes, parts
