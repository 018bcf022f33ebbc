# Which setting of a method is used: every one of its grid is tried, on forget sets and seeds that no result uses.


rule tuning:
    """Every setting of every method's grid, at every budget, and the figure of what is chosen (config/choices.yaml)."""
    input:
        plan.tuned(),


rule tune:
    """Every setting of one method's grid on one forget set. budget: see lfcore/workflow/studies.py."""
    input:
        notebook=plan.notebook("06_tune"),
        library=lambda w: library("06_tune", method(w.unlearner, plan.grids[w.budget][w.unlearner][0])),
        dataset=layout.dataset,
        forget_set=layout.forget_set,
        originals=lambda w: plan.folders("original", w.forget_set),
        retrained=lambda w: plan.folders("retrained", w.forget_set, plan.tuning.reference),
    output:
        table=layout.trials,
    log:
        notebook=layout.log("06_tune", "{budget}/" + RUN),
    resources:
        gpu=gpu,
    params:
        parameters=lambda w: to_yaml(
            base=[config["profile"]],
            budget=w.budget,
            forget_set=w.forget_set,
            network=w.network,
            unlearner=w.unlearner,
            grid=plan.grids[w.budget][w.unlearner],
            seeds=plan.tuning.unlearned,
            device=config["device"],
            reference_seeds=plan.tuning.reference,
            loop=config["loop"],
        ),
    shell:
        PAPERMILL
