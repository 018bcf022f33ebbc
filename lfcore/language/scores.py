"""How well a model knows answers: likelihood, exact match and truth ratio, of every sample.

With l(a|q) = (1/|a|) sum_i log p(a_i | q, a_<i) over the tokens of the answer a and its end:

    log-likelihood  l(a|q), in nats per token
    exact match     whether greedy decoding gives a, which is whether each a_i is the likeliest token after a_<i
    truth ratio     mean over perturbed answers â of exp l(â|q), divided by exp l(ã|q) for a paraphrased answer ã

The first and the last are those of TOFU, Maini et al., 2401.06121, sec. 2.2 (eq. 1; its code takes the geometric mean
of the perturbed answers instead). A truth ratio well below 1 says that the model prefers the truth to other answers,
about 1 that it doesn't know it. TOFU asks for overlap (ROUGE) where ours is exact match.
"""

import torch
from torch.nn.functional import cross_entropy

from lfcore.language.network import SILENT, Texts


def log_likelihoods(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each answer the sum of its tokens' log-likelihoods in nats, and the number of its tokens: (n,) each.

    logits: (n, length, words), where place i speaks of token i + 1. labels: (n, length).
    """
    labels = labels[:, 1:]
    losses = cross_entropy(logits[:, :-1].transpose(1, 2), labels, ignore_index=SILENT, reduction="none")
    return -losses.sum(dim=1), (labels != SILENT).sum(dim=1)


@torch.no_grad()
def score(model: torch.nn.Module, texts: Texts, batch_size: int = 512) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-likelihood in nats per token, and whether the answer is matched exactly, of each text: (n,) on the CPU."""
    parts = []
    for tokens, labels in zip(texts.tokens.split(batch_size), texts.labels.split(batch_size), strict=True):
        logits = model(tokens)
        totals, counts = log_likelihoods(logits, labels)
        right = (logits[:, :-1].argmax(dim=2) == labels[:, 1:]) | (labels[:, 1:] == SILENT)
        parts.append((totals.cpu() / counts.cpu(), right.all(dim=1).cpu()))
    means, exact = zip(*parts, strict=True)
    return torch.cat(means), torch.cat(exact)


def truth_ratio(model: torch.nn.Module, paraphrased: Texts, perturbed: Texts) -> torch.Tensor:
    """The truth ratio of each of n questions, (n,). perturbed: k wrong answers to the first, to the second …"""
    wrong = score(model, perturbed)[0].double().view(len(paraphrased), -1).exp().mean(dim=1)
    return wrong / score(model, paraphrased)[0].double().exp()
