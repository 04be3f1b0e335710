"""Write tiny checkpoints with random weights, and what Transformers computes with them.

`python write_checkpoints.py FOLDER` runs in the environment of envs/requirements-encoders.txt, without serflow.
"""

import sys
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import transformers

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": (16, 16, 16),
    "conv_kernel": (20, 8, 4),
    "conv_stride": (10, 8, 4),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
STABLE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
BUCKETS = {"num_buckets": 16, "max_bucket_distance": 40}
DATA2VEC = {"num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 5}
# Folder → class, settings, and whether clips are normalised (None: the checkpoint does not say).
CHECKPOINTS = {
    "wav2vec2": ("Wav2Vec2ForCTC", {}, True),
    "wav2vec2-large": ("Wav2Vec2ForPreTraining", {**STABLE, "codevector_dim": 16, "proj_codevector_dim": 16}, True),
    "hubert": ("HubertModel", {}, None),
    "hubert-large": ("HubertForCTC", STABLE, True),
    "wavlm": ("WavLMModel", BUCKETS, False),
    "wavlm-large": ("WavLMModel", {**STABLE, **BUCKETS}, True),
    "data2vec-audio": ("Data2VecAudioModel", DATA2VEC, True),
}
LENGTHS = (4_000, 48_321)  # the second has more frames than the largest distance in BUCKETS


def write(folder: Path, kind: str, settings: dict, normalize: bool | None) -> None:
    """Write a checkpoint, and clips with hidden states (layers, frames, width) of them, raw and as prepared for it."""
    model_class = getattr(transformers, kind)
    torch.manual_seed(len(folder.name))
    model = model_class(model_class.config_class(**SMALL | settings)).eval()
    for parameter in model.parameters():  # norms and biases start at one and zero, which would hide what lacks them
        parameter.data += 0.02 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    prepare = transformers.Wav2Vec2FeatureExtractor(do_normalize=bool(normalize))
    if normalize is not None:
        prepare.save_pretrained(folder)
    base = getattr(model, model.base_model_prefix) if "For" in kind else model
    expected, random = {}, np.random.default_rng(0)
    for number, length in enumerate(LENGTHS):
        clip = (0.1 + 0.3 * random.standard_normal(length)).astype(np.float32)
        expected[f"clip{number}"] = clip
        prepared = prepare(clip, sampling_rate=16_000, return_tensors="np").input_values[0]
        for name, samples in (("raw", clip), ("prepared", prepared)):
            with torch.no_grad():
                found = base(torch.from_numpy(samples)[None], output_hidden_states=True)
                last = found.hidden_states[-1]
                # These are outputs of blocks, also where a layer norm follows the last one.
                norm = (
                    base.encoder.layer_norm
                    if base.config.to_dict().get("do_stable_layer_norm")
                    else torch.nn.Identity()
                )
                assert torch.equal(norm(last), found.last_hidden_state)
            expected[f"{name}{number}"] = torch.stack(found.hidden_states, dim=1)[0].numpy()
    np.savez(folder / "expected.npz", **expected)


def rename_weights(path: Path) -> None:
    """Call the weights of the positional convolution as PyTorch did before 2.0, which most checkpoints still do."""
    weights = safetensors.torch.load_file(path)
    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    renamed = {}
    for name, values in weights.items():
        for new, before in old.items():
            name = name.replace(new, before)
        renamed[name] = values
    assert renamed.keys() != weights.keys()
    safetensors.torch.save_file(renamed, path, {"format": "pt"})


def main(folder: Path) -> None:
    for name, (kind, settings, normalize) in CHECKPOINTS.items():
        (folder / name).mkdir(parents=True)
        write(folder / name, kind, settings, normalize)
    for name in ("wav2vec2", "wavlm"):
        rename_weights(folder / name / "model.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
