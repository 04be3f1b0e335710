"""Run an encoder on clips: hidden states, and their statistics over the frames of each clip."""

import collections
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from serflow import storage
from serflow.encoders.session import Session
from serflow.runtime.errors import UserError

POOLING = ("mean", "std")


class Encoder:
    """A pretrained encoder.

    Parameters
    ----------
    content
        Its ONNX model.
    description
        Its description, as :mod:`serflow.encoders.describe` makes it, with its ``name``.

    Attributes
    ----------
    description : Mapping
        The description.

    Raises
    ------
    UserError
        If the model is not the one that is described, or cannot be loaded.

    Examples
    --------
    >>> encoder = open_encoder("whisper-tiny.en.onnx", "whisper-tiny.en.json")
    >>> encoder.states(np.zeros(16_000, np.float32)).shape
    (6, 50, 384)
    """

    def __init__(self, content: bytes, description: Mapping):
        self.description, self._name = description, f"encoder {description['name']}"
        found = hashlib.sha256(content).hexdigest()
        if found != description["sha256"]:
            raise UserError(f"{self._name}: its ONNX model has the sha256 {found}, not {description['sha256']}")
        self._session = Session(content, self._name)
        # At least a frame, so that a clip is never padded to less than what one frame stands for.
        self._shortest = max(description["first_frame"], description["stride"] or 0)

    def states(self, samples: np.ndarray) -> np.ndarray:
        """Return the hidden states of a clip.

        Parameters
        ----------
        samples
            float32 of shape (samples,), mono, at ``description["sampling_rate"]``. Less than a frame is padded with
            zeros to one frame.

        Returns
        -------
        ndarray
            float32 of shape (layers, frames, width).

        Raises
        ------
        UserError
            If the model fails.
        """
        return np.concatenate([states for _, states in self._run([samples])], axis=1)

    def pooled(self, samples: np.ndarray, pooling: Sequence[str] = POOLING) -> np.ndarray:
        """Return statistics of the hidden states over the frames of a clip.

        Parameters
        ----------
        samples
            As for :meth:`states`.
        pooling
            The statistics in their order: ``mean``, and ``std`` of the population.

        Returns
        -------
        ndarray
            float32 of shape (layers, statistics × width).

        Raises
        ------
        UserError
            If the model fails, or gives values that are not finite.
        """
        return self._pooled([samples], pooling)[0]

    def pooled_clips(
        self, clips: Iterable[np.ndarray], pooling: Sequence[str] = POOLING, threads: int = 1
    ) -> Iterator[np.ndarray]:
        """Yield :meth:`pooled` of each clip, in order; the values do not depend on the number of threads.

        Parameters
        ----------
        clips
            Arrays as for :meth:`states`. They are taken as they are needed.
        pooling
            As for :meth:`pooled`.
        threads
            Clips (batches of them, if the encoder has batches) that are computed at the same time.
        """
        groups = _batches(clips, self.description["batch"])
        if threads == 1:
            for group in groups:
                yield from self._pooled(group, pooling)
            return
        with ThreadPoolExecutor(threads) as pool:
            waiting = collections.deque()
            try:
                for group in groups:
                    waiting.append(pool.submit(self._pooled, group, pooling))
                    if len(waiting) > threads:
                        yield from waiting.popleft().result()
                while waiting:
                    yield from waiting.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _pooled(self, clips: Sequence[np.ndarray], pooling: Sequence[str]) -> list[np.ndarray]:
        pieces = [[] for _ in clips]
        for number, states in self._run(clips):
            values = states.astype(np.float64)
            mean = values.mean(axis=1)
            values -= mean[:, None]
            pieces[number].append((states.shape[1], mean, np.einsum("lfw,lfw->lw", values, values)))
        rows = [_merge(moments, pooling) for moments in pieces]
        if not all(np.isfinite(row).all() for row in rows):
            raise UserError(f"{self._name}: gives values that are not finite; are the recordings sound?")
        return rows

    def _run(self, clips: Sequence[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the hidden states of the pieces of clips, each with the number of its clip."""
        pieces = [(number, piece) for number, clip in enumerate(clips) for piece in self._split(self._prepare(clip))]
        for batch in _batches(pieces, self.description["batch"]):
            length = max(self._shortest, *(len(piece) for _, piece in batch))
            waveforms = np.zeros((len(batch), length), dtype=np.float32)
            for row, (_, piece) in zip(waveforms, batch, strict=True):
                row[: len(piece)] = piece
            states = self._session.states(waveforms, self.description["input"], self.description["outputs"])
            for (number, piece), found in zip(batch, states, strict=True):
                yield number, found[:, : self._count_frames(len(piece))]

    def _prepare(self, clip: np.ndarray) -> np.ndarray:
        clip = np.asarray(clip, dtype=np.float32)
        if self.description["normalize"] == "none" or not len(clip):
            return clip
        # As in the feature extractors of Hugging Face Transformers.
        return (clip - clip.mean()) / np.sqrt(clip.var() + np.float32(1e-7))

    def _split(self, clip: np.ndarray) -> list[np.ndarray]:
        """Cut a clip that is longer than the encoder's limit into pieces of about the same number of frames."""
        count = -(-len(clip) // self.description["longest"])
        if count < 2:
            return [clip]
        stride = self.description["stride"] or 1
        frames = len(clip) // stride
        # Rounded up: what is left at the end, less than a frame, goes to the last piece, which is never the longest.
        return np.split(clip, [-(-frames * number // count) * stride for number in range(1, count)])

    def _count_frames(self, samples: int) -> int:
        stride = self.description["stride"]
        return 1 if stride is None else max(1, 1 + (samples - self.description["first_frame"]) // stride)


def open_encoder(path: str | Path, description: str | Path) -> Encoder:
    """Return the encoder of an ONNX file and the JSON beside it; errors are those of :class:`Encoder`."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    return Encoder(content, storage.read_json(description))


def _batches(items: Iterable, size: int) -> Iterator[list]:
    items = iter(items)
    while batch := list(itertools.islice(items, size)):
        yield batch


def _merge(moments: Sequence[tuple[int, np.ndarray, np.ndarray]], pooling: Sequence[str]) -> np.ndarray:
    """Return statistics over all frames of several pieces.

    Parameters
    ----------
    moments
        Of each piece the number of frames, their mean, and the sum of their squared distances from it. Sums over all
        frames follow from these exactly (Chan, Golub and LeVeque, 1983).
    pooling
        ``mean`` and ``std``.
    """
    frames = sum(count for count, _, _ in moments)
    mean = sum(count * mean for count, mean, _ in moments) / frames
    squares = sum(spread + count * (part - mean) ** 2 for count, part, spread in moments)
    found = {"mean": mean, "std": np.sqrt(squares / frames)}
    return np.concatenate([found[name] for name in pooling], axis=1).astype(np.float32)
