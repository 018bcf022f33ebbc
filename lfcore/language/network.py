"""A small causal transformer over words, and how questions and answers become its tokens.

A *speaker* is what makes models and their tokens: `Words` here, trained from scratch, or a folder of
`lfcore.language.pretrained`. Both have `build(seed, stage)` and `encode(pairs)`.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from lfcore.core import seeds
from lfcore.core.errors import InputError

SILENT = -100
"""The label of a token that is no part of an answer, as `torch.nn.functional.cross_entropy` ignores it."""


@dataclass(frozen=True)
class Texts:
    """Questions with their answers. tokens, labels: (n, length) int64; a label is its token in the answer, or SILENT.

    An answer ends with an end token, which is part of it; padding stands behind, where no earlier token sees it.
    """

    tokens: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.tokens)


def pad(questions: list[list[int]], answers: list[list[int]], device: str) -> Texts:
    """Token lists as Texts, padded to the longest."""
    length = max(len(q) + len(a) for q, a in zip(questions, answers, strict=True))
    tokens = torch.zeros(len(questions), length, dtype=torch.int64)
    labels = torch.full_like(tokens, SILENT)
    for row, (question, answer) in enumerate(zip(questions, answers, strict=True)):
        end = len(question) + len(answer)
        tokens[row, :end] = torch.tensor(question + answer)
        labels[row, len(question) : end] = torch.tensor(answer)
    return Texts(tokens.to(device), labels.to(device))


class Block(nn.Module):
    """Causal self-attention and two linear layers, each after a LayerNorm and beside a shortcut (GPT-2's order)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_linear = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.linear = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(n, length, width) to the same shape."""
        n, length, width = states.shape
        three = self.queries_keys_values(self.before_attention(states)).view(n, length, 3, self.heads, -1)
        attended = scaled_dot_product_attention(*three.permute(2, 0, 3, 1, 4), is_causal=True)
        states = states + self.out(attended.transpose(1, 2).reshape(n, length, width))
        return states + self.linear(self.before_linear(states))


class Transformer(nn.Module):
    """Embeddings of words and places, `layers` blocks, and logits by the words' embeddings."""

    def __init__(self, words: int, length: int, *, layers: int, width: int, heads: int):
        super().__init__()
        self.word, self.place = nn.Embedding(words, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        for embedding in (self.word, self.place):
            nn.init.normal_(embedding.weight, std=0.05)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits of the next token, (n, length, words), for tokens (n, length)."""
        states = self.word(tokens) + self.place.weight[: tokens.shape[1]]
        return self.norm(self.blocks(states)) @ self.word.weight.T


class Words:
    """Word tokens for all texts of a world, and transformers that are trained from scratch."""

    def __init__(self, texts: list[str], device: str, *, layers: int = 2, width: int = 64, heads: int = 4):
        if min(layers, width, heads) < 1 or width % heads:
            raise InputError(f"{layers} layers of width {width} and {heads} heads: heads must divide the width.")
        words = ["<pad>", "<answer>", "<end>", *sorted({word for text in texts for word in text.split()})]
        self.numbers = {word: number for number, word in enumerate(words)}
        self.length = 2 + 2 * max(len(text.split()) for text in texts)
        self.device, self.shape = device, {"layers": layers, "width": width, "heads": heads}

    def encode(self, pairs: list[tuple[str, str]]) -> Texts:
        """Pairs (question, answer) as Texts: the question's words, <answer>, the answer's words, <end>."""
        questions = [[self.numbers[word] for word in f"{question} <answer>".split()] for question, _ in pairs]
        answers = [[self.numbers[word] for word in f"{answer} <end>".split()] for _, answer in pairs]
        return pad(questions, answers, self.device)

    def build(self, seed: int, stage: str) -> Transformer:
        """A transformer freshly initialised from the stream (seed, stage, "weights")."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seeds.number(seed, stage, "weights"))
            return Transformer(len(self.numbers), self.length, **self.shape).to(self.device)
