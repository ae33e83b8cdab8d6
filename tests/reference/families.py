"""Every family through `xfer init` and the reference library: its tiny checkpoint into its own config, and into one with other layers,
vocabulary, labels and positions.

    python tests/reference/families.py XFER [RUN...]

Own config: every tensor is copied, the logits are those of the fixture. Other config: transformers loads it with nothing missing,
unexpected or mismatched; with only vocabulary, labels and positions changed, the body computes what it computed.

Needs torch, transformers and safetensors.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = [ROOT / "fixtures" / name for name in ("families", "llama", "gpt2", "bert")]

# which keys of a config count layers, and which positions
LAYERS = ["num_hidden_layers", "n_layers", "n_layer", "num_layers", "num_decoder_layers", "encoder_layers", "decoder_layers"]
POSITIONS = ["max_position_embeddings", "n_positions", "max_target_positions"]


def xfer(*arguments):
    command = [sys.argv[1], *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    for _ in range(2):
        # what the hints say: layers by stacking, and what the first layer of ModernBERT lacks as new
        hints = re.findall(r"hint: (--depth) '([^']*=stack)'|hint: (--new) '([^']*)'", done.stderr)
        if done.returncode == 0 or not hints:
            break
        command += [word for hint in hints for word in hint if word]
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}\n{done.stderr}"
    return json.loads(done.stdout)


def load(folder):
    config = transformers.AutoConfig.from_pretrained(folder)
    config._attn_implementation = config._experts_implementation = "eager"
    name = config.architectures[0]
    module = transformers if hasattr(transformers, name) else transformers.models.gemma3.modeling_gemma3
    model, info = getattr(module, name).from_pretrained(folder, config=config, output_loading_info=True, dtype=torch.float32)
    told = {kind: names for kind, names in info.items() if names}
    assert not told, f"{folder}: {told}"
    assert all(torch.isfinite(p).all() for p in model.parameters()), folder
    # in f64: where a window leaves a padded position nothing to see, two f32 minima add up to NaN there
    return model.double().eval()


def outputs(model, inputs):
    with torch.no_grad():
        fed = {key: value.double() if value.is_floating_point() else value for key, value in inputs.items()}
        output = model(**fed, output_hidden_states=True)
    states = output.get("hidden_states") or output.get("decoder_hidden_states") or output.get("encoder_hidden_states")
    return output.get("logits"), states


def difference(a, b, mask):
    """The largest, where there is a token: what stands on padding means nothing to anyone."""
    far = (a - b).abs()
    if mask is not None and far.dim() >= 2 and far.shape[:2] == mask.shape:
        far = far[mask.bool()]
    return far.max().item()


def source(folder, run, work):
    """The fixture as a directory that anyone could have published."""
    work.mkdir(parents=True)
    (work / "config.json").write_text(json.dumps(run["config"]))
    (work / "model.safetensors").write_bytes((folder / run["weights"]).read_bytes())
    return work


def changed(config, layers):
    config = json.loads(json.dumps(config))
    for key in LAYERS:
        if layers and key in config:
            config[key] += 1
    if layers and "layer_types" in config:
        config["layer_types"].append("full_attention")
    # DeBERTa without buckets counts distances up to this number: another one is another table; LongRoPE without a factor computes it
    # from this number: another one is another scale
    means_more = config.get("position_buckets") == -1 or (config.get("rope_scaling") or {}).get("type") == "longrope"
    for key in POSITIONS:
        if key in config and not means_more:
            config[key] += 3
    config["vocab_size"] += 4
    config["id2label"] = {str(i): f"label {i}" for i in range(7)}
    config["label2id"] = {f"label {i}": i for i in range(7)}
    config.pop("num_labels", None)
    return config


def check(folder, run, work):
    name = pathlib.Path(run["weights"]).stem
    published = source(folder, run, work / "source")
    reference = load_file(folder / run["reference"])
    known = ("logits", "hidden", "encoder_hidden", "pooled")
    inputs = {key: value for key, value in reference.items() if key not in known}

    own = work / "own"
    report = xfer("init", "--from", published, "--arch", published, "--out", own, "--json", "--no-sync")
    actions = {target["action"] for target in report["tensors"]}
    assert actions <= {"copied", "tied"}, (name, actions)
    before, after = load_file(published / "model.safetensors"), load_file(own / "model.safetensors")
    for key, value in before.items():
        if key in after:
            assert torch.equal(value, after[key]), (name, key)
    model = load(own)
    logits, states = outputs(model, inputs)
    mask = inputs.get("attention_mask")
    if logits is not None and "logits" in reference:
        far = difference(logits, reference["logits"], mask)
        assert far < 1e-4, (name, "own logits", far)

    for layers in (False, True):
        config = changed(run["config"], layers)
        target = work / f"other{int(layers)}.json"
        target.write_text(json.dumps(config))
        out = work / f"other{int(layers)}"
        report = xfer("init", "--from", published, "--arch", target, "--out", out, "--json", "--no-sync")
        grown = load(out)
        if not layers:
            _, found = outputs(grown, inputs)
            for a, b in zip(states or [], found or []):
                assert difference(a, b, mask) < 1e-4, (name, "grown body", difference(a, b, mask))
    return name, len(report["tensors"])


with tempfile.TemporaryDirectory() as temporary:
    failed = []
    for folder in FIXTURES:
        for place, run in enumerate(json.loads((folder / "runs.json").read_text())):
            stem = pathlib.Path(run["weights"]).stem
            if sys.argv[2:] and stem not in sys.argv[2:]:
                continue
            try:
                name, count = check(folder, run, pathlib.Path(temporary) / f"{folder.name}-{place}")
                print(f"{folder.name}/{name}: own config all copies, grown to {count} tensors, nothing to say", flush=True)
            except AssertionError as error:
                failed.append(stem)
                print(f"{folder.name}/{stem}: FAILED {str(error)[:1500]}", flush=True)
    print(f"failed: {failed}" if failed else "all content")
    sys.exit(bool(failed))
