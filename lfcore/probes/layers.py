"""Where in the network does an unlearned model leave its original? Linear CKA, layer by layer.

Kornblith et al., 1905.00414, between the outputs of each module of the body (flattened) and the logits of the two
models, on forget, affected-class and other-class test examples: `layer_cka`, 1 for equal representations up to rotation
and scale. A retrained model is compared with an original it does not come from, which is what independence looks like.
Ours; 2605.31317 measures no layers.
"""

import torch
from torch import nn

from lfcore.core.run import Row


@torch.no_grad()
def activations(model, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """The output of every parametrised or residual stage of `model.body`, and the logits, each (n, width) float64."""
    found, x = {}, model.normalise(images) if hasattr(model, "normalise") else images
    for name, module in model.body.named_children():
        x = module(x)
        if isinstance(module, nn.ReLU | nn.GELU | nn.Flatten) or list(module.children()):
            found[f"{int(name):02d}"] = x.flatten(1).double()
    found["logits"] = model.head(x).double()
    return found


def linear_cka(a: torch.Tensor, b: torch.Tensor) -> float:
    """|A^T B|^2 / (|A^T A| |B^T B|) of centred representations (n, p) and (n, q); NaN if one is constant."""
    a, b = a - a.mean(dim=0), b - b.mean(dim=0)
    left, right = a @ a.T, b @ b.T  # Gram matrices: n is smaller than the width of a convolution's output
    sizes = left.norm() * right.norm()
    return float((left * right).sum() / sizes) if sizes > 0 else float("nan")


def probe(subject):
    """Rows of `layer_cka`, scope "layer"."""
    parts = {"forget": ("forget", subject.forget.images)}
    if subject.affected is None:  # a random forget set: no class is affected
        parts["other"] = ("test", subject.test.images)
    else:
        affected = subject.test.labels == subject.affected
        parts["affected"] = ("test", subject.test.images[affected])
        parts["other"] = ("test", subject.test.images[~affected])
    for name, (split, images) in parts.items():
        own, before = activations(subject.model, images), activations(subject.original, images)
        for layer in own:
            number = linear_cka(own[layer], before[layer])
            yield Row(subject.seed, "", split, "layer_cka", "layer", f"{name}/{layer}", number)
