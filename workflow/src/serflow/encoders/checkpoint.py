"""Find a checkpoint of Hugging Face Transformers, and read what it says of itself. No code of it is ever run."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from serflow import storage
from serflow.encoders.describe import SAMPLING_RATE
from serflow.encoders.settings import CHECKPOINT_FILES, checkpoint_folder
from serflow.runtime.errors import UserError
from serflow.runtime.progress import tell

# Value of model_type in config.json → class of Transformers.
ARCHITECTURES = {
    "data2vec-audio": "Data2VecAudioModel",
    "hubert": "HubertModel",
    "wav2vec2": "Wav2Vec2Model",
    "wavlm": "WavLMModel",
}
CONFIG, WEIGHTS, PREPROCESSOR, CARD = CHECKPOINT_FILES
# Bytes of float32 weights. An ONNX model is a Protocol Buffers message, which cannot exceed 2 GiB.
LARGEST = 2_000_000_000


def find_checkpoint(settings: Mapping, record: Path, section: str) -> tuple[Path, str]:
    """Return the folder of a checkpoint, which is downloaded if it is on Hugging Face, and its name with the commit.

    Parameters
    ----------
    settings
        ``transformers``, a folder of this machine or a model id; ``revision`` of the latter, a branch, tag or commit,
        ``main`` by default.
    record
        JSON file of :func:`record_commit`. If it exists, the same revision is downloaded as of this commit.
    section
        Where the settings are, for errors: ``encoders.wavlm``.

    Raises
    ------
    UserError
        If there is no such folder, or the model cannot be downloaded.
    """
    named = settings["transformers"]
    folder = checkpoint_folder(named)
    if folder is None:
        return _download(named, settings.get("revision", "main"), record, section)
    if "revision" in settings:
        raise UserError(f"config: {section}.revision: {named} is a folder, which has no revisions; leave it out")
    if not folder.is_dir():
        raise UserError(f"{named}: no such folder; {section}.transformers is a folder or a model id on Hugging Face")
    return folder, named


def _download(named: str, revision: str, record: Path, section: str) -> tuple[Path, str]:
    """Download a model into the cache of Hugging Face, which resumes and keeps what it has."""
    import huggingface_hub
    from huggingface_hub import errors

    known = storage.read_json(record) if record.exists() else {}
    first = known["commit"] if (known.get("model"), known.get("revision")) == (named, revision) else None
    elsewhere = f"or download it elsewhere and set {section}.transformers to the folder"
    if not first:
        tell(f"{section}: downloading {named} from Hugging Face")
    try:
        found = huggingface_hub.snapshot_download(named, revision=first or revision, allow_patterns=CHECKPOINT_FILES)
    except errors.HFValidationError as error:
        raise UserError(
            f"config: {section}.transformers: {named!r} is neither a folder nor a model id: owner/name"
        ) from error
    except errors.GatedRepoError as error:
        raise UserError(
            f"{named}: asks for consent to its terms: accept them on Hugging Face and set the environment variable "
            f"HF_TOKEN, {elsewhere}"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"{named}: no folder, and no model on Hugging Face that can be read here; correct {section}.transformers, "
            "or set the environment variable HF_TOKEN if the model is private"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"{named}: has no revision {first or revision!r}; correct {section}.revision") from error
    except errors.LocalEntryNotFoundError as error:
        raise UserError(
            f"{named}: Hugging Face cannot be reached; is there a network? Run again, {elsewhere}"
        ) from error
    except Exception as error:  # those of httpx and of the cache have no common class
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{named}: cannot be downloaded ({reason}); run again, {elsewhere}") from error
    return Path(found), f"{named}, commit {Path(found).name}"


def record_commit(settings: Mapping, folder: Path, record: Path, section: str) -> None:
    """Keep the commit of a model that was downloaded, so that a branch that moves on changes nothing later.

    Parameters
    ----------
    settings, record, section
        As for :func:`find_checkpoint`.
    folder
        What it returned. Nothing is written for a folder of the user's.
    """
    named, revision = settings["transformers"], settings.get("revision", "main")
    if checkpoint_folder(named) is None:
        if not record.exists():
            tell(f"{section}: {revision} of {named} is the commit {folder.name}, which is used from now on")
        storage.write_json(record, {"model": named, "revision": revision, "commit": folder.name})


def read_architecture(folder: Path, named: str, section: str) -> str:
    """Return the class of Transformers that a checkpoint is for; its files are checked.

    Parameters
    ----------
    folder
        Where the checkpoint is.
    named
        What the setting ``transformers`` calls it.
    section
        Where its settings are, for errors.

    Raises
    ------
    UserError
        If the checkpoint has no configuration, is of another architecture, has no weights in safetensors, or has more
        of them than an ONNX file holds.
    """
    if not (folder / CONFIG).exists():
        raise UserError(f"{named}: has no {CONFIG}; name a checkpoint of Hugging Face Transformers")
    kind = _read(folder / CONFIG).get("model_type")
    if kind not in ARCHITECTURES:
        raise UserError(
            f"{named}: its model_type is {kind!r}, not one of {', '.join(ARCHITECTURES)}; export it to ONNX yourself "
            f"and set {section}.onnx to the file"
        )
    name = ARCHITECTURES[kind]
    if not (folder / WEIGHTS).exists():
        kinds = f"(t.{name}, t.AutoFeatureExtractor)"
        convert = f"[kind.from_pretrained('{named}').save_pretrained('converted') for kind in {kinds}]"
        raise UserError(
            f"{named}: has no {WEIGHTS}, and other weights, which may hold code, are not loaded; if you trust them, "
            f'run `python -c "import transformers as t; {convert}"` '
            f"and set {section}.transformers to that folder"
        )
    size = _count_weights(folder / WEIGHTS) * 4
    if size > LARGEST:
        raise UserError(
            f"{named}: {size / 1e9:,.1f} GB of weights, more than the {LARGEST / 1e9:,.0f} GB of one ONNX file; use a "
            "smaller model"
        )
    return name


def _count_weights(path: Path) -> int:
    """Return the number of values in a safetensors file, of which only the header is read."""
    import safetensors

    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({error})") from error


def read_normalize(folder: Path, named: str, section: str) -> str:
    """Return how clips are normalised for a checkpoint, ``none`` or ``zero-mean-unit-variance``.

    Parameters
    ----------
    folder, named, section
        As for :func:`read_architecture`.

    Raises
    ------
    UserError
        If the checkpoint is for another sampling rate.
    """
    if not (folder / PREPROCESSOR).exists():
        tell(f"{named}: has no {PREPROCESSOR}, so clips are not normalised; set {section}.normalize if they must be")
        return "none"
    given = _read(folder / PREPROCESSOR)
    rate = given.get("sampling_rate", SAMPLING_RATE)
    if rate != SAMPLING_RATE:
        raise UserError(f"{named}: reads audio at {rate} Hz, not {SAMPLING_RATE}; use another model")
    return "zero-mean-unit-variance" if given.get("do_normalize", True) else "none"


def read_licence(folder: Path, section: str) -> str | None:
    """Return the licence in the metadata of a checkpoint's model card; None if it names none.

    Parameters
    ----------
    folder, section
        As for :func:`read_architecture`.

    Raises
    ------
    UserError
        If the metadata cannot be read.
    """
    import huggingface_hub
    import yaml

    if not (folder / CARD).exists():
        return None
    try:
        data = huggingface_hub.metadata_load(folder / CARD) or {}
    except (ValueError, OSError, yaml.YAMLError) as error:
        raise UserError(f"{folder / CARD}: its metadata cannot be read; set {section}.licence") from error
    found = data.get("license_name") or data.get("license")  # the name says more than "other"
    return ", ".join(map(str, found)) if isinstance(found, list) else found and str(found)


def _read(path: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: not an object of JSON")
    return found
