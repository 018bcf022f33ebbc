# The artifact, in paper order: data, originals and retrained models, unlearning, measurements, tables, figures.
# A plain `snakemake --cores 4` runs config/digits.yaml; `--configfile config/smoke.yaml` lays another profile over it.
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, workflow.basedir)

from lfcore.core.errors import InputError
from lfcore.workflow import studies
from lfcore.workflow.config import check_config
from lfcore.workflow.dependencies import method, probe_file, sources
from lfcore.workflow.failures import explain, set_aside
from lfcore.workflow.jobs import check_records, check_writable, cut, numbers, say_last
from lfcore.workflow.notebooks import check_notebooks, parameters, to_yaml


configfile: "config/digits.yaml"
configfile: "config/choices.yaml"
configfile: "config/studies.yaml"


try:
    config = check_config(config)
    check_writable("results", "figures")
except InputError as error:
    say_last(error)
    raise WorkflowError(str(error)) from None

PROFILE = config["profile"]
RESULTS = f"results/{PROFILE}"
FIGURES = f"figures/{PROFILE}"
MEASURED = RESULTS + "/measurements/{network}/{forget_set}/{unlearner}"
PROBED = RESULTS + "/probes{study}/{network}/{forget_set}/{unlearner}"
ENDINGS = {"table": ".csv", "arrays": ".npz"}

for damaged in check_notebooks(f"{RESULTS}/notebooks"):
    print(f"{RESULTS}/notebooks/{damaged} is not what its source says, and is made again.", file=sys.stderr)
if caution := check_records(RESULTS):
    say_last(caution)

STUDIES = studies.read(config)
GPU = int(config["device"] != "cpu")
TUNING = [studies.tuning(config)] if "tuning" in config else []
FORGET_SETS = {name: study for study in [*STUDIES.values(), *TUNING] for name in study.forget_sets}
UNLEARNERS = {name: options for study in STUDIES.values() for name, options in study.unlearners.items()}
FIGURE = {figure: (f"-{name}" if name else "", study) for name, study in STUDIES.items() for figure in study.figures}
FIGURE |= {figure: ("", study) for study in TUNING for figure in study.figures}
EXPERIMENTS = {name: study for study in STUDIES.values() for name in study.experiments}
EXAMPLES = RESULTS + "/examples/network={network}/forget_set={forget_set}/unlearner={unlearner}/part.parquet"
TABLES = ["measurements", "summary", "costs", "claims"]
BUDGETS = {budget: studies.grids(config, budget) for budget in studies.BUDGETS} if TUNING else {}

PAPERMILL = (
    f"{sys.executable} -m papermill {{input.notebook}} {{log.notebook}} > {{log.notebook}}.log 2>&1"
    " --no-progress-bar --no-log-output -y {params.options:q}"
)
SEAL = " && {sys.executable} -m lfcore.core.seal {log.notebook}"  # of what becomes a page


SITE = [
    "lfcore/publish/site.html",
    "figures/captions/alt.yaml",
    "lfcore/publish/site.py",
    *sources("lfcore/publish/site.py"),
]


wildcard_constraints:
    network="|".join(config["networks"]),
    forget_set="|".join(["none", *FORGET_SETS]),
    unlearner="|".join(["original", "retrained", *UNLEARNERS]),
    seeds=r"\d+-\d+",
    figure="|".join(FIGURE),
    study="(" + "|".join(f"-{name}" if name else "" for name in STUDIES) + ")",
    budget="|".join(BUDGETS) or "none",
    experiment="|".join(EXPERIMENTS) or "none",


# a second of work each: on a cluster it is done where snakemake runs
localrules:
    notebook,


def folders(unlearner, forget_set, seeds=None):
    """The folders of all the models of `unlearner` for one forget set, with a wildcard for the network."""
    study = FORGET_SETS[forget_set]
    chosen = study.reference + study.floor if unlearner == "retrained" else study.unlearned
    place = "none" if unlearner == "original" else forget_set
    jobs = cut(chosen if seeds is None else seeds, config["seeds_per_job"])
    return [f"{RESULTS}/models/{{network}}/{place}/{unlearner}/{job}" for job in jobs]


def models(study):
    """The folders of every model that the tables of `study` are made of."""
    found = [path for place in study.forget_sets for name in study.rows for path in folders(name, place)]
    return sorted({folder.replace("{network}", network) for folder in found for network in config["networks"]})


def place(study):
    """The coordinates of a study's tables."""
    return dict(networks=config["networks"], forget_sets=list(study.forget_sets), unlearners=study.rows)


def jobs(study):
    """The jobs of one method or retraining on one forget set; not their folders, thousands of which make no command."""
    parts = {"unlearned": study.unlearned, "retrained": study.reference + study.floor}
    return {part: cut(seeds, config["seeds_per_job"]) for part, seeds in parts.items()}


def measured(study, pattern, /, **more):
    """The tables named by `pattern` that the study's are gathered from."""
    where = dict(network=config["networks"], forget_set=study.forget_sets, unlearner=study.rows)
    return expand(pattern, **where, **more)


def probed(ending, kind):
    """The files of one kind, "table" or "arrays", that the probes of a study leave; none without probes."""
    study = STUDIES[ending[1:]]
    return measured(study, PROBED + ENDINGS[kind], study=ending) if study.probes else []


def results(name):
    """Everything to make for the study `name`."""
    ending, stems = f"-{name}" if name else "", STUDIES[name].figures
    tables = [] if STUDIES[name].experiments else TABLES
    pages = [*([] if name else ["01_data"]), *([f"05_summary{ending}"] if tables else []), *stems]
    return (
        expand(FIGURES + "/{figure}.{kind}", figure=stems, kind=["png", "pdf"])
        + [f"{RESULTS}/tables{ending}/{table}.csv" for table in tables]
        + [f"{RESULTS}/experiments/{each}.csv" for each in STUDIES[name].experiments]
        + [f"{RESULTS}/pages/{page}.html" for page in pages]
        + ([] if name else rows())
    )


def rows():
    """The Parquet files with a row for each example and model, if the profile asks for them."""
    return measured(STUDIES[studies.MAIN], EXAMPLES) if config["per_example"] else []


def made():
    """The profile's own study, and the others that are there from an earlier run."""
    return [name for name in STUDIES if not name or all(Path(path).exists() for path in results(name))]


def notebook(stem):
    return f"{RESULTS}/notebooks/{stem.split('-')[0]}.ipynb"


@cache  # thousands of jobs ask the same few questions
def library(stem, *more):
    """What the notebook imports of lfcore, and these files with what they import."""
    return [*more, *sources(f"notebooks/{stem}.py", *more)]


def trials(budget):
    """The tables of one budget's settings."""
    on = studies.tried_on(config, budget)
    place = dict(network=config["networks"], forget_set=on, unlearner=BUDGETS[budget])
    return expand(RESULTS + "/tuning/" + budget + "/{network}/{forget_set}/{unlearner}.csv", **place)


@cache
def shown(figure):
    """What a figure's notebook reads, and what it may ask for, by the names of its parameters."""
    ending, study = FIGURE[figure]
    tables = {"summary": "summary", "measurements": "measurements", "claims": "claims", "costs": "costs"}
    files = {key: f"{RESULTS}/tables{ending}/{table}.csv" for key, table in tables.items()}
    files["arrays"] = probed(ending, "arrays")
    files["folders"] = models(study)
    files["examples"] = rows()
    options = dict(study.figures[figure])
    chosen = studies.variants(study.experiments, options.pop("experiments", None))
    files["experiments"] = [f"{RESULTS}/experiments/{name}.csv" for name in chosen]
    asked = parameters(f"notebooks/{figure.split('-')[0]}.py")
    values = {"data": f"{RESULTS}/data", "network": config["networks"][0], "forget_sets": study.forget_sets}
    values |= {"examples": f"{RESULTS}/examples"}
    if TUNING:
        files |= {"trials": trials("epochs"), "trials_steps": trials("steps"), "trials_class": trials("class")}
        values |= {"folder": f"{RESULTS}/tuning"}
    if study.unlearners and (ending or "examples" in asked):
        values["unlearners"] = study.rows
    beside = {"experiments": [path.replace(".csv", ".npz") for path in files["experiments"]]}
    beside["data"] = [f"{RESULTS}/data/{name}.json" for name in FORGET_SETS] + [f"{RESULTS}/data/dataset.safetensors"]
    return (
        sum(([file] if isinstance(file, str) else file for key, file in files.items() if key in asked), [])
        + sum((paths for key, paths in beside.items() if key in asked), []),
        {key: value for key, value in {**files, **values}.items() if key in asked} | options,
    )


rule all:
    """The profile's tables, figures and notebooks as pages."""
    default_target: True
    input:
        results(studies.MAIN),


for study in filter(None, STUDIES):

    rule:
        name:
            study
        input:
            results(study),


rule ablations:
    """Every study beside the profile's own."""
    input:
        [path for name in STUDIES if name for path in results(name)],


rule tune:
    """Every setting of every method's grid, at every budget, and the choices (config/choices.yaml)."""
    input:
        [path for budget in BUDGETS for path in trials(budget)],
        [f"{FIGURES}/{figure}.png" for study in TUNING for figure in study.figures],


rule notebook:
    """The notebook that papermill runs, made of its source."""
    input:
        "notebooks/{stem}.py",
    output:
        RESULTS + "/notebooks/{stem}.ipynb",
    shell:
        "{sys.executable} -m jupytext --quiet --to ipynb --output {output} {input}"


rule data:
    """The data set in one file, and the rows of each forget set."""
    input:
        notebook=notebook("01_data"),
        library=library("01_data", f"lfcore/datasets/{config['dataset']['name']}.py"),
    output:
        dataset=RESULTS + "/data/dataset.safetensors",
        forget_sets=expand(RESULTS + "/data/{forget_set}.json", forget_set=FORGET_SETS),
    log:
        notebook=RESULTS + "/executed/01_data.ipynb",
    params:
        options=to_yaml(
            dataset=config["dataset"]["name"],
            root=config["dataset"]["root"],
            options={key: value for key, value in config["dataset"].items() if key not in ("name", "root")},
            forget_sets={name: study.forget_sets[name] for name, study in FORGET_SETS.items()},
            out=RESULTS + "/data",
        ),
    shell:
        PAPERMILL


rule train:
    """Originals (forget set `none`) and retrained models: one recipe, with and without the forget set."""
    input:
        notebook=notebook("02_train"),
        library=library("02_train"),
        dataset=rules.data.output.dataset,
        forget_set=lambda w: ([] if w.forget_set == "none" else f"{RESULTS}/data/{w.forget_set}.json"),
    output:
        folder=directory(RESULTS + "/models/{network}/{forget_set}/{role}/{seeds}"),
    log:
        notebook=RESULTS + "/executed/02_train/{network}/{forget_set}/{role}/{seeds}.ipynb",
    benchmark:
        RESULTS + "/benchmarks/{network}/{forget_set}/{role}/{seeds}.tsv"
    wildcard_constraints:
        role="original|retrained",
    priority: 1  # the longest jobs, and all others wait for them
    resources:
        gpu=GPU,
    params:
        options=lambda w: to_yaml(
            network=w.network,
            role=w.role,
            seeds=numbers(w.seeds),
            device=config["device"],
            options=config["training"],
            loop=config["loop"],
        ),
    shell:
        PAPERMILL + " -r dataset {input.dataset} -r forget_set '{input.forget_set}' -r out {output.folder}"


rule unlearn:
    """One method on one forget set, from the original of each seed."""
    input:
        notebook=notebook("03_unlearn"),
        library=lambda w: library("03_unlearn", method(w.unlearner, UNLEARNERS[w.unlearner])),
        dataset=rules.data.output.dataset,
        forget_set=RESULTS + "/data/{forget_set}.json",
        originals=RESULTS + "/models/{network}/none/original/{seeds}",
    output:
        folder=directory(RESULTS + "/models/{network}/{forget_set}/{unlearner}/{seeds}"),
    log:
        notebook=RESULTS + "/executed/03_unlearn/{network}/{forget_set}/{unlearner}/{seeds}.ipynb",
    benchmark:
        RESULTS + "/benchmarks/{network}/{forget_set}/{unlearner}/{seeds}.tsv"
    wildcard_constraints:
        unlearner="|".join(UNLEARNERS) or "none",
    resources:
        gpu=GPU,
    params:
        options=lambda w: to_yaml(
            network=w.network,
            unlearner=w.unlearner,
            seeds=numbers(w.seeds),
            device=config["device"],
            options=UNLEARNERS[w.unlearner],
            loop=config["loop"],
        ),
        folders=lambda w, input: to_yaml(originals=[str(input.originals)]),
    shell:
        PAPERMILL + " -y {params.folders:q} -r dataset {input.dataset} -r forget_set {input.forget_set}"
        " -r out {output.folder}"


rule evaluate:
    """Everything that predictions tell about one unlearner: against retrained models, beside the floor."""
    input:
        notebook=notebook("04_evaluate"),
        library=lambda w: library(
            "04_evaluate",
            *(f"lfcore/metrics/{metric}.py" for metric in FORGET_SETS[w.forget_set].metrics),
        ),
        dataset=rules.data.output.dataset,
        forget_set=RESULTS + "/data/{forget_set}.json",
        folders=lambda w: folders(w.unlearner, w.forget_set),
        originals=lambda w: folders("original", w.forget_set),
        retrained=lambda w: folders("retrained", w.forget_set),
    output:
        table=MEASURED + ".csv",
        examples=MEASURED + ".npz",
    log:
        notebook=RESULTS + "/executed/04_evaluate/{network}/{forget_set}/{unlearner}.ipynb",
    params:
        options=lambda w: to_yaml(
            network=w.network,
            unlearner=w.unlearner,
            seeds=getattr(FORGET_SETS[w.forget_set], "floor" if w.unlearner == "retrained" else "unlearned"),
            original_seeds=FORGET_SETS[w.forget_set].unlearned,
            reference_seeds=FORGET_SETS[w.forget_set].reference,
            floor_seeds=FORGET_SETS[w.forget_set].floor,
            metrics=FORGET_SETS[w.forget_set].metrics,
            out=f"{RESULTS}/measurements/{w.network}/{w.forget_set}/{w.unlearner}",
        ),
        folders=lambda w, input: to_yaml(
            folders=list(input.folders),
            originals=list(input.originals),
            retrained=list(input.retrained),
        ),
    shell:
        PAPERMILL + " -y {params.folders:q} -r dataset {input.dataset} -r forget_set {input.forget_set}"


rule examples:
    """A row for each example under each model of one unlearner: a part of one large table."""
    input:
        notebook=notebook("09_examples"),
        library=library("09_examples", *(f"lfcore/metrics/{metric}.py" for metric in config["per_example"])),
        dataset=rules.data.output.dataset,
        forget_set=RESULTS + "/data/{forget_set}.json",
        folders=lambda w: folders(w.unlearner, w.forget_set),
        originals=lambda w: folders("original", w.forget_set),
        retrained=lambda w: folders("retrained", w.forget_set),
    output:
        rows=EXAMPLES,
    log:
        notebook=RESULTS + "/executed/09_examples/{network}/{forget_set}/{unlearner}.ipynb",
    params:
        options=lambda w: to_yaml(
            unlearner=w.unlearner,
            seeds=getattr(FORGET_SETS[w.forget_set], "floor" if w.unlearner == "retrained" else "unlearned"),
            original_seeds=FORGET_SETS[w.forget_set].unlearned,
            reference_seeds=FORGET_SETS[w.forget_set].reference,
            floor_seeds=FORGET_SETS[w.forget_set].floor,
            metrics=config["per_example"],
        ),
        folders=lambda w, input: to_yaml(
            folders=list(input.folders),
            originals=list(input.originals),
            retrained=list(input.retrained),
        ),
    shell:
        PAPERMILL + " -y {params.folders:q} -r dataset {input.dataset} -r forget_set {input.forget_set}"
        " -r out {output.rows}"


rule probe:
    """What only the models themselves can tell of one unlearner: all the probes of a study."""
    input:
        notebook=notebook("07_probe"),
        library=lambda w: library("07_probe", *map(probe_file, STUDIES[w.study[1:]].probes)),
        dataset=rules.data.output.dataset,
        forget_set=RESULTS + "/data/{forget_set}.json",
        folders=lambda w: folders(w.unlearner, w.forget_set),
        originals=lambda w: folders("original", w.forget_set),
        retrained=lambda w: folders("retrained", w.forget_set),
    output:
        table=PROBED + ENDINGS["table"],
        arrays=PROBED + ENDINGS["arrays"],
    log:
        notebook=RESULTS + "/executed/07_probe{study}/{network}/{forget_set}/{unlearner}.ipynb",
    resources:
        gpu=GPU,
    params:
        options=lambda w: to_yaml(
            network=w.network,
            unlearner=w.unlearner,
            seeds=getattr(FORGET_SETS[w.forget_set], "floor" if w.unlearner == "retrained" else "unlearned"),
            original_seeds=FORGET_SETS[w.forget_set].unlearned,
            reference_seeds=FORGET_SETS[w.forget_set].reference,
            probes=STUDIES[w.study[1:]].probes,
            device=config["device"],
            out=f"{RESULTS}/probes{w.study}/{w.network}/{w.forget_set}/{w.unlearner}",
        ),
        folders=lambda w, input: to_yaml(
            folders=list(input.folders),
            originals=list(input.originals),
            retrained=list(input.retrained),
        ),
    shell:
        PAPERMILL + " -y {params.folders:q} -r dataset {input.dataset} -r forget_set {input.forget_set}"


rule summary:
    """The one tidy table, its summary over seeds, and the costs, which alone hold seconds."""
    input:
        notebook=notebook("05_summary"),
        library=library("05_summary"),
        measurements=lambda w: measured(STUDIES[w.study[1:]], MEASURED + ".csv"),
        probed=lambda w: probed(w.study, "table"),
        models=lambda w: models(STUDIES[w.study[1:]]),
        benchmarks=lambda w: [
            folder.replace("/models/", "/benchmarks/") + ".tsv" for folder in models(STUDIES[w.study[1:]])
        ],
        forget_sets=rules.data.output.forget_sets,
    output:
        tables=expand(RESULTS + "/tables{{study}}/{table}.csv", table=TABLES),
    log:
        notebook=RESULTS + "/executed/05_summary{study}.ipynb",
    params:
        options=lambda w: to_yaml(
            measurements=RESULTS + "/measurements",
            **place(STUDIES[w.study[1:]]),
            data=RESULTS + "/data",
            models=RESULTS + "/models",
            benchmarks=RESULTS + "/benchmarks",
            jobs=jobs(STUDIES[w.study[1:]]),
            out=f"{RESULTS}/tables{w.study}",
        ),
        files=lambda w, input: to_yaml(probed=list(input.probed)),
    shell:
        PAPERMILL + " -y {params.files:q}" + SEAL


rule trial:
    """Every setting of one method's grid on one tuning forget set. budget: see lfcore/workflow/studies.py."""
    input:
        notebook=notebook("06_tune"),
        library=lambda w: library("06_tune", method(w.unlearner, BUDGETS[w.budget][w.unlearner][0])),
        dataset=rules.data.output.dataset,
        forget_set=RESULTS + "/data/{forget_set}.json",
        originals=lambda w: folders("original", w.forget_set),
        retrained=lambda w: folders("retrained", w.forget_set, TUNING[0].reference),
    output:
        table=RESULTS + "/tuning/{budget}/{network}/{forget_set}/{unlearner}.csv",
    log:
        notebook=RESULTS + "/executed/06_tune/{budget}/{network}/{forget_set}/{unlearner}.ipynb",
    resources:
        gpu=GPU,
    params:
        options=lambda w: to_yaml(
            network=w.network,
            unlearner=w.unlearner,
            grid=BUDGETS[w.budget][w.unlearner],
            seeds=TUNING[0].unlearned,
            reference_seeds=TUNING[0].reference,
            device=config["device"],
            loop=config["loop"],
        ),
        folders=lambda w, input: to_yaml(originals=list(input.originals), retrained=list(input.retrained)),
    shell:
        PAPERMILL + " -y {params.folders:q} -r dataset {input.dataset} -r forget_set {input.forget_set}"
        " -r out {output.table}"


rule experiment:
    """One condition, from training to a table, whose models serve nothing else."""
    input:
        notebook=notebook("08_experiment"),
        library=lambda w: library("08_experiment", f"lfcore/experiments/{w.experiment.split('-')[0]}.py"),
        dataset=rules.data.output.dataset,
    output:
        table=RESULTS + "/experiments/{experiment}.csv",
        arrays=RESULTS + "/experiments/{experiment}.npz",
    log:
        notebook=RESULTS + "/executed/08_experiment/{experiment}.ipynb",
    resources:
        gpu=GPU,
    params:
        options=lambda w: to_yaml(
            experiment=w.experiment,
            seeds=EXPERIMENTS[w.experiment].unlearned,
            options=EXPERIMENTS[w.experiment].experiments[w.experiment],
            device=config["device"],
            out=f"{RESULTS}/experiments/{w.experiment}",
        ),
    shell:
        PAPERMILL + " -r dataset {input.dataset}"


rule figure:
    """One figure of the paper, or a variant of it, from the tables that its notebook asks for."""
    input:
        notebook=lambda w: notebook(w.figure),
        library=lambda w: library(w.figure.split("-")[0]),
        tables=lambda w: shown(w.figure)[0],
    output:
        png=report(
            FIGURES + "/{figure}.png",
            caption="figures/captions/figure.rst",
            category="Figures",
        ),
        pdf=FIGURES + "/{figure}.pdf",
    log:
        notebook=RESULTS + "/executed/{figure}.ipynb",
    params:
        options=lambda w: to_yaml(**shown(w.figure)[1], out=f"{FIGURES}/{w.figure}"),
    shell:
        PAPERMILL + SEAL


rule page:
    """An executed notebook as a page to read, without network."""
    input:
        notebook=RESULTS + "/executed/{page}.ipynb",
        look=SITE,
    output:
        report(
            RESULTS + "/pages/{page}.html",
            caption="figures/captions/page.rst",
            category="Notebooks",
        ),
    log:
        RESULTS + "/pages/{page}.log",
    shell:
        "{sys.executable} -m lfcore.publish.site page {input.notebook} {output} > {log} 2>&1"


rule site:
    """The published face: this profile's figures, tables, pages and report, and those of every study that is made."""
    input:
        made=lambda w: [path for name in made() for path in results(name)],
        look=[*SITE, "README.md", "figures/captions/figure.rst"],
    output:
        directory(RESULTS + "/site"),
    log:
        RESULTS + "/site.log",
    params:
        dataset=config["dataset"]["name"],
        figures=lambda w, input: [path for path in input.made if path.endswith(".png")],
        pages=lambda w, input: [path for path in input.made if path.endswith(".html")],
        # a report is made by a snakemake of its own, which only reads what this one holds the lock of
        report=lambda w: f"--nolock --report {RESULTS}/site/report.html {' '.join(name or 'all' for name in made())}"
        + "".join(f" --configfile {path}" for path in workflow.overwrite_configfiles),
    shell:
        "({sys.executable} -m lfcore.publish.site index {PROFILE} {output} --dataset {params.dataset}"
        " --tables {RESULTS}/tables --figures {params.figures} --pages {params.pages} --report report.html"
        " && {sys.executable} -m snakemake {params.report}) > {log} 2>&1"


onerror:
    say_last(explain(log[0]) + set_aside(log[0]))
