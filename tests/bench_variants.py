"""What the code's variant of a method does where it differs from the paper's text. Run by `make bench-variants`.

python tests/bench_variants.py [models]     5 if not given

On the default profile's originals 0, 1, ... and half of class 3, with what config/digits.yaml fixes. Prints UA and RA
in percent, mean ± standard deviation over originals, which the methods' docstrings quote; and how many times as far
from its image AMUN's search of the text ends as its code's.
"""

import sys

import numpy as np
import torch

from lfcore.core import data
from lfcore.core.examples import choose
from lfcore.core.paths import ROOT
from lfcore.models import networks
from lfcore.models.predict import outputs
from lfcore.unlearners import amun
from lfcore.unlearners._apply import apply
from lfcore.workflow import overlays

CONSTANT, DECAY = {"decay": 1.0}, {"weight_decay": 1e-6}
VARIANTS = [  # a method, what all of its variants have, and the variants, of which the first is the text's
    ("scrub", {"lr": 0.01, "max_epochs": 8}, [{}, CONSTANT, DECAY, CONSTANT | DECAY]),
    ("amun", {"lr": 0.1}, [{}, {"search": "continued"}]),
    ("amun", {"lr": 0.03}, [{}, {"search": "continued"}]),
]


def accuracy(model, examples) -> float:
    """In percent."""
    return 100 * float((outputs(model, examples.images)[0].argmax(dim=1) == examples.labels).double().mean())


def main(count: int = 5) -> None:
    """Print a line for each variant."""
    torch.set_num_threads(1)
    fixed, results = overlays.read("digits")["unlearners"], ROOT / "results" / "digits"
    dataset = data.read(results / "data" / "dataset.safetensors")
    rows = data.read_forget(results / "data" / "3_half.json", dataset)
    sets = {"forget": choose(dataset, rows.forget, "cpu"), "retain": choose(dataset, rows.retain, "cpu")}
    folders = sorted((results / "models" / "cnn" / "none" / "original").glob("*"))
    originals = [networks.read(folders, seed, "cnn", dataset, "cpu") for seed in range(count)]
    for method, common, variants in VARIANTS:
        for variant in variants:
            options = fixed[method] | common | variant
            models = [apply(method, model, sets, seed, options)[0].model for seed, model in enumerate(originals)]
            found = np.array([[accuracy(model, sets[part]) for part in ("forget", "retain")] for model in models])
            means, deviations = found.mean(axis=0), found.std(axis=0, ddof=1)
            text = "  ".join(
                f"{a} {m:5.1f} ± {d:4.1f}" for a, m, d in zip(("UA", "RA"), means, deviations, strict=True)
            )
            print(f"{method} {common | variant}: {text}", flush=True)
    ratios = []
    for model in originals:
        found = (amun.attack(model, sets["forget"], search=search) for search in ("restarted", "continued"))
        far, near = ((part.images - sets["forget"].images).flatten(1).norm(dim=1) for part in found)
        ratios.append(float((far[near > 0] / near[near > 0]).mean()))
    print(f"amun's distance, restarted over continued: {np.mean(ratios):.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
