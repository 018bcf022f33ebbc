"""The layout of results/<profile>/ and figures/<profile>/: every path in them is made here."""

import itertools
import re
import warnings
from pathlib import Path

from lfcore.core.errors import InputError
from lfcore.core.paths import ROOT

RESULTS, FIGURES = "results", "figures"
"""The folders that a run writes to, with a folder for each profile."""
RUN = "{network}/{forget_set}/{unlearner}"
"""One unlearner on one forget set, in paths."""
MODELS = RUN + "/{seeds}"
"""The models of one job: a run's, cut by seeds into `first-last`."""
EXAMPLES = "network={network}/forget_set={forget_set}/unlearner={unlearner}/part.parquet"
"""A run's part of the partitioned table of examples."""
NO_FORGET_SET = "none"
"""Where originals lie, instead of in the folder of a forget set."""


class Layout:
    """Where the files of one profile lie, as paths from the project's folder.

    Braces in a path are wildcards, which Snakemake fills in and ``str.format`` too. {study} is a study's `ending`.
    """

    def __init__(self, profile: str):
        self.results = results = f"{RESULTS}/{profile}"
        self.notebook = f"{results}/notebooks/{{stem}}.ipynb"  # converted, not run
        self.data = f"{results}/data"
        self.dataset = f"{self.data}/dataset.safetensors"
        self.forget_set = f"{self.data}/{{forget_set}}.json"
        self.all_models = f"{results}/models"
        self.models = f"{self.all_models}/{MODELS}"
        self.originals = self.models.format(
            network="{network}", forget_set=NO_FORGET_SET, unlearner="original", seeds="{seeds}"
        )
        self.all_benchmarks = f"{results}/benchmarks"
        self.benchmark = f"{self.all_benchmarks}/{MODELS}.tsv"
        self.measured = f"{results}/measurements{{study}}/{{network}}/{{forget_set}}"
        self.measurements = f"{self.measured}/{{unlearner}}"  # .csv and .npz
        self.probes = f"{results}/probes{{study}}/{RUN}"  # .csv and .npz
        self.experiment = f"{results}/experiments/{{experiment}}"  # .csv and .npz
        self.all_examples = f"{results}/examples"
        self.examples = f"{self.all_examples}/{EXAMPLES}"
        self.all_trials = f"{results}/tuning"
        self.trials = f"{self.all_trials}/{{budget}}/{RUN}.csv"
        self.tables = f"{results}/tables{{study}}"
        self.table = f"{self.tables}/{{table}}.csv"
        self.executed = f"{results}/executed/{{page}}.ipynb"  # with its outputs; page: a notebook, or a part of one
        self.page = f"{results}/pages/{{page}}.html"
        self.page_log = f"{results}/pages/{{page}}.log"
        self.site = f"{results}/site"
        self.site_log = f"{self.site}.log"
        self.figures = f"{FIGURES}/{profile}"
        self.figure = f"{self.figures}/{{figure}}"  # .png and .pdf

    def log(self, notebook: str, part: str = "") -> str:
        """The executed notebook of a job. part: which of the notebook's many jobs, as RUN or MODELS."""
        return self.executed.replace("{page}", f"{notebook}/{part}" if part else notebook)


def ending(study: str) -> str:
    """What the names of a study's folders end in; nothing for the profile's own, whose name is empty."""
    return f"-{study}" if study else ""


def job(seeds: list[int]) -> str:
    """The name of the job that handles these consecutive seeds."""
    return f"{seeds[0]}-{seeds[-1]}"


def models(network: str, forget_set: str, unlearner: str, seeds: str) -> str:
    """The place of one job's models below a folder of models, or of its benchmark below one of benchmarks."""
    place = NO_FORGET_SET if unlearner == "original" else forget_set
    return MODELS.format(network=network, forget_set=place, unlearner=unlearner, seeds=seeds)


def examples(folder: str | Path, network: str, forget_set: str, unlearner: str) -> Path:
    """Where the rows of one unlearner on one forget set lie, in a folder of examples."""
    return Path(folder, EXAMPLES.format(network=network, forget_set=forget_set, unlearner=unlearner))


def glob(path: str) -> str:
    """`path` with a star in place of each wildcard."""
    return re.sub(r"\{\w+\}", "*", path)


class Files:
    """The files that a notebook reads, each in the first of some folders that has it, and writes, in the first of all.

    base: these folders of results/. By ["scratch", "digits"], what a person made by hand in results/scratch goes before
    what the workflow made. A file is named by an attribute of `Layout` and by its wildcards; `study` is a study's name.
    """

    def __init__(self, base: list[str]):
        if not base:
            raise InputError("`base` names no folder of results: give at least one to read and write, such as digits.")
        self.layouts = [Layout(folder) for folder in base]

    def _paths(self, name: str, suffix: str, wildcards: dict) -> list[str]:
        if "study" in wildcards:
            wildcards = {**wildcards, "study": ending(wildcards["study"])}
        return [getattr(layout, name).format(**wildcards) + suffix for layout in self.layouts]

    def read(self, name: str, suffix: str = "", **wildcards) -> Path:
        """The file, from the first folder that has it; warns if a later one has a newer. InputError if none has it."""
        paths = self._paths(name, suffix, wildcards)
        held = [ROOT / path for path in paths if (ROOT / path).exists()]
        if not held:
            raise InputError(f"There is no {' and no '.join(paths)}: run snakemake --cores 4 once to make it.")
        if newer := [path for path in held[1:] if path.stat().st_mtime > held[0].stat().st_mtime]:
            warnings.warn(f"{held[0]} is read, and is older than {newer[0]}: delete it to read that one.", stacklevel=2)
        return held[0]

    def write(self, name: str, suffix: str = "", **wildcards) -> Path:
        """Where to write the file."""
        return ROOT / self._paths(name, suffix, wildcards)[0]

    def table(self, table: str, study: str) -> Path:
        """A table of a study, to read: summary, measurements, costs or claims."""
        return self.read("table", table=table, study=study)

    def of_runs(self, name: str, networks, forget_sets, unlearners, **wildcards) -> list[Path]:
        """The CSV file, to read, of each unlearner on each forget set."""
        runs = itertools.product(networks, forget_sets, unlearners)
        return [self.read(name, ".csv", network=n, forget_set=f, unlearner=u, **wildcards) for n, f, u in runs]

    def measured(self, studies: list[str], networks, forget_sets, unlearners) -> list[Path]:
        """The measurements of each unlearner on each forget set, to read, from the first of `studies` that has them."""
        found = []
        for n, f, u in itertools.product(networks, forget_sets, unlearners):
            where = [{"network": n, "forget_set": f, "unlearner": u, "study": study} for study in studies]
            held = [e for e in where if any((ROOT / p).exists() for p in self._paths("measurements", ".csv", e))]
            found.append(self.read("measurements", ".csv", **(held or where)[0]))
        return found

    def models(self, network: str, forget_set: str, unlearner: str, seeds: list[int]) -> list[Path]:
        """The folders that hold the models of these seeds, each once; `original` has no forget set.

        Raises InputError if a seed has no model, or if two folders of one run hold it.
        """
        return list(self._models(network, forget_set, unlearner, seeds))

    def _models(self, network: str, forget_set: str, unlearner: str, seeds: list[int]) -> dict[Path, Layout]:
        """The folders of `models`, in their order, and which layout each lies in."""
        found, place = {}, models(network, forget_set, unlearner, "[0-9]*[0-9]")
        for seed in seeds:
            for layout in self.layouts:
                held = sorted(ROOT.glob(f"{layout.all_models}/{place}/seed{seed}.json"))
                if len(held) > 1:
                    raise InputError(f"{held[0]} and {held[1]} are one model made twice: delete one of their folders.")
                if held:
                    found[held[0].parent] = layout
                    break
            else:
                raise InputError(
                    f"No model of seed {seed} of {models(network, forget_set, unlearner, '')[:-1]} lies in "
                    f"{' or '.join(each.results for each in self.layouts)}: run snakemake --cores 4 once to make it."
                )
        return found

    def write_models(self, network: str, forget_set: str, unlearner: str, seeds: list[int]) -> Path:
        """The folder to write the models of consecutive seeds to."""
        place = models(network, forget_set, unlearner, job(seeds) if seeds else "")
        return ROOT / self.layouts[0].all_models / place

    def jobs(self, networks, forget_sets, unlearners, seeds: dict[str, list[int]]) -> tuple[list[Path], list[Path]]:
        """The folders of all the models of these runs, and the benchmarks of the jobs that made them, where kept.

        seeds: of "retrained" models, and of the "unlearned" ones and originals.
        """
        found = {}
        for n, f, u in itertools.product(networks, forget_sets, unlearners):
            found |= self._models(n, f, u, seeds["retrained" if u == "retrained" else "unlearned"])
        folders = sorted(found, key=lambda folder: folder.parts[-4:])
        benchmarks = [
            ROOT / found[folder].all_benchmarks / f"{folder.relative_to(ROOT / found[folder].all_models)}.tsv"
            for folder in folders
        ]
        return folders, [path for path in benchmarks if path.is_file()]
