"""Predictions: the interface between models and everything that is measured."""

import numpy as np
import torch

from lfcore.core.data import Data
from lfcore.core.errors import Diverged
from lfcore.core.examples import pixels


@torch.no_grad()
def outputs(model: torch.nn.Module, images: torch.Tensor, batch_size: int = 1024) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (n, classes) and penultimate features (n, width) of images (n, c, h, w) or uint8, in eval mode."""
    model.eval()
    features = torch.cat([model.features(pixels(part)) for part in images.split(batch_size)])
    return model.head(features), features


def predict(model: torch.nn.Module, images: np.ndarray, device: str) -> dict[str, np.ndarray]:
    """Float32 logits and features of every image, un-augmented. Raises Diverged if any logit is not finite."""
    logits, features = outputs(model, torch.from_numpy(images).to(device))
    if not torch.isfinite(logits).all():
        raise Diverged("The model predicts values that are not finite: lower lr.")
    return {"logits": logits.float().cpu().numpy(), "features": features.float().cpu().numpy()}


def accuracies(predictions: dict[str, np.ndarray], dataset: Data, splits: dict[str, np.ndarray]) -> dict[str, float]:
    """Accuracy in percent on the named sets of rows, and on the test rows."""
    correct = predictions["logits"].argmax(1) == dataset.labels
    return {name: 100 * float(correct[rows].mean()) for name, rows in {**splits, "test": dataset.test}.items()}
