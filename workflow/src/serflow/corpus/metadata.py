"""The tables that come with CREMA-D: who the speakers are, and what listeners heard."""

from pathlib import Path

import numpy as np

from serflow.corpus.crema_d_names import EMOTIONS, parse_name
from serflow.runtime.errors import UserError

DEMOGRAPHICS = "VideoDemographics.csv"
VOTES = "tabulatedVotes.csv"
TABLES = {"demographics": DEMOGRAPHICS, "votes": VOTES}
# The raters of these clips were played damaged media, though the recordings are sound.
DEFECTIVE_MEDIA = frozenset({"1076_MTI_NEU_XX", "1064_TIE_SAD_XX", "1064_IEO_DIS_MD"})

_INITIALS = [name[0] for name in sorted(EMOTIONS)]  # the columns of the vote table: A D F H N S
_VOICE_ONLY = "1"  # first digit of a row number there; 2 is face only, 3 is both


def find_metadata(audio: Path, folder: str | None) -> dict[str, Path]:
    """Find the metadata tables of a folder of recordings: ``demographics`` and ``votes`` → path, if there are any.

    They are looked for in ``folder``, the setting ``metadata``, which must contain one. Without it, they are looked for
    in the folder of the recordings, in ``metadata`` there and beside it, and one folder up.
    """
    folders = [Path(folder)] if folder else [audio, audio / "metadata", audio.parent / "metadata", audio.parent]
    places = {key: [place / name for place in reversed(folders)] for key, name in TABLES.items()}
    found = {key: path for key, paths in places.items() for path in paths if path.is_file()}
    if folder and not found:
        raise UserError(f"metadata: {folder} holds neither {DEMOGRAPHICS} nor {VOTES}")
    return found


def read_demographics(path: str | Path) -> dict[str, dict]:
    """Read ``VideoDemographics.csv``: speaker → ``age`` in years, ``sex``, ``race``, ``ethnicity``."""
    types = {"ActorID": str, "Age": int, "Sex": str, "Race": str, "Ethnicity": str}
    table = _read_csv(path, types, "the table of CREMA-D's speakers").rename(columns=str.lower)
    return table.set_index("actorid").to_dict("index")


def voice_votes(path: str | Path) -> dict[str, np.ndarray]:
    """Count how many listeners chose each emotion when they only heard the clip.

    Parameters
    ----------
    path
        ``tabulatedVotes.csv``. Its first column numbers the rows and begins with 1 for voice, 2 for face and 3 for
        both; ``A D F H N S`` count votes; ``fileName`` is the clip.

    Returns
    -------
    dict
        Clip → int64 counts, shape (6,), in alphabetical order of the emotion codes; rows of one clip are added up.
        Clips whose raters heard damaged media and clips without votes are left out.

    Raises
    ------
    UserError
        If the file is not that table, or names a clip that does not follow CREMA-D's file names.
    """
    types = {"": str, "fileName": str} | dict.fromkeys(_INITIALS, int)
    table = _read_csv(path, types, "the table of CREMA-D's votes")
    table = table[table[""].str.startswith(_VOICE_ONLY)]
    votes: dict[str, np.ndarray] = {}
    for row, name, counts in zip(table.index, table["fileName"], table[_INITIALS].to_numpy(np.int64), strict=True):
        stem = Path(name.strip()).stem
        try:
            clip = parse_name(stem if stem.count("_") > 2 else f"{stem}_XX").clip
        except UserError as error:
            raise UserError(f"{path}, row {row + 2}: {error}") from error
        if clip not in DEFECTIVE_MEDIA and counts.any():
            votes[clip] = votes.get(clip, 0) + counts
    return votes


def _read_csv(path: str | Path, types: dict[str, type], what: str):
    import pandas as pd

    try:
        # Read as text first: pandas would name the unnamed column, and guess the types of the others.
        table = pd.read_csv(path, dtype=str, keep_default_na=False).rename(columns={"Unnamed: 0": ""})
        return table[list(types)].astype(types)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip("'\"").splitlines()[0]
        raise UserError(f"{path}: not {what} ({reason}); fetch it again") from error
