"""What the Python package `lsuv` takes for its bare call, in seconds: `python lsuv.py resnet18 16` or `python lsuv.py mlp 40 512 256`.

The folder of this file must not shadow the package, so it leaves the search path first.
"""

import sys
import time

sys.path = [path for path in sys.path if not path.endswith("peers")]

import torch
from lsuv import lsuv_with_singlebatch
from torch import nn

torch.manual_seed(0)
kind, *numbers = sys.argv[1:]
numbers = [int(number) for number in numbers]
if kind == "resnet18":
    from torchvision.models import resnet18

    model, data = resnet18(), torch.randn(numbers[0], 3, 224, 224)
else:
    depth, width, batch = numbers
    layers = [layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.ReLU())]
    model, data = nn.Sequential(*layers), torch.randn(batch, width)
with torch.no_grad():
    start = time.perf_counter()
    model(data)
    forward = time.perf_counter() - start
start = time.perf_counter()
lsuv_with_singlebatch(model, data, device=torch.device("cpu"), verbose=False)
print(time.perf_counter() - start, forward)
