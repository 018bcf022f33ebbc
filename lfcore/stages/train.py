"""The stage that trains originals and retrained models."""

import time
from pathlib import Path

from torch.nn.functional import cross_entropy

from lfcore.core import checkpoint, data
from lfcore.core.examples import choose
from lfcore.core.seeds import generator as stream
from lfcore.core.seeds import make_deterministic
from lfcore.models import networks, predict
from lfcore.training.fit import SCHEDULES, Loop, Steps, by_epoch, fit


def train(
    *,
    dataset: str | Path,
    forget_set: str | Path | None,
    network: str,
    role: str,
    seeds: list[int],
    options: dict,
    device: str,
    out: str | Path,
    loop: dict | None = None,
) -> list[dict]:
    """Train one model a seed by the same rule and write a checkpoint and predictions for each.

    role "original" trains on all train rows; "retrained" on the rows that the index file `forget_set` retains.
    options: epochs, batch_size, lr, momentum, weight_decay of the recipe, and, if not "sgd" (with Nesterov momentum)
    and "linear", its optimizer and the schedule of its rate, one of SCHEDULES; of "cosine" a whole epoch has one rate,
    as in 2605.31317 (app. B.2). The last epoch's model is kept, and not, as there, the best on the test examples.
    loop: options of `Loop`.
    Returns one record a seed: seed, train and test accuracy in percent.
    """
    make_deterministic(device)
    everything = data.read(dataset)
    removed = data.read_forget(forget_set, everything) if forget_set else None
    stage = f"{role} {removed.name}" if removed else role
    rows = removed.retain if removed else everything.train
    examples = choose(everything, rows, device)
    shape = everything.images.shape[1], everything.classes
    fingerprint, records = data.fingerprint(dataset), []
    recipe = {"schedule": "linear", **options}
    recipe["schedule"] = (SCHEDULES | {"cosine": by_epoch(options["epochs"])})[recipe["schedule"]]
    for seed in seeds:
        start, used = time.perf_counter(), time.process_time()
        model = networks.build(network, *shape, seed=seed, stage=stage, dtype=networks.dtype_for(examples.images))
        steps = Steps()
        fit(
            model.to(device),
            examples.images,
            lambda logits, batch: cross_entropy(logits, examples.labels[batch.rows]),
            generator=stream(seed, stage, "batches"),
            nesterov=True,
            loop=Loop(**(loop or {}), steps=steps),
            **recipe,
        )
        facts = {"network": network, "role": stage, "seed": seed, "options": options, "data": fingerprint}
        facts |= {"loop": loop or {}, "seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - used}
        predictions = predict.predict(model, everything.images, device)
        checkpoint.write(out, seed, model, predictions, {**facts, "steps": steps.taken})
        records.append({"seed": seed, **predict.accuracies(predictions, everything, {"train": rows})})
    return records
