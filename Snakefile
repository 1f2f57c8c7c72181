# The graph: checkpoints -> executed notebooks -> verdicts -> book. One thread per job, as many jobs as cores.
#   make book                                                             the usual way in
#   snakemake --cores 2 --config profile=mini -- book                    the same, by hand
#   snakemake --workflow-profile profiles/slurm --config profile=real -- book      on a cluster
import os

os.environ.setdefault("XSIM_HOME", workflow.basedir)
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

from xsim_lib import claims, paths
from xsim_lib.workflow import Graph

PROFILE = config.get("profile", "mini")
SEEDS = range(1, int(config.get("seeds", 5)) + 1)
GRAPH = Graph(PROFILE)
BUILD = str(GRAPH.build)
# Checkpoints are shared by the live build and by the recorded seeds.
CACHE = str(paths.cache_dir())


def is_judged(notebook):
    """Whether a claim is about an item of a notebook: only such measurements are worth recording."""
    for item in notebook.items:
        try:
            claims.claims_of(*item.split(".", 1))
        except ValueError:
            continue
        return True
    return False


JUDGED = [name for name, notebook in GRAPH.notebooks.items() if is_judged(notebook)]


wildcard_constraints:
    paper=r"[a-z0-9]+",
    model=r"[A-Za-z0-9_.\-]+",
    seed=r"\d+",


# All of it, so that an executed notebook that was deleted comes back even if the pages still stand.
rule book:
    input:
        f"{BUILD}/html/index.html",
        f"{BUILD}/verdicts.csv",
        expand(f"{BUILD}/notebooks/{{name}}.ipynb", name=list(GRAPH.notebooks)),
    message:
        "the book stands"


rule notebooks:
    input:
        expand(f"{BUILD}/notebooks/{{name}}.ipynb", name=list(GRAPH.notebooks)),


rule train:
    input:
        lambda w: GRAPH.train_stamp(w.paper),
    output:
        touch(f"{BUILD}/models/{{paper}}/{{model}}.{{seed}}.done"),
    message:
        "train {wildcards.model} of {wildcards.paper}, seed {wildcards.seed}"
    log:
        f"{BUILD}/logs/models/{{paper}}/{{model}}.{{seed}}.log",
    shell:
        "xsim train {wildcards.paper} --profile {PROFILE} --model {wildcards.model} --seed {wildcards.seed} > {log} 2>&1"


rule notebook:
    input:
        lambda w: GRAPH.notebook_stamp(w.name),
        lambda w: GRAPH.markers(w.name),
    output:
        f"{BUILD}/notebooks/{{name}}.ipynb",
    message:
        "run {wildcards.name}"
    log:
        f"{BUILD}/logs/notebooks/{{name}}.log",
    shell:
        "xsim run {wildcards.name} --profile {PROFILE} > {log} 2>&1"


rule verdicts:
    input:
        rules.notebooks.input,
        GRAPH.verdict_stamp(),
    output:
        f"{BUILD}/verdicts.csv",
    message:
        "judge the claims"
    log:
        f"{BUILD}/logs/verdicts.log",
    shell:
        "xsim claims --profile {PROFILE} --csv > {output} 2> {log}"


rule html:
    input:
        rules.notebooks.input,
        rules.verdicts.output,
        GRAPH.book_stamp(),
    output:
        f"{BUILD}/html/index.html",
    message:
        "build the book"
    log:
        f"{BUILD}/logs/book.log",
    shell:
        "xsim book --profile {PROFILE} > {log} 2>&1"


# ---- make record: the same notebooks, one seed each, side by side; then one small table per figure
rule notebook_of_seed:
    input:
        lambda w: GRAPH.notebook_stamp(w.name, shows_records=False),
        lambda w: GRAPH.markers(w.name, int(w.seed)),
    output:
        f"{BUILD}/seeds/{{seed}}/{PROFILE}/notebooks/{{name}}.ipynb",
    message:
        "run {wildcards.name}, seed {wildcards.seed}"
    log:
        f"{BUILD}/logs/seeds/{{seed}}/{{name}}.log",
    shell:
        "XSIM_CACHE={CACHE:q} XSIM_BUILD={BUILD:q}/seeds/{wildcards.seed}"
        " xsim run {wildcards.name} --profile {PROFILE} --seeds {wildcards.seed} --recorded > {log} 2>&1"


rule record:
    input:
        expand(
            f"{BUILD}/seeds/{{seed}}/{PROFILE}/notebooks/{{name}}.ipynb",
            seed=SEEDS,
            name=JUDGED,
        ),
    message:
        "collect the records"
    log:
        f"{BUILD}/logs/collect.log",
    shell:
        "xsim collect --profile {PROFILE} > {log} 2>&1"
