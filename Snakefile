# The artifact. The data's way, each step a rule or two of rules/*.smk:
#
#   config           the profile: config/digits.yaml, or an overlay of it          lfcore/workflow/config.py
#   -> data          the images in one file, and the rows of each forget set       rule data
#   -> train         originals, and without the forget set the retrained models    rule train
#   -> unlearn       every method from every original                              rule unlearn
#   -> evaluate      their predictions beside those of the retrained models        rules evaluate, examples, probe
#   -> summary       one table, its summary over seeds, the claims                 rule summary
#   -> figures       the paper's figures, and notebooks as pages to read           rules figure, page, site
#
# Beside it: rule tune tries settings of every method, rule experiment varies the training data itself.
# `snakemake --cores 4` runs the default profile; `--configfile config/smoke.yaml` lays another one over it.
import os
import sys

from snakemake.exceptions import WorkflowError

sys.path.insert(0, workflow.basedir)

from lfcore.core.errors import InputError
from lfcore.core.layout import FIGURES, MODELS, RESULTS, RUN
from lfcore.workflow.config import check_config
from lfcore.workflow.dependencies import library, method, plugin_files, probe_file, sources
from lfcore.workflow.failures import explain, set_aside
from lfcore.workflow.jobs import check_records, check_writable, numbers, print_at_exit
from lfcore.workflow.notebooks import check_notebooks, to_yaml
from lfcore.workflow.overlays import DEFAULT
from lfcore.workflow.plan import TABLES, Plan
from lfcore.workflow.studies import MAIN

# A job has one thread, whatever it calls, and one that waits for another does not spin: on a busy machine that cost
# a factor of 8 and more. Snakemake itself sets OMP_NUM_THREADS and its like to the threads of each rule, which are 1.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

for path in DEFAULT:

    configfile: path


try:
    config = check_config(config)
    check_writable(RESULTS, FIGURES)
except InputError as error:
    print_at_exit(error)
    raise WorkflowError(str(error)) from None

plan = Plan(config)  # which studies there are, and their files
layout = plan.layout  # the paths of results/<profile> and figures/<profile>
gpu = int(config["device"] != "cpu")

for damaged in check_notebooks(layout):
    print(f"{damaged} is not what its source says, and is made again.", file=sys.stderr)
if caution := check_records(layout):
    print_at_exit(caution)

# What rules run: their notebook, with the parameters of `params`. Names are quoted, since a folder's may have a space.
PAPERMILL = (
    "{sys.executable:q} -m papermill {input.notebook:q} {log.notebook:q} > {log.notebook:q}.log 2>&1"
    " --no-progress-bar --no-log-output -y {params.parameters:q}"
)
SEAL = " && {sys.executable:q} -m lfcore.core.records {log.notebook:q}"  # of what becomes a page


wildcard_constraints:
    network="|".join(config["networks"]),
    forget_set="|".join(["none", *plan.forget_sets]),
    unlearner="|".join(["original", "retrained", *plan.unlearners]),
    seeds=r"\d+-\d+",
    figure="|".join(plan.figures),
    study=f"({'|'.join(plan.by_ending)})",  # of the profile's own: nothing
    budget="|".join(plan.grids) or "none",
    experiment="|".join(plan.experiments) or "none",


rule all:
    """The profile's tables, figures and notebooks as pages."""
    default_target: True
    input:
        plan.results(MAIN),


include: "rules/pipeline.smk"
include: "rules/studies.smk"
include: "rules/tuning.smk"
include: "rules/figures.smk"
include: "rules/site.smk"


onerror:
    print_at_exit(explain(log[0]) + set_aside(log[0]))
