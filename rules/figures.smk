# The figures of the paper: one notebook each, or a variant of it with parameters of its own.


rule figure:
    """One figure, from the tables that its notebook asks for."""
    input:
        notebook=lambda w: plan.notebook(w.figure),
        library=lambda w: library(w.figure.split("-")[0]),
        tables=lambda w: plan.figure_inputs(w.figure),
    output:
        png=report(
            layout.figure + ".png",
            caption="../figures/captions/figure.rst",
            category="Figures",
        ),
        pdf=layout.figure + ".pdf",
    log:
        notebook=layout.log("{figure}"),
    params:
        parameters=lambda w: to_yaml(**plan.figure_parameters(w.figure), out=layout.figure.format(figure=w.figure)),
    shell:
        PAPERMILL + SEAL
