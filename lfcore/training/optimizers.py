"""Steps of SGD, Adam and AdamW: the arithmetic of torch.optim, to the last bit, without its classes.

The first `torch.optim.SGD(...)` of a process imports torch's compiler, which nothing here uses and which costs a job as
much CPU time as importing torch itself (3.5 s and 3.7 s). The functions beneath the classes do not.
"""

import torch
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from lfcore.core.errors import InputError


class Descent:
    """What `torch.optim.SGD`, `Adam` or `AdamW` ("sgd", "adam", "adamw") is; `lr` may be set before every step.

    Weight decay is added to the gradient, as for an l2 penalty, by SGD and Adam; AdamW shrinks the weight itself.
    A parameter without a gradient is left alone, and its state too. Raises InputError for what can't be.
    """

    def __init__(self, parameters, lr: float, *, optimizer="sgd", momentum=0.9, nesterov=False, weight_decay=0.0):
        if optimizer not in ("sgd", "adam", "adamw"):
            raise InputError(f"There is no optimizer called {optimizer!r}: choose sgd, adam or adamw.")
        if min(lr, momentum, weight_decay) < 0:
            raise InputError("lr, momentum and weight_decay can't be negative: give zero or more.")
        self.parameters, self.lr, self.optimizer, self.weight_decay = list(parameters), lr, optimizer, weight_decay
        self.momentum = {"momentum": momentum, "dampening": 0, "nesterov": nesterov and momentum != 0}
        self.state = {}  # of each parameter: its momentum, or its two moments and the number of its steps

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Take a step along the gradients."""
        given = [parameter for parameter in self.parameters if parameter.grad is not None]
        gradients = [parameter.grad for parameter in given]
        options = {"lr": self.lr, "weight_decay": self.weight_decay, "maximize": False}
        if self.optimizer == "sgd":
            buffers = [self.state.get(parameter) for parameter in given]
            sgd(given, gradients, buffers, **self.momentum, **options)
            self.state.update(zip(given, buffers, strict=True))
            return
        for parameter in given:
            if parameter not in self.state:
                self.state[parameter] = (torch.zeros_like(parameter), torch.zeros_like(parameter), torch.zeros(()))
        means, squares, steps = map(list, zip(*(self.state[parameter] for parameter in given), strict=True))
        betas = {"amsgrad": False, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
        take = adam if self.optimizer == "adam" else adamw
        take(given, gradients, means, squares, [], steps, **betas, **options)
