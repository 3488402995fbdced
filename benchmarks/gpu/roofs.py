"""What the card can do at most, by torch's own operations: python3 roofs.py DEVICE. One JSON object on the last line: bytes read,
bytes copied (read and written together), FLOP of a bf16 product, each a second, and microseconds between kernels that do nothing."""

import json
import sys
import time

import torch

DEVICE = sys.argv[1]
IS_GPU = DEVICE.startswith("cuda")
torch.set_grad_enabled(False)


def best(work, repeats):
    """Seconds of the fastest run. On a GPU between events, so the host's calls do not count."""
    work()
    seconds = []
    for _ in range(repeats):
        if IS_GPU:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            work()
            end.record()
            end.synchronize()
            seconds.append(begin.elapsed_time(end) / 1000)
        else:
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
    return min(seconds)


def launches(count):
    """Seconds a kernel, launched one after another."""
    x = torch.zeros(1, device=DEVICE)

    def work():
        for _ in range(count):
            x.add_(1)

    return best(work, 5) / count


def graph_nodes(count):
    """Seconds a node of a replayed graph."""
    x = torch.zeros(1, device=DEVICE)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(count):
            x.add_(1)
    return best(graph.replay, 10) / count


# 4 GB each, far beyond any cache; random, since a GPU multiplies zeros faster.
count, side = (2**31, 8192) if IS_GPU else (2**22, 256)
source = torch.randn(count, dtype=torch.bfloat16, device=DEVICE)
target = torch.empty_like(source)
size = source.nbytes
roofs = {
    # As 32-bit numbers: no conversion of each bf16 stands between the memory and the sum.
    "read": size / best(lambda: torch.amax(source.view(torch.int32)), 10),
    "copy": 2 * size / best(lambda: target.copy_(source), 10),
}
del source, target
a, b = (torch.randn(side, side, dtype=torch.bfloat16, device=DEVICE) for _ in range(2))
out = torch.empty_like(a)
roofs["product"] = 2 * side**3 / best(lambda: torch.mm(a, b, out=out), 20)
roofs["launchMicroseconds"] = launches(1000 if IS_GPU else 10) * 1e6
if IS_GPU:
    roofs["graphNodeMicroseconds"] = graph_nodes(1000) * 1e6
print(json.dumps(roofs))
