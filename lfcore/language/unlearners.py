"""Unlearners of language models. An unlearner is a function in this file, and its name is the function's.

It takes `model`, which stays as it is, and only those of the sets `retain` and `forget` that it may see. All minimise
by AdamW with a constant rate. l(a|q) is the sum of the log-likelihoods of the tokens of an answer, and

    CE(B) = -(sum_{(q, a) in B} l(a|q)) / (number of answer tokens in B)

the cross-entropy on a batch. An epoch is one pass over the forget set, but for `fine_tuning` over the retain set;
where both are read, a batch of the retain set of the same size is drawn beside each, over and over.
"""

import copy
import inspect
import sys

import torch
from torch.nn.functional import logsigmoid

from lfcore.core import plugins
from lfcore.core.errors import InputError
from lfcore.core.seeds import generator
from lfcore.language.network import Texts
from lfcore.language.scores import log_likelihoods
from lfcore.training.fit import cycle, fit


def answer_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """CE of a batch: the mean over all tokens of its answers."""
    totals, counts = log_likelihoods(logits, labels)
    return -totals.sum() / counts.sum()


def learn(model, texts: Texts, loss, **training):
    """Train `model` in place on `loss(logits, rows)` by AdamW, and return it in eval mode. Raises Diverged.

    training: options of `lfcore.training.fit.fit`.
    """
    return fit(model, texts.tokens, lambda logits, batch: loss(logits, batch.rows), optimizer="adamw", **training)


def learn_answers(model, texts: Texts, *, sign: int = 1, beside=lambda: 0.0, **training):
    """`learn` with the loss sign * CE of a batch of `texts`, plus `beside()`."""
    return learn(
        model, texts, lambda logits, rows: beside() + sign * answer_loss(logits, texts.labels[rows]), **training
    )


def _on_retain(model, retain: Texts, batch_size: int, draws: torch.Generator):
    """A function without arguments: CE of the model on the next batch of the retain set."""
    order = cycle(len(retain), batch_size, draws)

    def loss():
        rows = next(order).to(retain.tokens.device)
        return answer_loss(model(retain.tokens[rows]), retain.labels[rows])

    return loss


def ascent(model, forget: Texts, *, seed: int, lr: float, epochs: int = 5, batch_size: int = 16):
    """Gradient ascent: minimise -CE(B_f). As in TOFU, 2401.06121, sec. 4.1; Jang et al., 2210.01504, eq. 2."""
    model, draws = copy.deepcopy(model), generator(seed, "ascent", "batches")
    return learn_answers(model, forget, sign=-1, generator=draws, lr=lr, epochs=epochs, batch_size=batch_size)


def gradient_difference(
    model, retain: Texts, forget: Texts, *, seed: int, lr: float, epochs: int = 5, batch_size: int = 16
):
    """Gradient difference: minimise -CE(B_f) + CE(B_r). Liu et al., 2203.12817; as in TOFU, 2401.06121, sec. 4.1."""
    model, draws = copy.deepcopy(model), generator(seed, "gradient_difference", "batches")
    kept = _on_retain(model, retain, batch_size, generator(seed, "gradient_difference", "retain batches"))
    return learn_answers(
        model, forget, sign=-1, beside=kept, generator=draws, lr=lr, epochs=epochs, batch_size=batch_size
    )


def npo_loss(totals: torch.Tensor, originally: torch.Tensor, beta: float) -> torch.Tensor:
    """-(2/beta) mean log sigmoid(-beta (l - l_original)): eq. 3 of 2404.05868. totals, originally: l(a|q), (n,)."""
    return -2 / beta * logsigmoid(-beta * (totals - originally)).mean()


def _npo(model, forget: Texts, kept, *, beta: float, **training):
    with torch.no_grad():
        originally = log_likelihoods(model(forget.tokens), forget.labels)[0]

    def loss(logits, rows):
        totals, _ = log_likelihoods(logits, forget.labels[rows])
        return npo_loss(totals, originally[rows], beta) + kept()

    return learn(model, forget, loss, **training)


def npo(model, forget: Texts, *, seed: int, lr: float, beta: float = 0.1, epochs: int = 5, batch_size: int = 16):
    """Negative preference optimisation: minimise `npo_loss` on B_f, relative to the original model.

    Zhang et al., Negative Preference Optimization, 2404.05868, eq. 3; as beta goes to 0 its gradient is ascent's, on
    sums instead of means over tokens.
    """
    model, draws = copy.deepcopy(model), generator(seed, "npo", "batches")
    return _npo(model, forget, lambda: 0.0, generator=draws, beta=beta, lr=lr, epochs=epochs, batch_size=batch_size)


def npo_retain(
    model, retain: Texts, forget: Texts, *, seed: int, lr: float, beta: float = 0.1, epochs: int = 5,
    batch_size: int = 16,
):  # fmt: skip
    """NPO with the retain loss: minimise `npo_loss` on B_f plus CE(B_r). Zhang et al., 2404.05868, "NPO+RT"."""
    model, draws = copy.deepcopy(model), generator(seed, "npo_retain", "batches")
    kept = _on_retain(model, retain, batch_size, generator(seed, "npo_retain", "retain batches"))
    return _npo(model, forget, kept, generator=draws, beta=beta, lr=lr, epochs=epochs, batch_size=batch_size)


def fine_tuning(model, retain: Texts, *, seed: int, lr: float, epochs: int = 5, batch_size: int = 64):
    """Retain fine-tuning: minimise CE(B_r), and leave forgetting to itself. A baseline of many; no paper's setting."""
    model, draws = copy.deepcopy(model), generator(seed, "fine_tuning", "batches")
    return learn_answers(model, retain, generator=draws, lr=lr, epochs=epochs, batch_size=batch_size)


def known() -> dict[str, inspect.Signature]:
    """The unlearners by name, with what they take: the functions of this file with a seed and a rate."""
    functions = inspect.getmembers(sys.modules[__name__], inspect.isfunction)
    found = {name: inspect.signature(function) for name, function in functions}
    return {name: signature for name, signature in found.items() if {"seed", "lr"} <= set(signature.parameters)}


def check_options(unlearner: str, options: dict) -> None:
    """Raise InputError unless `unlearner` ("name" or "name-variant") is here and takes `options`."""
    name = unlearner.split("-")[0]
    if name not in known():
        raise InputError(f"There is no language unlearner called {name!r}: choose one of {', '.join(known())}.")
    plugins.check_options(unlearner, options, __file__, name)


def apply(unlearner: str, model, retain: Texts, forget: Texts, *, seed: int, options: dict):
    """A new model, by `unlearner`, which is handed only those of the two sets that it reads. Raises Diverged."""
    name = unlearner.split("-")[0]
    sets = {"retain": retain, "forget": forget}
    seen = {part: texts for part, texts in sets.items() if part in known()[name].parameters}
    return getattr(sys.modules[__name__], name)(model, **seen, seed=seed, **options)
