"""Every documented code of every corpus is read, and names that are almost right are refused with the reason."""

import itertools
from collections import Counter

import pytest

from serflow.corpus.crema_d_names import EMOTIONS, SENTENCES
from serflow.corpus.formats import FORMATS
from serflow.corpus.ids import speaker_of
from serflow.corpus.labels import LABELS
from serflow.corpus.listing import Person, list_entries
from serflow.corpus.shards import shard_of
from serflow.runtime.errors import UserError
from serflow.splits.folds import FOLDS, PUBLISHED, speaker_folds

FOLDERS = [name for name in FORMATS if name != "manifest"]


def load_format(name):
    return FORMATS[name].load()


def two(numbers):
    return [f"{number:02d}" for number in numbers]


def ravdess(channel, emotions, speakers):
    """Name the recordings as the paper counts them: no strong neutral."""
    places = itertools.product(emotions, ("01", "02"), ("01", "02"), ("01", "02"), speakers)
    return [
        f"Actor_{speaker}/03-{channel}-{emotion}-{intensity}-{statement}-{repetition}-{speaker}"
        for emotion, intensity, statement, repetition, speaker in places
        if (emotion, intensity) != ("01", "02")
    ]


def savee(pattern):
    counts = {"a": 15, "d": 15, "f": 15, "h": 15, "n": 30, "sa": 15, "su": 15}
    return [
        pattern.format(speaker=speaker, name=f"{code}{number:02d}")
        for speaker in ("DC", "JE", "JK", "KL")
        for code, count in counts.items()
        for number in range(1, count + 1)
    ]


# What the corpora's documentation says that there is; of EMO-DB each text and emotion, of which 535 were kept.
DOCUMENTED = {
    "crema-d": [
        "_".join(parts) for parts in itertools.product(("1001", "1091"), SENTENCES, EMOTIONS, ("LO", "MD", "HI", "XX"))
    ],
    "ravdess": ravdess("01", two(range(1, 9)), two(range(1, 25))),
    "ravdess-song": ravdess("02", two(range(1, 7)), [speaker for speaker in two(range(1, 25)) if speaker != "18"]),
    "savee": savee("{speaker}_{name}"),
    "tess": [
        f"{speaker}_{emotion}/{speaker}_{word}_{emotion}"
        for speaker in ("OAF", "YAF")
        for emotion in ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad")
        for word in ("back", "youth")
    ],
    "emo-db": [
        "wav/" + "".join(parts)
        for parts in itertools.product(
            ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16"),
            ("a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10"),
            "WLEAFTN",
            "abcd",
        )
    ],
    "nemo": [
        f"samples/{speaker}_{emotion}_{sentence}"
        for speaker in ("EB0", "IC0", "KD0", "KS0", "MK0", "MP0", "SM0", "TP0", "WR0")
        for emotion in ("anger", "fear", "happiness", "neutral", "sadness", "surprised")
        for sentence in range(1, 91)
    ],
    "urdu": [
        f"{folder}/S{sex}{speaker}_F{number}_{folder[0]}0{number + 8}"
        for sex, last in (("M", 27), ("F", 11))
        for speaker in range(1, last + 1)
        for folder in ("Angry", "Happy", "Neutral", "Sad")
        for number in (1, 92)
    ],
}
COUNTS = {"ravdess": 1440, "ravdess-song": 1012, "savee": 480}
SPEAKERS = {"crema-d": 2, "ravdess": 24, "ravdess-song": 23, "savee": 4, "tess": 2, "emo-db": 10, "nemo": 9, "urdu": 38}
BASIC = {"ANG", "DIS", "FEA", "HAP", "NEU", "SAD"}
HAS = {
    "crema-d": BASIC,
    "ravdess": BASIC | {"CAL", "SUR"},
    "ravdess-song": BASIC - {"DIS"} | {"CAL"},
    "savee": BASIC | {"SUR"},
    "tess": BASIC | {"SUR"},
    "emo-db": BASIC | {"BOR"},
    "nemo": BASIC - {"DIS"} | {"SUR"},
    "urdu": {"ANG", "HAP", "NEU", "SAD"},
}


@pytest.mark.parametrize("name", FOLDERS)
def test_every_documented_name_is_read(name):
    format_ = load_format(name)
    assert len(DOCUMENTED[name]) == COUNTS.get(name, len(DOCUMENTED[name]))
    found = [format_.parse(path) for path in DOCUMENTED[name]]
    assert len({utterance.clip for utterance in found}) == len(found)
    assert {utterance.emotion for utterance in found} == HAS[name] <= set(LABELS)
    assert len({utterance.speaker for utterance in found}) == SPEAKERS[name]
    for path, utterance in zip(DOCUMENTED[name], found, strict=True):
        stem = path.rpartition("/")[2]
        assert utterance.clip in (stem, f"{utterance.speaker}_{stem}")
        assert speaker_of(utterance.clip) == utterance.speaker and "." not in utterance.clip
        assert getattr(format_, "describe_excluded", lambda path: None)(path) is None


@pytest.mark.parametrize(
    ("name", "path", "known"),
    [
        ("ravdess", "Actor_12/03-01-06-01-02-01-12", ("12", "dogs", "FEA", "normal")),
        ("ravdess", "03-01-02-02-01-01-07", ("07", "kids", "CAL", "strong")),
        ("ravdess-song", "Actor_01/03-02-05-02-01-02-01", ("01", "kids", "ANG", "strong")),
        ("savee", "DC_a01", ("DC", None, "ANG", None)),
        ("savee", "AudioData/KL/su15", ("KL", None, "SUR", None)),
        ("savee", "JE/n30", ("JE", None, "NEU", None)),
        ("tess", "OAF_back_angry", ("OAF", "back", "ANG", None)),
        ("tess", "OAF_neutral/OA_bite_neutral", ("OAF", "bite", "NEU", None)),
        ("tess", "YAF_dog_ps", ("YAF", "dog", "SUR", None)),
        ("tess", "OAF_Fear/OAF_dog_Fear", ("OAF", "dog", "FEA", None)),
        ("emo-db", "03a01Fa", ("03", "a01", "HAP", None)),
        ("emo-db", "16b10Lb", ("16", "b10", "BOR", None)),
        ("nemo", "samples/WR0_surprised_64", ("WR0", "64", "SUR", None)),
        ("nemo", "KD0_neutral_2", ("KD0", "2", "NEU", None)),
        ("urdu", "Angry/SM1_F10_A010", ("SM1", None, "ANG", None)),
        ("urdu", "Sad/SM6_F4_S0100", ("SM6", None, "SAD", None)),
        ("urdu", "SF11_F1_S03", ("SF11", None, "SAD", None)),
    ],
)
def test_what_a_name_says(name, path, known):
    assert load_format(name).parse(path)[1:] == known


def test_one_recording_has_one_id_however_it_is_kept():
    parse = load_format("savee").parse
    assert [parse(path) for path in savee("AudioData/{speaker}/{name}")] == [
        parse(path) for path in savee("{speaker}_{name}")
    ]
    tess = load_format("tess").parse
    assert tess("OAF_Fear/OAF_dog_Fear").clip == tess("OAF_dog_fear").clip == "OAF_dog_fear"
    assert tess("OA_bite_neutral").clip == "OAF_bite_neutral"


@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        ("ravdess", "03-01-06-01-02-12", "expected MODALITY-CHANNEL-EMOTION"),
        ("ravdess", "03-01-09-01-02-01-12", "emotion '09' must be one of 01 to 08"),
        ("ravdess", "03-01-00-01-02-01-12", "emotion '00'"),
        ("ravdess", "03-01-6-01-02-01-12", "emotion '6'"),
        ("ravdess", "03-01-06-03-02-01-12", "intensity '03' must be one of 01 to 02"),
        ("ravdess", "03-01-01-02-02-01-12", "no strong intensity"),
        ("ravdess", "03-01-06-01-03-01-12", "statement '03'"),
        ("ravdess", "03-01-06-01-02-03-12", "repetition '03'"),
        ("ravdess", "03-01-06-01-02-01-25", "speaker '25' must be one of 01 to 24"),
        ("ravdess", "03-01-06-01-02-01-00", "speaker '00'"),
        ("ravdess", "02-01-06-01-02-01-12", "modality '02' must be 03"),
        ("ravdess", "03-03-06-01-02-01-12", "channel '03'"),
        ("ravdess", "03-01-06-01-02-01-12 (1)", "speaker '12 (1)'"),
        ("ravdess", "03_01_06_01_02_01_12", "expected MODALITY"),
        ("ravdess-song", "03-02-07-01-02-01-12", "song has no emotion 07"),
        ("savee", "DC_a16", "sentence 16 of 'a' must be one of 01 to 15"),
        ("savee", "DC_n31", "one of 01 to 30"),
        ("savee", "DC_a00", "sentence 00"),
        ("savee", "DC_s01", "emotion 's' must be one of a, d, f, h, n, sa, su"),
        ("savee", "AB_a01", "one of DC, JE, JK, KL"),
        ("savee", "a01", "expected SPEAKER_EMOTIONNUMBER"),
        ("savee", "DC_a1", "expected SPEAKER_EMOTIONNUMBER"),
        ("savee", "DC_A01", "expected SPEAKER_EMOTIONNUMBER"),
        ("tess", "OAF_back", "expected SPEAKER_WORD_EMOTION"),
        ("tess", "MAF_back_angry", "speaker 'MAF' must be OAF or YAF"),
        ("tess", "OAF_back_anger", "emotion 'anger' must be one of angry"),
        ("tess", "OAF_back_pleasant_surprise", "expected SPEAKER_WORD_EMOTION"),
        ("tess", "OAF_1_angry", "expected SPEAKER_WORD_EMOTION"),
        ("emo-db", "03a01Xa", "emotion 'X' must be one of W, L, E, A, F, T, N"),
        ("emo-db", "03a03Fa", "text 'a03' must be one of a01"),
        ("emo-db", "04a01Fa", "speaker '04' must be one of 03"),
        ("emo-db", "3a01Fa", "expected speaker, text, emotion and version"),
        ("emo-db", "03a01fa", "expected speaker, text, emotion and version"),
        ("emo-db", "03a01Faa", "expected speaker, text, emotion and version"),
        ("nemo", "EB0_angry_1", "emotion 'angry' must be one of anger, fear"),
        ("nemo", "AB0_anger_1", "speaker 'AB0' must be one of EB0"),
        ("nemo", "EB0_anger_91", "sentence 91 must be one of 1 to 90"),
        ("nemo", "EB0_anger_01", "expected speaker, emotion and sentence"),
        ("urdu", "SM28_F1_A01", "speakers are SM1 to SM27 and SF1 to SF11"),
        ("urdu", "SM1_F1_D01", "emotion 'D' must be one of A, H, N, S"),
        ("urdu", "SM1_A01", "expected speaker, file and emotion"),
    ],
)  # fmt: skip
def test_almost_right(name, path, message):
    with pytest.raises(UserError) as error:
        load_format(name).parse(path)
    text = str(error.value)
    assert (
        message in text and repr(path) in text and FORMATS[name].title.partition(" (")[0] in text and "\n" not in text
    )


@pytest.mark.parametrize(("name", "others"), list(itertools.permutations(FOLDERS, 2)))
def test_names_of_one_corpus_are_none_of_another(name, others):
    if {name, others} == {"ravdess", "ravdess-song"}:
        assert all(load_format(name).describe_excluded(path) for path in DOCUMENTED[others])
    else:
        for path in DOCUMENTED[others][:50]:
            with pytest.raises(UserError):
                load_format(name).parse(path)


def test_who_speaks():
    ravdess, emo_db, tess, savee = (load_format(name).PEOPLE for name in ("ravdess", "emo-db", "tess", "savee"))
    assert Counter(person.sex for person in ravdess.values()) == {"Male": 12, "Female": 12}
    assert ravdess["01"].sex == "Male" and ravdess["24"].sex == "Female"
    assert Counter(person.sex for person in emo_db.values()) == {"Male": 5, "Female": 5}
    assert emo_db["03"] == Person(31, "Male") and emo_db["09"] == Person(21, "Female")
    assert tess == {"OAF": Person(64, "Female"), "YAF": Person(26, "Female")}
    assert {person.sex for person in savee.values()} == {"Male"} and len(savee) == 4
    nemo, urdu = (load_format(name).PEOPLE for name in ("nemo", "urdu"))
    assert nemo["EB0"] == Person(27, "Female") and Counter(person.sex for person in nemo.values())["Male"] == 5
    assert Counter(person.sex for person in urdu.values()) == {"Male": 27, "Female": 11}


@pytest.mark.parametrize("name", [name for name in FOLDERS if name != "crema-d"])
def test_folds_are_whole_speakers_and_alike(name):
    people = load_format(name).PEOPLE
    speakers, formats = sorted(people), {"": name}
    folds = speaker_folds(speakers, formats, FOLDS if len(speakers) > FOLDS else PUBLISHED)
    assert folds == speaker_folds(speakers[::-1], formats, FOLDS if len(speakers) > FOLDS else PUBLISHED)
    assert len(folds) == min(FOLDS, len(speakers)) and sorted(itertools.chain(*folds)) == speakers
    sizes = [len(fold) for fold in folds]
    women = [sum(people[speaker].sex == "Female" for speaker in fold) for fold in folds]
    assert max(sizes) - min(sizes) <= 1 and max(women) - min(women) <= 1


def test_one_speaker_cannot_be_held_out():
    with pytest.raises(UserError, match="needs at least two speakers, found 1"):
        speaker_folds(["anna"], {"": "manifest"}, PUBLISHED)


def test_shards_of_speakers_without_numbers():
    assert shard_of("1007", 4) == 3 and shard_of("ravdess:12", 5) == 2 and shard_of("9" * 5000, 7) < 7
    assert {shard_of(f"speaker {letter}", 4) for letter in "abcdefghijklmnop"} == {0, 1, 2, 3}


def test_an_unknown_format():
    with pytest.raises(UserError, match=r"unknown corpus format 'ravdes'; known: .*; did you mean 'ravdess'\?"):
        FORMATS.find("ravdes", "config: format")


def listed(folder, name="ravdess"):
    return list_entries(load_format(name), folder)


def test_recordings_below_folders(tmp_path):
    for speaker in ("01", "02"):
        folder = tmp_path / f"Actor_{speaker}"
        folder.mkdir()
        (folder / f"03-01-05-01-01-01-{speaker}.wav").touch()
        (folder / f"03-02-05-01-01-01-{speaker}.wav").touch()  # a song
        (folder / f"._03-01-05-01-01-01-{speaker}.wav").touch()  # left behind by another system
    (tmp_path / "Actor_02/notes.txt").touch()
    (tmp_path / "Actor_02/again").symlink_to(tmp_path, target_is_directory=True)  # a loop
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX/03-01-05-01-01-01-01.wav").touch()
    entries = listed(tmp_path)
    assert [entry.file for entry in entries if entry.name] == [
        "Actor_01/03-01-05-01-01-01-01.wav",
        "Actor_02/03-01-05-01-01-01-02.wav",
    ]
    assert [entry.excluded for entry in entries if not entry.name] == 2 * [
        "recordings of song; another format reads them"
    ]
    songs = listed(tmp_path, "ravdess-song")
    assert [entry.file for entry in songs if entry.name] == [
        "Actor_01/03-02-05-01-01-01-01.wav",
        "Actor_02/03-02-05-01-01-01-02.wav",
    ]


def test_a_clip_in_two_folders_is_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "03-01-05-01-01-01-01.wav").touch()
    with pytest.raises(UserError, match=r"a/03.* and b/03.* are the same clip"):
        listed(tmp_path)


def test_a_table_in_place_of_a_folder_is_pointed_to_the_manifest(tmp_path):
    (tmp_path / "list.csv").touch()
    with pytest.raises(UserError, match="for a table of recordings set format=manifest"):
        listed(tmp_path / "list.csv")


def test_crema_d_is_one_folder(tmp_path):
    (tmp_path / "below").mkdir()
    for path in ("1001_DFA_ANG_XX.wav", "below/1002_DFA_ANG_XX.wav"):
        (tmp_path / path).touch()
    (tmp_path / "other").symlink_to("nowhere")
    assert [entry.file for entry in listed(tmp_path, "crema-d")] == ["1001_DFA_ANG_XX.wav"]
