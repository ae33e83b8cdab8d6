"""Loads outputs of xfer in the libraries that they are meant for, and fails at the first word about missing, unexpected or
mismatched weights.

    python tests/reference/load.py hf DIR...          each with the class that its config names, in transformers
    python tests/reference/load.py torch SCRIPT DIR   load_state_dict(strict=True) into `model` of SCRIPT

Needs torch, transformers and safetensors.
"""

import runpy
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file


def hugging_face(folder):
    config = transformers.AutoConfig.from_pretrained(folder)
    name = (config.architectures or ["AutoModel"])[0]
    model, info = getattr(transformers, name).from_pretrained(folder, output_loading_info=True)
    told = {kind: names for kind, names in info.items() if names}
    assert not told, f"{folder}: {told}"
    assert all(torch.isfinite(p).all() for p in model.parameters()), folder
    written = next(iter(load_file(next(iter(sorted(Path(folder).glob("*.safetensors"))))).values())).dtype
    print(f"{folder}: {name}, {sum(p.numel() for p in model.parameters())} parameters, {written}, nothing to say")


def strict(script, folder):
    state = {}
    for file in sorted(Path(folder).glob("*.safetensors")):
        state.update(load_file(file))
    model = runpy.run_path(script)["model"]
    model.load_state_dict(state, strict=True)
    print(f"{folder}: {len(state)} tensors, load_state_dict(strict=True) is content")


if sys.argv[1] == "hf":
    for folder in sys.argv[2:]:
        hugging_face(folder)
else:
    strict(*sys.argv[2:4])
