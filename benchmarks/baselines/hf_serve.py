"""`transformers serve` with the arguments that follow, where torchvision was built for another torch: see hf.py. Its decoder of pictures
is not there then, and Pillow reads PNG to the same pixels in its place."""

import io
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch

if "+cpu" in torch.__version__:
    _operators = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _operators.define(_name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import torchvision.io.image
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor
from transformers import image_utils
from transformers.cli.transformers import app


def decode(data, mode=None):
    file = data if isinstance(data, str) else io.BytesIO(data.numpy().tobytes())
    return pil_to_tensor(Image.open(file).convert("RGB"))


try:
    torchvision.io.image._assert_has_image_ops()
except RuntimeError:
    image_utils.decode_image = decode
sys.argv[1:1] = ["serve"]
app()
