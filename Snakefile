# The artifact, in paper order: data, originals and retrained models, unlearning, measurements, tables, figures.
# A plain `snakemake --cores 4` runs config/digits.yaml; `--configfile config/smoke.yaml` lays another profile over it.
import sys

from snakemake.exceptions import WorkflowError

sys.path.insert(0, workflow.basedir)

from lfcore.errors import InputError
from lfcore.workflow import check_config, check_writable, cut, explain, numbers, say_last, sources, to_yaml


configfile: "config/digits.yaml"


try:
    config = check_config(config)
    check_writable("results", "figures")
except InputError as error:
    say_last(error)
    raise WorkflowError(str(error)) from None

PROFILE = config["profile"]
RESULTS = f"results/{PROFILE}"
FIGURES = f"figures/{PROFILE}"

SEEDS = config["seeds"]
UNLEARNED = list(range(SEEDS["first"], SEEDS["first"] + SEEDS["unlearned"]))
REFERENCE = list(range(SEEDS["first"], SEEDS["first"] + SEEDS["reference"]))
FLOOR = list(range(REFERENCE[-1] + 1, REFERENCE[-1] + 1 + SEEDS["floor"]))
UNLEARNERS = ["original", "retrained", *config["unlearners"]]
PLACES = dict(network=config["networks"], forget_set=config["forget_sets"])
TABLES = ["measurements", "summary", "costs", "claims"]
READ = ["01_data", "05_summary", *config["figures"]]  # the notebooks that people read, as pages

PAPERMILL = (
    f"{sys.executable} -m papermill {{input.notebook}} {{log.notebook}} > {{log.notebook}}.log 2>&1"
    " --no-progress-bar --no-log-output -y {params.options:q}"
)


wildcard_constraints:
    network="|".join(config["networks"]),
    forget_set="|".join(["none", *config["forget_sets"]]),
    unlearner="|".join(UNLEARNERS),
    seeds=r"\d+-\d+",
    figure="|".join(config["figures"]),


def folders(unlearner):
    """The folders of all the models of `unlearner`, with wildcards for network and forget set."""
    forget_set = "none" if unlearner == "original" else "{forget_set}"
    jobs = cut(REFERENCE + FLOOR if unlearner == "retrained" else UNLEARNED, config["seeds_per_job"])
    return [f"{RESULTS}/models/{{network}}/{forget_set}/{unlearner}/{job}" for job in jobs]


def notebook(stem):
    return f"{RESULTS}/notebooks/{stem.split('-')[0]}.ipynb"


def library(stem, *more):
    """What the notebook imports of lfcore, and these files with what they import."""
    return [*more, *sources(f"notebooks/{stem}.py", *more)]


MODELS = sorted({path for name in UNLEARNERS for folder in folders(name) for path in expand(folder, **PLACES)})


rule all:
    """The tables, the figures and the notebooks as pages."""
    default_target: True
    input:
        expand(
            FIGURES + "/{figure}.{ending}",
            figure=config["figures"],
            ending=["png", "pdf"],
        ),
        expand(RESULTS + "/tables/{table}.csv", table=TABLES),
        expand(RESULTS + "/pages/{page}.html", page=READ),


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
        forget_sets=expand(RESULTS + "/data/{forget_set}.json", forget_set=config["forget_sets"]),
    log:
        notebook=RESULTS + "/executed/01_data.ipynb",
    params:
        options=to_yaml(
            dataset=config["dataset"]["name"],
            root=config["dataset"]["root"],
            forget_sets=config["forget_sets"],
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
    params:
        options=lambda w: to_yaml(
            network=w.network,
            role=w.role,
            seeds=numbers(w.seeds),
            device=config["device"],
            options=config["training"],
        ),
    shell:
        PAPERMILL + " -r dataset {input.dataset} -r forget_set '{input.forget_set}' -r out {output.folder}"


rule unlearn:
    """One method on one forget set, from the original of each seed."""
    input:
        notebook=notebook("03_unlearn"),
        library=lambda w: library("03_unlearn", f"lfcore/unlearners/{w.unlearner.split('-')[0]}.py"),
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
        unlearner="|".join(config["unlearners"]) or "none",
    params:
        options=lambda w: to_yaml(
            network=w.network,
            unlearner=w.unlearner,
            seeds=numbers(w.seeds),
            device=config["device"],
            options=config["unlearners"][w.unlearner],
        ),
        folders=lambda w, input: to_yaml(originals=[str(input.originals)]),
    shell:
        PAPERMILL + " -y {params.folders:q} -r dataset {input.dataset} -r forget_set {input.forget_set}"
        " -r out {output.folder}"


rule evaluate:
    """Everything that predictions tell about one unlearner: against retrained models, beside the floor."""
    input:
        notebook=notebook("04_evaluate"),
        library=library(
            "04_evaluate",
            *(f"lfcore/metrics/{metric}.py" for metric in config["metrics"]),
        ),
        dataset=rules.data.output.dataset,
        forget_set=RESULTS + "/data/{forget_set}.json",
        folders=lambda w: folders(w.unlearner),
        originals=folders("original"),
        retrained=folders("retrained"),
    output:
        table=RESULTS + "/measurements/{network}/{forget_set}/{unlearner}.csv",
        examples=RESULTS + "/measurements/{network}/{forget_set}/{unlearner}.npz",
    log:
        notebook=RESULTS + "/executed/04_evaluate/{network}/{forget_set}/{unlearner}.ipynb",
    params:
        options=lambda w: to_yaml(
            network=w.network,
            unlearner=w.unlearner,
            seeds=FLOOR if w.unlearner == "retrained" else UNLEARNED,
            original_seeds=UNLEARNED,
            reference_seeds=REFERENCE,
            floor_seeds=FLOOR,
            metrics=config["metrics"],
            out=f"{RESULTS}/measurements/{w.network}/{w.forget_set}/{w.unlearner}",
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
        measurements=expand(rules.evaluate.output.table, unlearner=UNLEARNERS, **PLACES),
        models=MODELS,
        benchmarks=[folder.replace("/models/", "/benchmarks/") + ".tsv" for folder in MODELS],
        forget_sets=rules.data.output.forget_sets,
    output:
        tables=expand(RESULTS + "/tables/{table}.csv", table=TABLES),
    log:
        notebook=RESULTS + "/executed/05_summary.ipynb",
    params:
        options=to_yaml(
            measurements=RESULTS + "/measurements",
            networks=config["networks"],
            forget_sets=list(config["forget_sets"]),
            unlearners=UNLEARNERS,
            data=RESULTS + "/data",
            out=RESULTS + "/tables",
        ),
        models=lambda w, input: to_yaml(models=list(input.models), benchmarks=list(input.benchmarks)),
    shell:
        PAPERMILL + " -y {params.models:q}"


rule figure:
    """One figure of the paper, or a variant of it, from the summary table."""
    input:
        notebook=lambda w: notebook(w.figure),
        library=lambda w: library(w.figure.split("-")[0]),
        summary=RESULTS + "/tables/summary.csv",
        forget_sets=rules.data.output.forget_sets,
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
        options=lambda w: to_yaml(
            **{"data": RESULTS + "/data", "unlearners": UNLEARNERS, "out": f"{FIGURES}/{w.figure}"}
            | config["figures"][w.figure]
        ),
    shell:
        PAPERMILL + " -r summary {input.summary}"


rule page:
    """An executed notebook as a page to read."""
    input:
        RESULTS + "/executed/{page}.ipynb",
    output:
        report(
            RESULTS + "/pages/{page}.html",
            caption="figures/captions/page.rst",
            category="Notebooks",
        ),
    shell:
        "{sys.executable} -m nbconvert --log-level ERROR --to html --template classic --output-dir {RESULTS}/pages {input}"


onerror:
    say_last(explain(log[0]))
