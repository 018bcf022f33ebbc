# From the data to the tables of a study: data, train, unlearn, evaluate, summary.


localrules:  # a second of work each: on a cluster it is done where snakemake runs
    notebook,


rule notebook:
    """The notebook that papermill runs, made of its source."""
    input:
        "notebooks/{stem}.py",
    output:
        layout.notebook,
    shell:
        "{sys.executable:q} -m jupytext --quiet --to ipynb --output {output:q} {input:q}"


rule data:
    """The data set in one file, and the rows of each forget set."""
    input:
        notebook=plan.notebook("01_data"),
        library=library("01_data", *plugin_files("datasets", [config["dataset"]["name"]])),
    output:
        dataset=layout.dataset,
        forget_sets=expand(layout.forget_set, forget_set=plan.forget_sets),
    log:
        notebook=layout.log("01_data"),
    params:
        parameters=to_yaml(
            dataset=config["dataset"]["name"],
            root=config["dataset"]["root"],
            options={key: value for key, value in config["dataset"].items() if key not in ("name", "root")},
            forget_sets={name: study.forget_sets[name] for name, study in plan.forget_sets.items()},
            base=[config["profile"]],
        ),
    shell:
        PAPERMILL


rule train:
    """Originals (forget set `none`) and retrained models: one recipe, with and without the forget set."""
    input:
        notebook=plan.notebook("02_train"),
        library=library("02_train"),
        dataset=layout.dataset,
        forget_set=lambda w: [] if w.forget_set == "none" else layout.forget_set,
    output:
        models=directory(layout.models),
    log:
        notebook=layout.log("02_train", MODELS),
    benchmark:
        layout.benchmark
    wildcard_constraints:
        unlearner="original|retrained",
    priority: 1  # the longest jobs, and all others wait for them
    resources:
        gpu=gpu,
    params:
        parameters=lambda w: to_yaml(
            base=[config["profile"]],
            forget_set="" if w.unlearner == "original" else w.forget_set,
            network=w.network,
            seeds=numbers(w.seeds),
            device=config["device"],
            options=config["training"],
            loop=config["loop"],
        ),
    shell:
        PAPERMILL


rule unlearn:
    """One method on one forget set, from the original of each seed."""
    input:
        notebook=plan.notebook("03_unlearn"),
        library=lambda w: library("03_unlearn", method(w.unlearner, plan.unlearners[w.unlearner])),
        dataset=layout.dataset,
        forget_set=layout.forget_set,
        originals=layout.originals,
    output:
        models=directory(layout.models),
    log:
        notebook=layout.log("03_unlearn", MODELS),
    benchmark:
        layout.benchmark
    wildcard_constraints:
        unlearner="|".join(plan.unlearners) or "none",
    resources:
        gpu=gpu,
    params:
        parameters=lambda w: to_yaml(
            base=[config["profile"]],
            forget_set=w.forget_set,
            network=w.network,
            unlearner=w.unlearner,
            seeds=numbers(w.seeds),
            device=config["device"],
            options=plan.unlearners[w.unlearner],
            loop=config["loop"],
        ),
    shell:
        PAPERMILL


rule evaluate:
    """What predictions tell of each unlearner that a study adds to a forget set: against retrained models, beside the floor."""
    input:
        unpack(plan.measured_with),
        notebook=plan.notebook("04_evaluate"),
        library=lambda w: library("04_evaluate", *plugin_files("metrics", plan.forget_sets[w.forget_set].metrics)),
        dataset=layout.dataset,
        forget_set=layout.forget_set,
    output:
        measured=directory(layout.measured),
    log:
        notebook=layout.log("04_evaluate{study}", "{network}/{forget_set}"),
    params:
        parameters=lambda w: to_yaml(
            base=[config["profile"]],
            study=w.study.removeprefix("-"),
            forget_set=w.forget_set,
            network=w.network,
            unlearners=plan.added(w),
            seeds=plan.forget_sets[w.forget_set].unlearned,
            reference_seeds=plan.forget_sets[w.forget_set].reference,
            floor_seeds=plan.forget_sets[w.forget_set].floor,
            metrics=plan.forget_sets[w.forget_set].metrics,
        ),
    shell:
        PAPERMILL


rule examples:
    """A row for each example under each model of one unlearner: a part of one large table."""
    input:
        unpack(plan.compared),
        notebook=plan.notebook("09_examples"),
        library=library("09_examples", *plugin_files("metrics", config["per_example"])),
        dataset=layout.dataset,
        forget_set=layout.forget_set,
    output:
        rows=layout.examples,
    log:
        notebook=layout.log("09_examples", RUN),
    params:
        parameters=lambda w: to_yaml(
            base=[config["profile"]],
            forget_set=w.forget_set,
            network=w.network,
            unlearner=w.unlearner,
            **plan.seeds(w),
            floor_seeds=plan.forget_sets[w.forget_set].floor,
            metrics=config["per_example"],
        ),
    shell:
        PAPERMILL


rule summary:
    """The one tidy table, its summary over seeds, and the costs, which alone hold seconds."""
    input:
        notebook=plan.notebook("05_summary"),
        library=library("05_summary"),
        measurements=lambda w: sum(plan.measured(plan.by_ending[w.study]).values(), []),
        probed=lambda w: plan.probed(w.study, ".csv"),
        models=lambda w: plan.models(plan.by_ending[w.study]),
        benchmarks=lambda w: plan.models(plan.by_ending[w.study], layout.benchmark),
        forget_sets=rules.data.output.forget_sets,
    output:
        tables=[layout.table.replace("{table}", table) for table in TABLES],
    log:
        notebook=layout.log("05_summary{study}"),
    params:
        parameters=lambda w: to_yaml(
            base=[config["profile"]],
            study=w.study.removeprefix("-"),
            **plan.coordinates(plan.by_ending[w.study]),
            studies=[end.removeprefix("-") for end in plan.measured(plan.by_ending[w.study])],
            probed=bool(plan.by_ending[w.study].probes),
        ),
    shell:
        PAPERMILL + SEAL
