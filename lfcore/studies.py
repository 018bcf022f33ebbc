"""Studies: the profile's tables (`main`), and those beside it, each the profile with some keys in place of its own."""

import itertools
from dataclasses import dataclass

from lfcore.errors import InputError

MAIN = ""
"""The name of the profile's own study; the others' names are the ending of their tables' folder."""


@dataclass(frozen=True)
class Study:
    """What one set of tables is made of. seeds: see config/README.md."""

    forget_sets: dict[str, dict]
    unlearners: dict[str, dict]
    seeds: dict[str, int]
    metrics: list[str]
    probes: dict[str, dict]
    figures: dict[str, dict]

    @property
    def unlearned(self) -> list[int]:
        """Seeds of originals and unlearned models."""
        return list(range(self.seeds["first"], self.seeds["first"] + self.seeds["unlearned"]))

    @property
    def reference(self) -> list[int]:
        """Seeds of the retrained models that others are compared with."""
        return list(range(self.seeds["first"], self.seeds["first"] + self.seeds["reference"]))

    @property
    def floor(self) -> list[int]:
        """Seeds of the retrained models that are compared like any unlearner."""
        first = self.seeds["first"] + self.seeds["reference"]
        return list(range(first, first + self.seeds["floor"]))

    @property
    def rows(self) -> list[str]:
        """Every unlearner of its tables, those that do nothing and retrain first."""
        return ["original", "retrained", *self.unlearners]


def options(config: dict, name: str, choice: str) -> dict:
    """The options of the unlearner `name`: its method's, in their place its own, each over the tuned ones.

    A variant `method-variant` begins with the options of `method`. choice: which of the config's `choices` to use.
    """
    method = name.split("-")[0]
    tuned, given = config["choices"].get(choice, {}), config["unlearners"]
    found = {}
    for each in dict.fromkeys([method, name]):
        found |= tuned.get(each, {}) | given.get(each, {})
    return found


def read(config: dict) -> dict[str, Study]:
    """The studies of a config by name, MAIN first. Raises InputError if two give one name two meanings."""
    own = {name: options(config, name, config["choice"]) for name in config["unlearners"]}
    studies = {MAIN: Study(unlearners=own, **{key: config[key] for key in KEYS})}
    for name, given in config["studies"].items():
        chosen = {key: given.get(key, config[key]) for key in KEYS} | {"figures": given.get("figures", {})}
        chosen["probes"] = given.get("probes", {})
        unlearners = {each: own[each] for each in given.get("also", []) if each in own}
        if "choice" in given:
            tuned = config["choices"].get(given["choice"], {})
            for each in own:
                if each in tuned:
                    ending = "_" if "-" in each else "-"
                    unlearners[f"{each}{ending}{given['choice']}"] = options(config, each, given["choice"])
        for each, more in given.get("unlearners", {}).items():
            unlearners[each] = own.get(each.split("-")[0], {}) | more
        studies[name] = Study(unlearners=unlearners, **chosen)
    _agree(studies)
    return studies


KEYS = ["forget_sets", "seeds", "metrics", "probes", "figures"]


def _agree(studies: dict[str, Study]) -> None:
    known: dict[tuple, object] = {}
    for name, study in studies.items():
        facts = {("unlearner", each): value for each, value in study.unlearners.items()}
        facts |= {
            ("forget set", each): (value, study.seeds, study.metrics) for each, value in study.forget_sets.items()
        }
        facts |= {("figure", each): name for each in study.figures}
        for (what, each), value in facts.items():
            if known.setdefault((what, each), value) != value:
                raise InputError(f"The config has two different {what}s called {each!r}: rename the one of {name}.")


def tuning(config: dict) -> Study:
    """The forget sets and seeds that settings are tried on, as a study without tables."""
    given = config["tuning"]
    return Study(given["forget_sets"], {}, given["seeds"], [], {}, given["figures"])


def grids(config: dict, budget: str) -> dict[str, list[dict]]:
    """Every setting of each method that the config's `tuning` has a grid for. budget: "epochs" or "steps"."""
    given = config["tuning"]
    fixed, chosen = {}, given["grids"]
    if budget == "steps":
        fixed, chosen = {"steps": given["steps"]}, chosen | given.get("grids_at_steps", {})
    found = {name: grid for name, grid in chosen.items() if name in config["unlearners"]}
    return {name: expand(options(config, name, "") | fixed, grid) for name, grid in found.items()}


def expand(fixed: dict, grid: dict[str, list]) -> list[dict]:
    """Every setting of `grid`, a list of values for each option, over the `fixed` options."""
    return [fixed | dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
