"""Import this before transformers: torchvision loads also where it was built for another torch (CUDA beside a CPU torch).

Its compiled operators are then absent, and not needed, but its import insists on the names of two.
"""

import sys

import torch

try:
    import torchvision  # noqa: F401
except ModuleNotFoundError:
    pass
except (RuntimeError, OSError):
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    OPERATORS = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        OPERATORS.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
