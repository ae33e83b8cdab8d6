# Writes listing.json, an architecture file for xfer, from any torch.nn.Module. On the meta device, so without weights.
import json

import torch

from your_package import YourModule  # 1. your class

with torch.device("meta"):
    model = YourModule()  # 2. with your arguments


def class_of(module):
    facts = []
    if isinstance(module, torch.nn.modules.conv._ConvNd):
        if module.groups != 1:
            facts.append(f"groups={module.groups}")
        if module.transposed and set(module.stride) != {1}:
            facts.append("stride=" + "x".join(map(str, module.stride)))
    return type(module).__name__ + (f"({', '.join(facts)})" if facts else "")


owners, seen, tensors = {}, {}, {}
for path, module in model.named_modules(remove_duplicate=False):
    for name in (*module._parameters, *module._buffers):
        owners[f"{path}.{name}" if path else name] = class_of(module)
for name, tensor in model.state_dict(keep_vars=True).items():
    if not isinstance(tensor, torch.Tensor):
        continue  # what get_extra_state returns is no tensor
    tensors[name] = {"shape": list(tensor.shape)}
    if tensor.dtype != torch.get_default_dtype():
        tensors[name]["dtype"] = str(tensor.dtype).removeprefix("torch.")
    if name in owners:
        tensors[name]["module"] = owners[name]
    if not isinstance(tensor, torch.nn.Parameter):
        tensors[name]["buffer"] = True
    # ties by identity: on the meta device every data_ptr is 0
    if (owner := seen.setdefault(id(tensor), name)) != name:
        tensors[name]["tied_to"] = owner

lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(tensor)}" for name, tensor in tensors.items())
with open("listing.json", "w") as file:
    file.write(f'{{ "xfer": 1,\n  "tensors": {{\n{lines} }} }}\n')
