"""CREMA-D as published: its clips, its tables, and the mirrors that have it."""

from typing import NamedTuple

from serflow.corpus.crema_d_names import EMOTIONS, SENTENCES, ClipName
from serflow.corpus.metadata import DEMOGRAPHICS, VOTES
from serflow.fetch.download import shown

ACTORS = range(1001, 1092)
LEVELS = ("LO", "MD", "HI")
# Not in the corpus: all emotions of one sentence for three actors, and two neutral clips.
_MISSING = {("1008", "WSI"), ("1009", "MTI"), ("1019", "ITH")}
_MISSING_CLIPS = {"1002_TIE_NEU_XX", "1076_ITS_NEU_XX"}
UNPACKED_BYTES = 605_899_936  # of all recordings


class Mirror(NamedTuple):
    """A place to download CREMA-D from: an https address or, on Kaggle, owner/name of a data set."""

    name: str
    address: str
    kaggle: bool = False


_GITLAB = "https://gitlab.com/cs-cooper-lab/crema-d-mirror/-"
_RAW = ("https://raw.githubusercontent.com/CheyneyComputerScience/CREMA-D/master", f"{_GITLAB}/raw/main")
MIRRORS = {
    mirror.name: mirror
    for mirror in (
        Mirror("official", "https://github.com/CheyneyComputerScience/CREMA-D/archive/refs/tags/v1.0.zip"),
        # Only the folder with the recordings, without the films. GitLab puts LFS objects into archives.
        Mirror("gitlab", f"{_GITLAB}/archive/main/crema-d-mirror-main.tar.gz?path=AudioWAV"),
        Mirror("kaggle", "ejlok1/cremad", kaggle=True),
    )
}


class Table(NamedTuple):
    """A metadata table of CREMA-D."""

    addresses: list[str]
    column: str  # at its beginning
    header: str  # of an empty one


TABLES = {
    DEMOGRAPHICS: Table(
        [f"{base}/{DEMOGRAPHICS}" for base in _RAW], "ActorID", '"ActorID","Age","Sex","Race","Ethnicity"\n'
    ),
    VOTES: Table(
        [f"{base}/processedResults/{VOTES}" for base in _RAW], "fileName", '"","A","D","F","H","N","S","fileName"\n'
    ),
}


def official_clips() -> list[ClipName]:
    """Return the 7,442 clips of CREMA-D, sorted.

    Each actor speaks each sentence in each emotion. ``IEO`` has three levels of intensity except for neutral; the other
    sentences have none.
    """
    names = [
        ClipName(str(actor), sentence, emotion, level)
        for actor in ACTORS
        for sentence in SENTENCES
        for emotion in EMOTIONS
        for level in (LEVELS if sentence == "IEO" and emotion != "NEU" else ("XX",))
    ]
    return sorted(
        name for name in names if (name.speaker, name.sentence) not in _MISSING and name.clip not in _MISSING_CLIPS
    )


def named_mirror(name: str) -> Mirror:
    """Return the mirror that ``fetch.mirrors`` names: one of :data:`MIRRORS`, or the https address of an archive."""
    return MIRRORS.get(name) or Mirror(shown(name), name)
