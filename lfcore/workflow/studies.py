"""Studies: the profile's tables (`main`), and those beside it, each the profile with some keys in place of its own."""

import itertools
from dataclasses import dataclass, field

from lfcore.core.errors import InputError

MAIN = ""
"""The name of the profile's own study; the others' names are the ending of their tables' folder."""


@dataclass(frozen=True)
class Study:
    """What one set of tables is made of. seeds: see config/schema.yaml."""

    forget_sets: dict[str, dict]
    unlearners: dict[str, dict]
    seeds: dict[str, int]
    metrics: list[str]
    probes: dict[str, dict]
    figures: dict[str, dict]
    experiments: dict[str, dict] = field(default_factory=dict)

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


def including(config: dict, *studies: dict) -> dict:
    """The config with the unlearners of `studies` among its own."""
    unlearners = dict(config["unlearners"])
    for given in studies:
        unlearners |= given.get("unlearners", {})
    return config | {"unlearners": unlearners}


def with_field(config: dict) -> dict:
    """The config with the unlearners of its study `field`, if it has that, among its own."""
    return including(config, config["studies"].get("field", {}))


def variants(experiments: dict[str, dict], chosen: list[str] | None) -> list[str]:
    """The names of `experiments` that are among `chosen`, or variants of one of them; all if it is None."""
    known = {name: {name, name.split("-")[0]} for name in experiments}
    for each in chosen or []:
        if not any(each in names for names in known.values()):
            raise InputError(f"There is no experiment called {each!r} in the study: choose from {', '.join(known)}.")
    return [name for name, names in known.items() if chosen is None or names & set(chosen)]


def read(config: dict) -> dict[str, Study]:
    """The studies of a config by name, MAIN first. Raises InputError if two give one name two meanings."""
    own = {name: options(config, name, config["choice"]) for name in config["unlearners"]}
    studies = {MAIN: Study(unlearners=own, **{key: config[key] for key in KEYS})}
    above, known = config, dict(own)  # with what the studies so far add
    for name, given in _blocks(config).items():
        chosen = {key: given.get(key, config[key]) for key in KEYS}
        chosen |= {"figures": given.get("figures", {}), "probes": given.get("probes", {})}
        if "experiments" in given:
            all_options = given["experiments"]
            begun = {each: all_options.get(each.split("-")[0], {}) | all_options[each] for each in all_options}
            chosen |= {"forget_sets": {}, "metrics": [], "experiments": begun}
        unlearners = {each: known[each] for each in given.get("also", []) if each in known}
        tuned = config["choices"].get(given.get("choice"), {})
        for each in (each for each in known if each in tuned):
            ending = "_" if "-" in each else "-"
            unlearners[f"{each}{ending}{name}"] = options(above, each, given["choice"])
        above = including(above, given)
        for each in given.get("unlearners", {}):
            known[each] = unlearners[each] = options(above, each, config["choice"])
        studies[name] = Study(unlearners=unlearners, **chosen)
    _agree(studies)
    return studies


def _blocks(config: dict) -> dict[str, dict]:
    """The config's studies; in place of one with `blocks`, so many of its kind, each with seeds of its own.

    The forget sets of block b are called <name>_b<b> and hold the same rows; its seeds begin at `first` + 100 b. The
    figures are those of the last block, which reads all of them.
    """
    found = {}
    for name, given in config["studies"].items():
        blocks = given.get("blocks", 0)
        if not blocks:
            found[name] = given
        for block in range(1, blocks + 1):
            sets, seeds = given.get("forget_sets", config["forget_sets"]), given["seeds"]
            own = {"forget_sets": {f"{each}_b{block}": options for each, options in sets.items()}}
            own["seeds"] = seeds | {"first": seeds["first"] + 100 * block}
            found[f"{name}{block}"] = given | own | ({} if block == blocks else {"figures": {}})
    return found


def spread(grid: dict[str, list]) -> dict[str, dict]:
    """The forget sets of a grid: every fraction of every affected class, named <class>_<percent>, as 4_50 or 4_12_5."""
    places = itertools.product(grid["affected"], grid["fractions"])
    return {f"{a}_{100 * f:g}".replace(".", "_"): {"affected": a, "fraction": f} for a, f in places}


KEYS = ["forget_sets", "seeds", "metrics", "probes", "figures"]


def _agree(studies: dict[str, Study]) -> None:
    known: dict[tuple, object] = {}
    for name, study in studies.items():
        facts = {("unlearner", each): value for each, value in study.unlearners.items()}
        sets = study.forget_sets.items()
        facts |= {("forget set", each): (value, study.seeds, study.metrics) for each, value in sets}
        facts |= {("figure", each): name for each in study.figures}
        facts |= {("experiment", each): name for each in study.experiments}
        for (what, each), value in facts.items():
            if known.setdefault((what, each), value) != value:
                raise InputError(f"The config has two different {what}s called {each!r}: rename the one of {name}.")


def tuning(config: dict) -> Study:
    """The forget sets and seeds that settings are tried on, as a study without tables."""
    given = config["tuning"]
    return Study(given["forget_sets"], {}, given["seeds"], [], {}, given["figures"])


BUDGETS = {"epochs": "grids", "steps": "grids_at_steps", "class": "grids_of_class"}
"""The comparisons that settings are tried for, and where their grids are.

epochs: each method's own, on parts of a class. steps: likewise, but equally many steps, with the grids of `epochs`
where it has none of its own. class: a whole class; for methods that are made for it, which only studies have.
"""


def tried_on(config: dict, budget: str) -> list[str]:
    """The forget sets of the tuning on which the settings of one budget are tried."""
    whole = {name for name, given in config["tuning"]["forget_sets"].items() if given.get("fraction") == 1}
    return [name for name in config["tuning"]["forget_sets"] if (name in whole) == (budget == "class")]


def grids(config: dict, budget: str) -> dict[str, list[dict]]:
    """Every setting of each method that the config's `tuning` has a grid for at one of BUDGETS."""
    given, fixed = config["tuning"], {}
    chosen = given.get(BUDGETS[budget], {})
    if budget == "steps":
        if "steps" not in given:
            return {}
        fixed, chosen = {"steps": given["steps"]}, given["grids"] | chosen
    known = including(config, *config["studies"].values())
    found = {name: grid for name, grid in chosen.items() if name in known["unlearners"]}
    return {name: expand(options(known, name, "") | fixed, grid) for name, grid in found.items()}


def expand(fixed: dict, grid: dict[str, list]) -> list[dict]:
    """Every setting of `grid`, a list of values for each option, over the `fixed` options."""
    return [fixed | dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
