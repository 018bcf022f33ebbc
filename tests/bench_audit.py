"""How much memory and time does an audit of many examples take? Predictions of seven models, drawn at random.

Prints the peak of resident memory, which counts mapped files too, and seconds. Give another number of examples as the
argument. The predictions, 2.3 GB for a million, are written to a temporary folder and removed.
"""

import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import lfcore

WIDTH, CLASSES, FORGOTTEN, PART = 512, 10, 5000, 50_000
MODELS = ["original", "unlearned", *(f"retrained{i}" for i in range(5))]


def write(folder: str, n: int) -> None:
    """One file of features, and one of logits for each model; in parts, in a process of its own."""
    draw = np.random.default_rng(0)
    centers = draw.normal(size=(CLASSES, WIDTH)).astype(np.float32)
    labels = draw.integers(CLASSES, size=n)
    np.save(Path(folder) / "labels.npy", labels)
    for name, width in {"features": WIDTH, **dict.fromkeys(MODELS, CLASSES)}.items():
        file = np.lib.format.open_memmap(Path(folder) / f"{name}.npy", "w+", np.float32, (n, width))
        for start in range(0, n, PART):
            rows = slice(start, start + PART)
            noise = draw.standard_normal((len(labels[rows]), width), dtype=np.float32)
            signal = (
                centers[labels[rows]] if name == "features" else 3 * np.eye(CLASSES, dtype=np.float32)[labels[rows]]
            )
            file[rows] = signal + noise
        file.flush()


def main() -> None:
    """Write the predictions, audit them, and print what it took."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        writer = multiprocessing.get_context("spawn").Process(target=write, args=(folder, n))
        writer.start()
        writer.join()
        read = {path.stem: np.load(path, mmap_mode="r") for path in Path(folder).glob("*.npy")}
        labels = np.array(read["labels"])
        forget = np.flatnonzero(labels == 0)[:FORGOTTEN]
        start, used = time.perf_counter(), time.process_time()
        found = lfcore.audit(
            {"logits": read["original"], "features": read["features"]},
            read["unlearned"],
            None,
            forget,
            retrained=[read[name] for name in MODELS[2:]],
            labels=labels,
            test=np.arange(n * 4 // 5, n),
            batch_size=4096,
        )
        seconds, cpu = time.perf_counter() - start, time.process_time() - used
        found.save(Path(folder) / "page.html")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print("examples,features,models,peak_gib,seconds,cpu_seconds")
    print(f"{n},{WIDTH},{len(MODELS)},{peak:.2f},{seconds:.1f},{cpu:.1f}")


if __name__ == "__main__":
    main()
