"""Steps of SGD and AdamW whose rate may be set at any time: on the CPU, and on a GPU such that a graph replays them.

On the CPU it is the arithmetic of torch.optim, to the last bit, without its classes. The first `torch.optim.SGD(...)`
of a process imports torch's compiler, which nothing here uses and which costs a job as much CPU time as importing torch
itself. The functions beneath the classes do not.
"""

import torch
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd


class Descent:
    """What `torch.optim.SGD` or `torch.optim.AdamW` ("sgd" or "adamw") is, for parameters on the CPU; `lr` may be set.

    A parameter without a gradient is left alone, and its state too.
    """

    def __init__(self, parameters, lr: float, *, optimizer: str, momentum: float, nesterov: bool, weight_decay: float):
        self.parameters, self.lr, self.optimizer = list(parameters), lr, optimizer
        self.momentum, self.nesterov, self.weight_decay = momentum, nesterov, weight_decay
        self.state = [None] * len(self.parameters)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Take a step along the gradients."""
        places = [place for place, parameter in enumerate(self.parameters) if parameter.grad is not None]
        given = [self.parameters[place] for place in places]
        gradients = [parameter.grad for parameter in given]
        if self.optimizer == "sgd":
            buffers = [self.state[place] for place in places]
            options = {"momentum": self.momentum, "dampening": 0, "nesterov": self.nesterov and self.momentum != 0}
            sgd(given, gradients, buffers, lr=self.lr, weight_decay=self.weight_decay, maximize=False, **options)
            for place, buffer in zip(places, buffers, strict=True):
                self.state[place] = buffer
            return
        for place in places:
            if self.state[place] is None:
                moments = (torch.zeros_like(self.parameters[place]) for _ in range(2))
                self.state[place] = (*moments, torch.zeros(()))
        means, squares, steps = map(list, zip(*(self.state[place] for place in places), strict=True))
        options = {"amsgrad": False, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "maximize": False}
        adamw(given, gradients, means, squares, [], steps, lr=self.lr, weight_decay=self.weight_decay, **options)


class FusedDescent:
    """Likewise on a GPU: torch.optim's own, all parameters in a kernel, with a rate that a graph reads from memory."""

    def __init__(self, parameters, lr: float, *, optimizer: str, momentum: float, nesterov: bool, weight_decay: float):
        parameters = list(parameters)
        self.rate = torch.tensor(lr, device=parameters[0].device)
        options = {"weight_decay": weight_decay, "fused": True}
        if optimizer == "sgd":
            self.steps = torch.optim.SGD(
                parameters, self.rate, momentum=momentum, nesterov=nesterov and momentum != 0, **options
            )
        else:
            self.steps = torch.optim.AdamW(parameters, self.rate, capturable=True, **options)
            self.steps._warned_capturable_if_run_uncaptured = True  # the first steps are meant to run uncaptured
        self.zero_grad, self.step = self.steps.zero_grad, self.steps.step

    @property
    def lr(self) -> float:
        """The rate of the next step."""
        return self.rate.item()

    @lr.setter
    def lr(self, value: float) -> None:
        self.rate.fill_(value)
