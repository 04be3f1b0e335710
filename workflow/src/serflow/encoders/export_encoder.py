"""Export a checkpoint of Hugging Face Transformers as an encoder: every hidden state, as ONNX with a description.

The work is done by PyTorch and Transformers, which are needed for this alone: envs/requirements-encoders.txt.
"""

import importlib.util
import io
import os
import warnings
from collections.abc import Mapping
from pathlib import Path

from serflow import storage
from serflow.encoders.checkpoint import (
    WEIGHTS,
    find_checkpoint,
    read_architecture,
    read_licence,
    read_normalize,
    record_commit,
)
from serflow.encoders.describe import SAMPLING_RATE, describe_onnx
from serflow.encoders.fetch_encoder import UNKNOWN_LICENCE, describe_source
from serflow.encoders.settings import EXPORTED
from serflow.runtime.errors import UserError

_NEEDED = ("torch", "transformers", "huggingface_hub")
_OPSET = 17
# Training replaces masked frames by it; no other computation reads it, and some checkpoints lack it.
_UNUSED = "masked_spec_embed"


def export_encoder(*, encoder: str, settings: Mapping, output: Path, description: Path) -> None:
    """Write a checkpoint of Hugging Face Transformers as ONNX, and its description.

    Parameters
    ----------
    encoder
        Name of the encoder.
    settings
        Its settings: ``transformers``, a folder or a model id on Hugging Face, and where needed ``revision``,
        ``sha256`` of its weights, ``licence``, ``normalize`` and ``batch``.
    output
        ONNX file to write. Its input is ``waveform``, float32 (batch, samples) at 16 kHz; its output is
        ``hidden_states``, float32 (batch, layers, frames, width), those of ``output_hidden_states`` in Transformers:
        the input of the first block, then the output of each. A layer norm after the last block, which large models
        have, is not part of them.
    description
        JSON file to write: what :mod:`serflow.encoders.describe` found, ``name``, ``source``, ``source_sha256`` and
        ``licence``.

    Raises
    ------
    UserError
        If PyTorch or Transformers is missing, or the checkpoint cannot be fetched, is not the expected one, or
        cannot be exported.
    """
    section, named = f"encoders.{encoder}", settings[EXPORTED]
    for name in _NEEDED:
        if importlib.util.find_spec(name) is None:
            raise UserError(
                f"config: {section}.transformers needs {name}, which is not installed: pip install -r "
                "envs/requirements-encoders.txt, or add --sdm conda to the snakemake command"
            )
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when it is imported
    # No output of the rule, or Snakemake would delete it before the rule runs again.
    record = description.with_name(f"{encoder}.download.json")
    folder, source = find_checkpoint(settings, record, section)
    architecture = read_architecture(folder, named, section)
    normalize = settings.get("normalize") or read_normalize(folder, named, section)
    licence = settings.get("licence") or read_licence(folder, section) or UNKNOWN_LICENCE
    about = describe_source(source, folder / WEIGHTS, licence)
    wanted = settings.get("sha256", about["source_sha256"])
    if about["source_sha256"] != wanted:
        raise UserError(
            f"{named}: the sha256 of its {WEIGHTS} is {about['source_sha256']}, not {wanted} as {section}.sha256 says"
        )
    content = _export(folder, architecture, named)
    found = describe_onnx(content, {"normalize": normalize, "batch": settings.get("batch", 1)}, named, section)
    with storage.replacing(output) as partial:
        partial.write_bytes(content)
    storage.write_json(description, {"name": encoder, **about, **found})
    record_commit(settings, folder, record, section)


def _export(folder: Path, architecture: str, named: str) -> bytes:
    """Return the ONNX model of a checkpoint; the same weights give the same bytes."""
    import torch

    model = _load(folder, architecture, named)

    class HiddenStates(torch.nn.Module):
        """All hidden states in one tensor, (batch, layers, frames, width)."""

        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, waveform):
            return torch.stack(self.model(waveform, output_hidden_states=True).hidden_states, dim=1)

    content = io.BytesIO()
    # The exporter by tracing: the one by torch.export gives as fast a model and takes six times as long.
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of branches on shapes, which the tests compare for several lengths
        torch.onnx.export(
            HiddenStates().eval(),
            (torch.zeros(1, 2 * SAMPLING_RATE),),
            content,
            dynamo=False,
            opset_version=_OPSET,
            input_names=["waveform"],
            output_names=["hidden_states"],
            dynamic_axes={"waveform": {0: "batch", 1: "samples"}, "hidden_states": {0: "batch", 2: "frames"}},
        )
    return content.getvalue()


def _load(folder: Path, architecture: str, named: str):
    """Return the model with the weights of a checkpoint, all of which must be there."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        # A class of Transformers, not an automatic one, which may load code from the checkpoint. Other implementations
        # of attention are not traced for every length.
        model, loaded = getattr(transformers, architecture).from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            dtype=torch.float32,
            attn_implementation="eager",
            output_loading_info=True,
        )
    except Exception as error:  # those of Transformers have no common class
        raise UserError(f"{named}: cannot be loaded ({' '.join(str(error).split())[:200]})") from error
    missing = sorted(set(loaded["missing_keys"]) - {_UNUSED})
    if missing:
        raise UserError(f"{named}: its {WEIGHTS} lacks {len(missing)} weights of the encoder, such as {missing[0]}")
    return model.eval()
