"""What torch.nn.init takes on one thread: M values/s of normal_, uniform_ and trunc_normal_, then milliseconds of orthogonal_ (3072, 768)."""

import statistics
import sys
import time

import torch

torch.set_num_threads(1)


def seconds(tensor, draw, passes):
    times = []
    for _ in range(passes):
        start = time.perf_counter()
        draw(tensor)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


values = int(sys.argv[1])
out = torch.empty(values)
for draw, passes in [
    (lambda t: torch.nn.init.normal_(t, std=0.02), 41),
    (lambda t: torch.nn.init.uniform_(t, -0.05, 0.05), 41),
    (lambda t: torch.nn.init.trunc_normal_(t, std=0.02, a=-0.04, b=0.04), 21),
]:
    print(values / seconds(out, draw, passes) / 1e6)
print(1e3 * seconds(torch.empty(3072, 768), torch.nn.init.orthogonal_, 5))
