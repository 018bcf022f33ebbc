"""What looks wrong with an audit's inputs and is no error: each a sentence to stand above the verdict."""

from lfcore.auditing.collect import Collected

SAME = 1e-3
"""Two models predict the same if no example's predictions are further apart (total variation): that is rounding."""


def find_same(collected: Collected) -> list[str]:
    """The unlearned models that predict the same as the original."""
    return [name for name in collected.unlearned if collected.apart[name] < SAME]


def find_warnings(collected: Collected) -> list[str]:
    """One sentence for each thing that looks wrong."""
    return [
        f"The {_call(name)} predicts the same as the original: was the right file loaded?"
        for name in find_same(collected)
    ]


def _call(name: str) -> str:
    """unlearned -> unlearned model; unlearned 2 -> model unlearned 2"""
    return f"model {name}" if name[-1].isdigit() else f"{name} model"
