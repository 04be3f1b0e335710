"""Features and labels of a run's rows, matched by clip name and never by position."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from serflow.corpus.copies import KINDS
from serflow.corpus.ids import copy_kind
from serflow.features.padding import padded
from serflow.runtime.errors import UserError
from serflow.splits import PARTS
from serflow.storage import open_array, read_table


class Rows(NamedTuple):
    """Class codes of clips, in the order of the classes, where their features are (shard and row), and their names."""

    labels: np.ndarray
    places: np.ndarray
    clips: np.ndarray


class Features:
    """Feature arrays of all shards, and the row of each clip.

    Parameters
    ----------
    features
        Shards: ``.npy`` arrays, which are memory-mapped, or Parquet tables of named columns.
    indices
        The index table of each ``.npy`` shard, in the same order; empty for Parquet.
    flat
        Whether the features of a clip are one vector, whatever their shape in the file.
    own_length
        Whether clips have lengths of their own: their frames are end to end, and the index has ``offset`` and
        ``length``.

    Attributes
    ----------
    shape
        Shape of the features of one clip, with a last axis of 1 for the channel. A length that is not the same for all
        clips is None.
    columns
        Names of the columns of Parquet shards, else None, and of vectors.

    Raises
    ------
    UserError
        If the shards differ in shape, or an index does not fit its shard.
    """

    def __init__(
        self, features: Sequence[Path], indices: Sequence[Path] = (), *, flat: bool = False, own_length: bool = False
    ):
        self.arrays, self._row_of, self.columns = [], {}, None
        self.own_length, self._spans = own_length, []
        for shard, (path, index) in enumerate(zip(features, indices or features, strict=True)):
            table = read_table(index, ["clip", "offset", "length"] if own_length else ["clip"] if indices else None)
            if indices:
                array = open_array(path)
            else:
                self.columns = None if flat else table.column_names[1:]
                array = np.column_stack(table.columns[1:]).astype(np.float32, copy=False)
            if flat:
                array = array.reshape(len(array), math.prod(array.shape[1:]))
            if own_length:
                self._spans.append(np.column_stack([table["offset"], table["length"]]))
            named = self._spans[-1][:, 1].sum() if own_length else len(table)
            if named != len(array):
                raise UserError(f"{path}: {len(array)} rows, but {named} names; delete it to have it made again")
            self.arrays.append(array)
            self._row_of.update((clip, (shard, row)) for row, clip in enumerate(table["clip"].to_pylist()))
        shapes = {array.shape[1:] for array in self.arrays if len(array)}
        if len(shapes) != 1:
            raise UserError(f"feature shards differ in shape: {sorted(shapes)}; delete them to have them made again")
        self.shape = (*shapes.pop(), None, 1) if own_length else (*shapes.pop(), 1)

    @property
    def clips(self) -> list[str]:
        """Names of all clips and copies."""
        return list(self._row_of)

    def rows(self, clips: Sequence[str], labels: Sequence[str], classes: Sequence[str]) -> Rows:
        """Return class codes and places of clips; errors are those of :meth:`places`."""
        return Rows(np.searchsorted(classes, labels), self.places(clips), np.array(clips))

    def places(self, clips: Sequence[str]) -> np.ndarray:
        """Return shard and row of clips, shape (n, 2); raise ``UserError`` if a clip has no features."""
        missing = [clip for clip in clips if clip not in self._row_of]
        if missing:
            raise UserError(f"{len(missing)} clips of the split have no features, the first is {missing[0]}")
        return np.array([self._row_of[clip] for clip in clips])

    def lengths(self, places: np.ndarray) -> np.ndarray | None:
        """Return the numbers of frames of clips, shape (n,), if they have lengths of their own."""
        return np.array([self._spans[shard][row][1] for shard, row in places]) if self.own_length else None

    def take(self, places: np.ndarray) -> np.ndarray:
        """Read features: places of shape (n, 2) give float32 of shape (n, *shape).

        Clips with lengths of their own are padded with NaN up to the longest of them.
        """
        if self.own_length:
            spans = [self._spans[shard][row] for shard, row in places]
            pieces = zip(places[:, 0], spans, strict=True)
            clips = [self.arrays[shard][offset : offset + length].T for shard, (offset, length) in pieces]
            return padded(clips)[..., None]
        taken = np.empty((len(places), *self.shape[:-1]), dtype=np.float32)
        for shard in np.unique(places[:, 0]):
            where = places[:, 0] == shard
            taken[where] = self.arrays[shard][places[where, 1]]
        return taken[..., None]


def read_split(split: Path, fold: int, copies: Sequence[str] = KINDS) -> tuple[list[str], dict[str, dict[str, list]]]:
    """Read one fold of a split table, with the recordings and the copies of some kinds.

    Returns
    -------
    classes : list of str
        In alphabetical order.
    parts : dict
        ``"train"``, ``"valid"`` and ``"test"`` → the columns ``clip``, ``origin`` and ``label`` of their clips.

    Raises
    ------
    UserError
        If a part is empty.
    """
    import pyarrow.compute as pc

    table = read_table(split, ["clip", "origin", "label", "fold", "part"])
    rows, parts = table.filter(pc.equal(table["fold"], fold)), {}
    for name in PARTS:
        members = rows.filter(pc.equal(rows["part"], name)).to_pydict()
        kept = [
            row
            for row, (clip, origin) in enumerate(zip(members["clip"], members["origin"], strict=True))
            if clip == origin or copy_kind(clip, origin) in copies
        ]
        parts[name] = {column: [values[row] for row in kept] for column, values in members.items()}
        if not parts[name]["clip"]:
            raise UserError(f"{split}: fold {fold} has no clips to {name} on")
    return sorted(set(table["label"].to_pylist())), parts
