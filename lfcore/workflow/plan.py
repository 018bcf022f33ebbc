"""What a config asks for: its studies, and the files that rules read and leave for them."""

from pathlib import Path

from snakemake.io import expand

from lfcore.core.layout import MODELS, Layout, ending, models
from lfcore.workflow import studies
from lfcore.workflow.jobs import cut
from lfcore.workflow.notebooks import parameters
from lfcore.workflow.studies import MAIN, Study

TABLES = ["measurements", "summary", "costs", "claims"]
"""What the rule `summary` leaves for a study."""


class Plan:
    """The studies of a checked config, and everything that is to be made for them."""

    def __init__(self, config: dict):
        self.config, self.layout = config, Layout(config["profile"])
        self.studies = studies.read(config)
        self.tuning = studies.tuning(config) if "tuning" in config else None
        self.grids = {budget: studies.grids(config, budget) for budget in studies.BUDGETS} if self.tuning else {}
        self.by_ending = {ending(name): study for name, study in self.studies.items()}
        everything = [*self.studies.values(), *filter(None, [self.tuning])]
        self.forget_sets = {name: study for study in everything for name in study.forget_sets}
        self.unlearners = {name: given for study in everything for name, given in study.unlearners.items()}
        self.experiments = {name: study for study in everything for name in study.experiments}
        self.figures = {name: (end, study) for end, study in self.by_ending.items() for name in study.figures}
        if self.tuning:
            self.figures |= {name: (ending(MAIN), self.tuning) for name in self.tuning.figures}

    def notebook(self, name: str) -> str:
        """The notebook of a job or figure, as papermill runs it; the figure `name-variant` has that of `name`."""
        return self.layout.notebook.format(stem=name.split("-")[0])

    def folders(self, unlearner: str, forget_set: str, seeds: list[int] | None = None, pattern: str = "") -> list[str]:
        """The folders of all the models of `unlearner` for one forget set, with a wildcard for the network.

        seeds: of these models alone. pattern: of other files of the same jobs, as their benchmarks.
        """
        study = self.forget_sets[forget_set]
        if seeds is None:
            seeds = study.reference + study.floor if unlearner == "retrained" else study.unlearned
        pattern, jobs = pattern or self.layout.models, cut(seeds, self.config["seeds_per_job"])
        return [pattern.replace(MODELS, models("{network}", forget_set, unlearner, job)) for job in jobs]

    def measuring(self, forget_set: str, unlearner: str) -> str:
        """The ending of the study that measures this unlearner on this forget set: the first that has both."""
        studies = self.by_ending.items()
        return next(end for end, study in studies if forget_set in study.forget_sets and unlearner in study.rows)

    def added(self, wildcards) -> list[str]:
        """The unlearners that a study measures on a forget set: its own, and not those that an earlier one measures."""
        rows, forget_set = self.by_ending[wildcards.study].rows, wildcards.forget_set
        return [name for name in rows if self.measuring(forget_set, name) == wildcards.study]

    def measured_with(self, wildcards) -> dict[str, list[str]]:
        """The folders of the models that one job measures, and of those that it measures them with."""
        names = dict.fromkeys(["original", "retrained", *self.added(wildcards)])
        return {"models": [path for name in names for path in self.folders(name, wildcards.forget_set)]}

    def measured(self, study: Study) -> dict[str, list[str]]:
        """The folders of measurements that the tables of `study` are of, by the ending of the study that made them."""
        found = {}
        for forget_set in study.forget_sets:
            for end in dict.fromkeys(self.measuring(forget_set, name) for name in study.rows):
                where = {"network": self.config["networks"], "forget_set": forget_set}
                found.setdefault(end, []).extend(expand(self.layout.measured, study=end, **where))
        return {end: found[end] for end in self.by_ending if end in found}

    def compared(self, wildcards) -> dict[str, list[str]]:
        """The folders of one unlearner's models, of the originals, and of the retrained models to compare with."""
        found = {"folders": wildcards.unlearner, "originals": "original", "retrained": "retrained"}
        return {name: self.folders(unlearner, wildcards.forget_set) for name, unlearner in found.items()}

    def seeds(self, wildcards) -> dict[str, list[int]]:
        """The seeds to measure, those that similarity is averaged over, and those to compare with."""
        study = self.forget_sets[wildcards.forget_set]
        measured = study.floor if wildcards.unlearner == "retrained" else study.unlearned
        return {"seeds": measured, "original_seeds": study.unlearned, "reference_seeds": study.reference}

    def models(self, study: Study, pattern: str = "") -> list[str]:
        """The folders of every model that the tables of `study` are made of, or other files of the same jobs."""
        runs = [(unlearner, forget_set) for forget_set in study.forget_sets for unlearner in study.rows]
        found = {path for run in runs for path in self.folders(*run, pattern=pattern)}
        return sorted(path.replace("{network}", network) for path in found for network in self.config["networks"])

    def coordinates(self, study: Study) -> dict[str, list[str]]:
        """The networks, forget sets, unlearners and seeds of a study's tables."""
        lists = {"networks": self.config["networks"], "forget_sets": list(study.forget_sets)}
        seeds = {"unlearned": study.unlearned, "retrained": study.reference + study.floor}
        return lists | {"unlearners": study.rows, "seeds": seeds}

    def runs(self, study: Study, pattern: str, /, **more) -> list[str]:
        """The files of every unlearner on every forget set of `study`."""
        where = {"network": self.config["networks"], "forget_set": study.forget_sets, "unlearner": study.rows}
        return expand(pattern, **where, **more)

    def probed(self, end: str, kind: str) -> list[str]:
        """The files of one kind, ".csv" or ".npz", that the probes of the study with this ending leave."""
        study = self.by_ending[end]
        return self.runs(study, self.layout.probes + kind, study=end) if study.probes else []

    def examples(self) -> list[str]:
        """The Parquet files with a row for each example and model, if the profile asks for them."""
        return self.runs(self.studies[MAIN], self.layout.examples) if self.config["per_example"] else []

    def trials(self, budget: str) -> list[str]:
        """The tables of every setting that is tried at one budget."""
        where = {"forget_set": studies.tried_on(self.config, budget), "unlearner": self.grids[budget]}
        return expand(self.layout.trials, budget=budget, network=self.config["networks"], **where)

    def results(self, name: str) -> list[str]:
        """Everything to make for the study `name`."""
        study, layout = self.studies[name], self.layout
        tables = [] if study.experiments else TABLES
        pages = ["01_data"] if name == MAIN else []
        pages += [f"05_summary{ending(name)}"] if tables else []
        return (
            expand(layout.figure + ".{kind}", figure=study.figures, kind=["png", "pdf"])
            + expand(layout.table, study=ending(name), table=tables)
            + expand(layout.experiment + ".csv", experiment=study.experiments)
            + expand(layout.page, page=[*pages, *study.figures])
            + (self.examples() if name == MAIN else [])
        )

    def tuned(self) -> list[str]:
        """Everything to make for the tuning: every setting of every method's grid, at every budget, and figures."""
        figures = self.tuning.figures if self.tuning else []
        tables = [path for budget in self.grids for path in self.trials(budget)]
        return tables + expand(self.layout.figure + ".png", figure=figures)

    def made(self) -> list[str]:
        """The profile's own study, and the others that are there from an earlier run."""
        others = (name for name in self.studies if name != MAIN)
        return [MAIN, *(name for name in others if all(Path(path).exists() for path in self.results(name)))]

    def blocks(self, end: str) -> list[str]:
        """The endings of all the blocks of the study with this ending; its own if it has no blocks."""
        name = end.removeprefix("-").rstrip("0123456789")
        blocks = self.config["studies"].get(name, {}).get("blocks", 0)
        return [ending(f"{name}{block}") for block in range(1, blocks + 1)] or [end]

    def _files(self, figure: str) -> dict[str, list[str]]:
        """The files that the notebook of `figure` may ask for, by the names of its parameters."""
        end, study = self.figures[figure]
        chosen = studies.variants(study.experiments, study.figures[figure].get("experiments"))
        files = {"base": expand(self.layout.table, study=end, table=TABLES)}
        files["blocks"] = expand(self.layout.table, study=self.blocks(end), table="claims")
        files["arrays"] = self.probed(end, ".npz")
        files["folders"] = self.models(study)
        files["experiments"] = expand(self.layout.experiment + ".csv", experiment=chosen)
        for budget in self.grids:
            files["trials" if budget == "epochs" else f"trials_{budget}"] = self.trials(budget)
        return files

    def figure_parameters(self, figure: str) -> dict:
        """The parameters of a figure's notebook that it asks for: files, coordinates, and the config's options."""
        end, study = self.figures[figure]
        asked = parameters(f"notebooks/{figure.split('-')[0]}.py")
        found = self._files(figure) | {"examples": self.layout.all_examples}
        found |= {"base": [self.config["profile"]], "study": end.removeprefix("-")}
        found |= {"network": self.config["networks"][0], "forget_sets": study.forget_sets}
        if self.tuning:
            found["folder"] = self.layout.all_trials
        if study.unlearners and (end or "examples" in asked):
            found["unlearners"] = study.rows
        options = {name: value for name, value in study.figures[figure].items() if name != "experiments"}
        return {name: value for name, value in found.items() if name in asked} | options

    def figure_inputs(self, figure: str) -> list[str]:
        """The files that the notebook of `figure` reads."""
        asked, files = self.figure_parameters(figure), self._files(figure)
        found = [path for name, paths in files.items() if name in asked for path in paths]
        if "examples" in asked:
            found += self.examples()
        if "experiments" in asked:
            found += [path.replace(".csv", ".npz") for path in files["experiments"]]
        if "folders" in asked:
            found += [self.layout.dataset, *expand(self.layout.forget_set, forget_set=self.forget_sets)]
        return found
