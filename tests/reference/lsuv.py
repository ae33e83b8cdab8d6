"""Recomputes with PyTorch, from written checkpoints, the variance that every layer scaled by LSUV gives, and compares it with its target.

    python tests/reference/lsuv.py XFER [BERT]      XFER the binary, BERT a directory with a BertModel of Hugging Face

An MLP of 40 ReLU layers of 512 on 256 examples; a ResNet-18 on 16 images; BERT with two layers of which one is new between each pair, on
texts with padding. Exits with 1 where a variance is off its target by more than a tenth.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def init(xfer, folder, *arguments):
    command = [xfer, "init", "--out", str(folder / "out"), "--init", "lsuv", "--data", str(folder / "data.safetensors"), *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    report = json.loads((folder / "out/xfer.json").read_text())
    visits = {tensor["name"]: tensor["lsuv"] for tensor in report["tensors"] if tensor.get("lsuv")}
    return load_file(folder / "out/model.safetensors"), visits


def measure(model, inputs, keep=None):
    """The population variance of what each weight gives, without its bias, by the weight's name."""
    found = {}

    def hook(name):
        def note(module, _, output):
            bias = getattr(module, "bias", None)
            output = output if bias is None else output - bias.view([1, -1] + [1] * (output.dim() - 2) if output.dim() == 4 else [-1])
            rows = output[keep] if keep is not None and output.dim() == 3 else output
            found.setdefault(name + ".weight", rows.double().var(unbiased=False).item())

        return note

    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            module.register_forward_hook(hook(name))
    with torch.no_grad():
        model(**inputs) if isinstance(inputs, dict) else model(inputs)
    return found


def compare(title, visits, found):
    assert visits, f"{title}: nothing was scaled"
    worst = max(abs(found[name] - visit["target"]) / visit["target"] for name, visit in visits.items())
    targets = [visit["target"] for visit in visits.values()]
    print(f"{title}: {len(visits)} layers, targets {min(targets):.4g} to {max(targets):.4g}, at most {worst:.2%} off")
    return worst <= 0.1


def mlp(xfer, folder):
    depth, width, examples = 40, 512, 256
    hidden = {"repeat": depth, "name": "hidden", "layers": [{"type": "linear", "name": "fc", "out": width}, {"type": "relu"}]}
    (folder / "net.json").write_text(json.dumps({"xfer": 1, "inputs": {"x": {"shape": ["batch", width]}}, "layers": [hidden]}))
    x = torch.randn(examples, width)
    save_file({"x": x}, folder / "data.safetensors")
    state, visits = init(xfer, folder, "--from", "none", "--arch", str(folder / "net.json"))
    model = nn.Module()
    model.hidden = nn.ModuleList([nn.ModuleDict({"fc": nn.Linear(width, width)}) for _ in range(depth)])
    model.load_state_dict(state)

    def forward(x):
        for layer in model.hidden:
            x = layer["fc"](x).relu()
        return x

    model.forward = forward
    return compare("MLP", visits, measure(model, x))


def resnet(xfer, folder):
    from torchvision.models import resnet18

    x = torch.randn(16, 3, 224, 224)
    save_file({"x": x}, folder / "data.safetensors")
    arch = str(ROOT / "fixtures/resnet18/resnet18.json")
    state, visits = init(xfer, folder, "--from", "none", "--arch", arch)
    model = resnet18().train()
    model.load_state_dict(state)
    return compare("ResNet-18", visits, measure(model, x))


def bert(xfer, folder, source):
    from transformers import AutoModel

    config = json.loads((pathlib.Path(source) / "config.json").read_text())
    layers = config["num_hidden_layers"]
    depth = ",".join(f"{i},new" for i in range(layers))
    length = min(48, config["max_position_embeddings"])
    ids = torch.randint(5, config["vocab_size"], (12, length))
    mask = torch.ones_like(ids)
    mask[::2, length // 2 :] = 0
    save_file({"input_ids": ids, "attention_mask": mask}, folder / "data.safetensors")
    _, visits = init(xfer, folder, "--from", source, "--arch", source, "--set", f"num_hidden_layers={2 * layers}", "--depth", f"encoder.layer={depth}")
    model = AutoModel.from_pretrained(folder / "out").eval()
    found = measure(model, {"input_ids": ids, "attention_mask": mask}, mask.bool())
    return compare("BERT", visits, found)


def main():
    torch.manual_seed(0)
    xfer, sources = sys.argv[1], sys.argv[2:]
    jobs = [mlp, resnet] + [lambda xfer, folder, source=source: bert(xfer, folder, source) for source in sources]
    results = []
    for job in jobs:
        with tempfile.TemporaryDirectory() as folder:
            results.append(job(xfer, pathlib.Path(folder)))
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
