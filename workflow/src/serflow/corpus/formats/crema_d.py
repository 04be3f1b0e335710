"""CREMA-D: ``1001_IEO_ANG_HI``, in one folder; see :mod:`serflow.corpus.crema_d_names`."""

from collections.abc import Sequence

from serflow.corpus.crema_d_names import parse_name
from serflow.corpus.listing import Utterance
from serflow.runtime.errors import UserError

TITLE = "CREMA-D"
LANGUAGE = "en"
NESTED = False
# The blocks of speakers of HiCMAE and EMO-SUPERB.
BLOCKS = ((1001, 1018), (1019, 1036), (1037, 1054), (1055, 1072), (1073, 1091))


def parse(path: str) -> Utterance:
    """Read a path such as ``1001_IEO_ANG_HI``."""
    name = parse_name(path.rpartition("/")[2])
    return Utterance(name.clip, *name)


def published_folds(speakers: Sequence[str]) -> list[list[str]]:
    """Return the speakers of each of the five published blocks that has any.

    Raises
    ------
    UserError
        If fewer than two blocks have speakers.
    """
    members = [sorted(speaker for speaker in speakers if first <= int(speaker) <= last) for first, last in BLOCKS]
    present = [block for block in members if block]
    if len(present) < 2:
        raise UserError(
            f"protocol speaker-independent: needs speakers of at least two of the blocks {BLOCKS}, "
            f"found {len(present)}; leave it out of runs"
        )
    return present
