"""Torchvision, also where its build and torch's do not match: import it from here.

PyPI's torchvision is built for CUDA, and beside a CPU build of torch its import fails for want of two operators. On
that very error they are declared, without an implementation, and the import is tried again: data sets and networks
work, `ops.nms` does not.
"""

import sys

import torch

_declared = []


def _load():
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declared.append(library)  # the operators live as long as it does
        import torchvision
    return torchvision


torchvision = _load()
