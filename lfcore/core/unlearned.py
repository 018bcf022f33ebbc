"""What an unlearner returns when it has more to say than the new model."""

from dataclasses import dataclass, field

import numpy as np
import torch


@dataclass(frozen=True)
class Unlearned:
    """A new model, and what the method noted on the way.

    notes: numbers by name, for the model's record.
    teacher_logits: (m, classes), float32, what a teacher says of the m forget examples; None without a teacher.
    """

    model: torch.nn.Module
    notes: dict[str, float] = field(default_factory=dict)
    teacher_logits: np.ndarray | None = None
