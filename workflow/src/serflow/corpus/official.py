"""CREMA-D as it was published: which clips it has, and where it can be fetched from."""

from typing import NamedTuple

from serflow.corpus.crema_d_names import EMOTIONS, SENTENCES, ClipName
from serflow.corpus.metadata import DEMOGRAPHICS, VOTES

SPEAKERS = range(1001, 1092)
LEVELS = ("LO", "MD", "HI")
# What the official corpus does not have: all emotions of three speakers' sentences, and two neutral clips.
_MISSING = {("1008", "WSI"), ("1009", "MTI"), ("1019", "ITH")}
_MISSING_CLIPS = {"1002_TIE_NEU_XX", "1076_ITS_NEU_XX"}


class Mirror(NamedTuple):
    """A place that CREMA-D can be had from.

    Attributes
    ----------
    name
        As it stands in the setting ``fetch.mirrors``.
    address
        Of an archive; on Kaggle, of the data set: owner and name.
    kaggle
        Whether Kaggle's own client fetches it.
    """

    name: str
    address: str
    kaggle: bool = False


_GITLAB = "https://gitlab.com/cs-cooper-lab/crema-d-mirror/-"
MIRRORS = {
    mirror.name: mirror
    for mirror in (
        Mirror("official", "https://github.com/CheyneyComputerScience/CREMA-D/archive/refs/tags/v1.0.zip"),
        # Of the folder alone: the whole repository has the films as well. GitLab puts LFS objects into archives.
        Mirror("gitlab", f"{_GITLAB}/archive/main/crema-d-mirror-main.tar.gz?path=AudioWAV"),
        Mirror("kaggle", "ejlok1/cremad", kaggle=True),
    )
}
_RAW = ("https://raw.githubusercontent.com/CheyneyComputerScience/CREMA-D/master", f"{_GITLAB}/raw/main")
# For the mirrors that have the recordings alone: each table, and where it is looked for.
TABLES = {
    DEMOGRAPHICS: [f"{base}/{DEMOGRAPHICS}" for base in _RAW],
    VOTES: [f"{base}/processedResults/{VOTES}" for base in _RAW],
}
# Of all recordings, for the check of free space before a download that does not say what it unpacks to.
UNPACKED_BYTES = 605_899_936


def official_clips() -> list[ClipName]:
    """List the 7,442 clips of CREMA-D, sorted.

    Each speaker speaks each sentence in each emotion; ``IEO`` at three levels, but for neutral, the others at none.
    """
    names = [
        ClipName(str(speaker), sentence, emotion, level)
        for speaker in SPEAKERS
        for sentence in SENTENCES
        for emotion in EMOTIONS
        for level in (LEVELS if sentence == "IEO" and emotion != "NEU" else ("XX",))
    ]
    return sorted(
        name for name in names if (name.speaker, name.sentence) not in _MISSING and name.clip not in _MISSING_CLIPS
    )


def named_mirror(name: str) -> Mirror:
    """Give the mirror that the setting names: one of :data:`MIRRORS`, or the https address of an archive."""
    return MIRRORS.get(name) or Mirror(name, name)
