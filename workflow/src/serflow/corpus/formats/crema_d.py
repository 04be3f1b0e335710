"""CREMA-D: ``1001_IEO_ANG_HI``, in one folder; see :mod:`serflow.corpus.grammar`."""

from collections.abc import Sequence

from serflow.corpus.formats.base import Format
from serflow.corpus.grammar import ClipName, parse_name
from serflow.runtime.errors import UserError

# The blocks of speakers of HiCMAE and EMO-SUPERB; speaker-independent folds are made of them.
BLOCKS = ((1001, 1018), (1019, 1036), (1037, 1054), (1055, 1072), (1073, 1091))


def _parse(path: str) -> ClipName:
    return parse_name(path.rpartition("/")[2])


def speaker_blocks(speakers: Sequence[str]) -> list[list[str]]:
    """Give the speakers of those of the five blocks that have any.

    Raises
    ------
    UserError
        If there are fewer than two, so that no fold can be held out.
    """
    members = [sorted(speaker for speaker in speakers if first <= int(speaker) <= last) for first, last in BLOCKS]
    present = [block for block in members if block]
    if len(present) < 2:
        raise UserError(
            f"protocol speaker-independent: needs speakers of at least two of the blocks {BLOCKS}, "
            f"found {len(present)}; "
            "leave it out of runs"
        )
    return present


FORMAT = Format("CREMA-D", _parse, nested=False, folds=speaker_blocks)
