"""The tables that come with CREMA-D: who the speakers are, and what listeners heard."""

from pathlib import Path

import numpy as np

from serflow.corpus.grammar import EMOTIONS, parse_name
from serflow.runtime.errors import UserError

DEMOGRAPHICS = "VideoDemographics.csv"
VOTES = "tabulatedVotes.csv"
# What the raters were played was damaged, though the recordings are sound.
DEFECTIVE_MEDIA = frozenset({"1076_MTI_NEU_XX", "1064_TIE_SAD_XX", "1064_IEO_DIS_MD"})

_INITIALS = [name[0] for name in sorted(EMOTIONS)]  # the vote table's columns: A D F H N S
_VOICE_ONLY = "1"  # first digit of a row's number there; 2 is the face alone, 3 both


def find_metadata(audio: Path, folder: str | None) -> dict[str, Path]:
    """Find the metadata tables of a folder of recordings.

    Parameters
    ----------
    audio
        The folder of recordings.
    folder
        The setting ``metadata``; without it the tables are looked for in the recordings' folder, in
        ``metadata`` there and beside it, and in the folder above.

    Returns
    -------
    dict
        ``demographics`` and ``votes``, as far as there are such tables.

    Raises
    ------
    UserError
        If a folder is set and holds none of the tables.
    """
    places = [Path(folder)] if folder else [audio, audio / "metadata", audio.parent / "metadata", audio.parent]
    found = {}
    for key, name in (("demographics", DEMOGRAPHICS), ("votes", VOTES)):
        path = next((place / name for place in places if (place / name).is_file()), None)
        if path is not None:
            found[key] = path
    if folder and not found:
        raise UserError(f"metadata: {folder} holds neither {DEMOGRAPHICS} nor {VOTES}")
    return found


def read_demographics(path: str | Path) -> dict[str, dict]:
    """Read ``VideoDemographics.csv``.

    Returns
    -------
    dict
        Speaker → ``age`` in years, ``sex``, ``race``, ``ethnicity``.

    Raises
    ------
    UserError
        If the file is not that table.
    """
    import pyarrow.csv

    from serflow.storage.arrow import pa

    columns = {
        "ActorID": pa.string(),
        "Age": pa.int32(),
        "Sex": pa.string(),
        "Race": pa.string(),
        "Ethnicity": pa.string(),
    }
    options = pyarrow.csv.ConvertOptions(include_columns=list(columns), column_types=columns)
    try:
        rows = pyarrow.csv.read_csv(path, convert_options=options).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: not the table of speakers of CREMA-D ({reason}); fetch it again") from error
    return {row.pop("ActorID"): {key.lower(): value for key, value in row.items()} for row in rows}


def _clip_of(name: str) -> str:
    stem = Path(name.strip()).stem
    return parse_name(stem if stem.count("_") > 2 else f"{stem}_XX").clip


def voice_votes(path: str | Path) -> dict[str, np.ndarray]:
    """Read how many listeners chose each emotion when they only heard the clip.

    Parameters
    ----------
    path
        ``tabulatedVotes.csv`` of the corpus. Its first column numbers the rows and begins with 1 for voice,
        2 for face and 3 for both; ``A D F H N S`` count votes; ``fileName`` is the clip.

    Returns
    -------
    dict
        Clip name → int64 counts, shape (6,), in the alphabetical order of the emotions' codes, several rows of
        one clip added up. Clips whose raters heard damaged media and clips without a vote are left out.

    Raises
    ------
    UserError
        If the file is missing, is not that table, or names a clip outside the grammar.
    """
    import pyarrow.csv

    from serflow.storage.arrow import pa

    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; it is tabulatedVotes.csv of the CREMA-D repository")
    columns = ["", *_INITIALS, "fileName"]
    types = {name: pa.int64() for name in _INITIALS} | {"": pa.string(), "fileName": pa.string()}
    options = pyarrow.csv.ConvertOptions(include_columns=columns, column_types=types)
    try:
        table = pyarrow.csv.read_csv(path, convert_options=options)
        counts = np.column_stack([table[name].to_numpy() for name in _INITIALS])
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: not the table of votes of CREMA-D ({reason}); fetch it again") from error
    if not np.issubdtype(counts.dtype, np.integer):  # an empty cell has made floats of them
        raise UserError(f"{path}: a number of votes is missing; fetch it again")
    votes: dict[str, np.ndarray] = {}
    numbers, names = table[""].to_pylist(), table["fileName"].to_pylist()
    for row, (number, name) in enumerate(zip(numbers, names, strict=True)):
        if not number.startswith(_VOICE_ONLY):
            continue
        try:
            clip = _clip_of(name)
        except UserError as error:
            raise UserError(f"{path}, row {row + 2}: {error}") from error
        if clip not in DEFECTIVE_MEDIA and counts[row].any():
            votes[clip] = votes.get(clip, 0) + counts[row]
    return votes
