"""What the scripts of single kernels share: the library, whose path is the first argument, and rows. A row is a JSON object a line: microseconds of
both, seven of each; bytes that must be read or written at least; and the error against fp32, relative to all numbers."""

import ctypes
import json
import sys

import torch

library = ctypes.CDLL(sys.argv[1])
torch.set_grad_enabled(False)
pointer = lambda x: ctypes.c_void_p(0 if x is None else x.data_ptr())
stream = lambda: ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
number = ctypes.c_int64
CACHE = 2**28  # bytes, beyond any L2


def seven_times(run, copies):
    times = []
    for _ in range(7):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        run()
        end.record()
        end.synchronize()
        times.append(1000 * begin.elapsed_time(end) / copies)
    return times


def microseconds(work, copies):
    """Of one of `copies` calls of work(i), in a graph that is replayed seven times."""
    for i in range(copies):
        work(i)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for i in range(copies):
            work(i)
    return seven_times(graph.replay, copies)


def microseconds_eagerly(work, copies):
    """The same without a graph, for what cannot be captured: what the host takes to launch it is part of it."""

    def run():
        for i in range(copies):
            work(i)

    run()
    torch.cuda.synchronize()
    return seven_times(run, copies)


def error_of(actual, truth):
    return ((actual.float() - truth).norm() / truth.norm()).item()


def tell(name, mine, other, others, size, error):
    print(json.dumps({"name": name, "us": mine, "beside": other, "besideUs": others, "bytes": size, "error": error}), flush=True)
