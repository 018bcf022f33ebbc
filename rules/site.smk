# What people read without running anything: executed notebooks as pages, and a site of pages, figures and tables.
SITE = [
    "lfcore/publish/site.html",
    "figures/captions/alt.yaml",
    "lfcore/publish/site.py",
    *sources("lfcore/publish/site.py"),
]


rule page:
    """An executed notebook as a page to read, without network."""
    input:
        notebook=layout.executed,
        library=SITE,
    output:
        report(
            layout.page,
            caption="../figures/captions/page.rst",
            category="Notebooks",
        ),
    log:
        layout.page_log,
    shell:
        "{sys.executable:q} -m lfcore.publish.site page {input.notebook:q} {output:q} > {log:q} 2>&1"


rule site:
    """The published face: this profile's figures, tables, pages and report, and those of every study that is made."""
    input:
        made=lambda w: [path for study in plan.made() for path in plan.results(study)],
        library=[*SITE, "README.md", "figures/captions/figure.rst"],
    output:
        directory(layout.site),
    log:
        layout.site_log,
    params:
        profile=config["profile"],
        dataset=config["dataset"]["name"],
        tables=layout.tables.format(study=""),
        figures=lambda w, input: [path for path in input.made if path.endswith(".png")],
        pages=lambda w, input: [path for path in input.made if path.endswith(".html")],
        # a report is made by a snakemake of its own, which only reads what this one holds the lock of
        report=lambda w, output: ["--nolock", "--report", f"{output}/report.html"],
        studies=lambda w: [study or "all" for study in plan.made()],
        overlays=[word for path in workflow.overwrite_configfiles for word in ("--configfile", str(path))],
    shell:
        "({sys.executable:q} -m lfcore.publish.site index {params.profile} {output:q} --dataset {params.dataset}"
        " --tables {params.tables:q} --figures {params.figures:q} --pages {params.pages:q} --report report.html"
        " && {sys.executable:q} -m snakemake {params.report:q} {params.studies} {params.overlays:q}) > {log:q} 2>&1"
