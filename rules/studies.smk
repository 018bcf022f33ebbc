# The tables beside the profile's own: studies, whose probes need the weights, and experiments, which vary the data.
for study in filter(None, plan.studies):

    rule:
        name:
            study
        input:
            plan.results(study),


for name, given in config["studies"].items():
    if "blocks" in given:

        rule:
            name:
                name
            input:
                [path for end in plan.blocks(name) for path in plan.results(end.removeprefix("-"))],


rule ablations:
    """Every study beside the profile's own."""
    input:
        [path for study in plan.studies if study != MAIN for path in plan.results(study)],


rule all_papers:
    """Every figure and table of all four papers: the profile's, and those of every study."""
    input:
        [path for study in plan.studies for path in plan.results(study)],


rule probe:
    """What only the models themselves can tell of one unlearner: all the probes of a study."""
    input:
        unpack(plan.compared),
        notebook=plan.notebook("07_probe"),
        library=lambda w: library("07_probe", *map(probe_file, plan.by_ending[w.study].probes)),
        dataset=layout.dataset,
        forget_set=layout.forget_set,
    output:
        table=layout.probes + ".csv",
        arrays=layout.probes + ".npz",
    log:
        notebook=layout.log("07_probe{study}", RUN),
    resources:
        gpu=gpu,
    params:
        parameters=lambda w: to_yaml(
            base=[config["profile"]],
            study=w.study.removeprefix("-"),
            forget_set=w.forget_set,
            network=w.network,
            unlearner=w.unlearner,
            **plan.seeds(w),
            probes=plan.by_ending[w.study].probes,
            device=config["device"],
        ),
    shell:
        PAPERMILL


rule experiment:
    """One condition, from training to a table, whose models serve nothing else."""
    input:
        notebook=plan.notebook("08_experiment"),
        library=lambda w: library("08_experiment", *plugin_files("experiments", [w.experiment])),
        dataset=layout.dataset,
    output:
        table=layout.experiment + ".csv",
        arrays=layout.experiment + ".npz",
    log:
        notebook=layout.log("08_experiment", "{experiment}"),
    resources:
        gpu=gpu,
    params:
        parameters=lambda w: to_yaml(
            base=[config["profile"]],
            experiment=w.experiment,
            seeds=plan.experiments[w.experiment].unlearned,
            options=plan.experiments[w.experiment].experiments[w.experiment],
            device=config["device"],
        ),
    shell:
        PAPERMILL
