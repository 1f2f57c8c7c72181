# The graph: checkpoints -> executed notebooks -> verdicts -> book. One thread per job, as many jobs as cores.
#   make book                                                             the usual way in
#   snakemake --cores 2 --config profile=mini -- book                    the same, by hand
#   snakemake --workflow-profile profiles/slurm --config profile=real -- book      on a cluster
#   snakemake --workflow-profile profiles/slurm --config profile=real seeds=3 tables="anc2022.fig4" -- record
# What a job was made from, and whether it has changed, is decided in xsim_lib/evidence/graph.py: the stamps say so.
import os

os.environ.setdefault("XSIM_HOME", workflow.basedir)
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

from xsim_lib.workflow import warm
from xsim_lib.evidence.graph import Graph

# Within a build that has started a warm process, jobs are forked from it; elsewhere each starts for itself.
XSIM = warm.FORKED if os.environ.get(warm.ADDRESS) else "xsim"
PROFILE = config.get("profile", "mini")
GRAPH = Graph(PROFILE)
NOTEBOOKS = expand("notebooks/{name}.ipynb", name=list(GRAPH.notebooks))


# All paths are relative to it, so that no character in the path of a checkout means anything.
workdir: str(GRAPH.build)


wildcard_constraints:
    name=r"[\w.\-/ ]+",
    paper=r"[a-z0-9]+",
    model=r"[A-Za-z0-9_.\-]+",
    seed=r"\d+",


# All of it, so that an executed notebook that was deleted comes back even if the pages still stand.
rule book:
    input:
        "html/index.html",
        "verdicts.csv",
        NOTEBOOKS,
    message:
        "the book stands"


rule notebooks:
    input:
        NOTEBOOKS,


rule train:
    input:
        lambda w: GRAPH.stamp(GRAPH.training(w.paper, w.model, int(w.seed))),
    output:
        "models/{paper}/{model}.{seed}.depends.json",
    message:
        "train {wildcards.model} of {wildcards.paper}, seed {wildcards.seed}"
    log:
        "logs/models/{paper}/{model}.{seed}.log",
    shell:
        "{XSIM} train {wildcards.paper:q} --profile {PROFILE:q} --model {wildcards.model:q} --seed {wildcards.seed:q}"
        " > {log:q} 2>&1"


rule notebook:
    input:
        lambda w: GRAPH.stamp(GRAPH.page(w.name)),
        lambda w: GRAPH.markers(w.name),
    output:
        "notebooks/{name}.ipynb",
        "notebooks/{name}.depends.json",
    message:
        "run {wildcards.name}"
    log:
        "logs/notebooks/{name}.log",
    shell:
        "{XSIM} run {wildcards.name:q} --profile {PROFILE:q} > {log:q} 2>&1"


rule verdicts:
    input:
        NOTEBOOKS,
        GRAPH.stamp(GRAPH.verdicts()),
    output:
        "verdicts.csv",
        "states.json",
        "verdicts.depends.json",
    message:
        "judge the claims"
    log:
        "logs/verdicts.log",
    shell:
        "{XSIM} claims --profile {PROFILE:q} --write > {log:q} 2>&1"


rule html:
    input:
        NOTEBOOKS,
        "verdicts.csv",
        GRAPH.stamp(GRAPH.book()),
    output:
        "html/index.html",
        "html.depends.json",
    message:
        "build the book"
    log:
        "logs/book.log",
    shell:
        "{XSIM} book --profile {PROFILE:q} > {log:q} 2>&1"


# ---- make record: the same notebooks, one seed each, side by side; every seed is published when it is done
def unmeasured(_):
    """What is left to record; a marker of a measurement that counts no more goes, so that it is made again."""
    from xsim_lib.workflow import recording

    seeds = range(1, int(config.get("seeds", 5)) + 1)
    jobs = recording.unmeasured(PROFILE, seeds, str(config.get("tables", "")))
    markers = [recording.marker(job, PROFILE) for job in jobs]
    for paper in {job.page.paper for job in jobs}:
        (GRAPH.build / "recording" / "shipped" / paper).unlink(missing_ok=True)
    for marker in markers:
        marker.unlink(missing_ok=True)
    return [marker.relative_to(GRAPH.build).as_posix() for marker in markers]


# What ships is trained again first where its settings or the code that trained it say something else today.
rule ship:
    output:
        "recording/shipped/{paper}",
    message:
        "train what ships of {wildcards.paper}"
    log:
        "logs/recording/ship.{paper}.log",
    shell:
        "{XSIM} ship {wildcards.paper:q} --profile {PROFILE:q} > {log:q} 2>&1 && touch {output:q}"


rule seed:
    input:
        lambda w: GRAPH.markers(w.name, int(w.seed)),
        lambda w: GRAPH.shipped_first(w.name, int(w.seed)),
    output:
        touch("recording/done/{name}.{seed}"),
    message:
        "record {wildcards.name}, seed {wildcards.seed}"
    log:
        "logs/recording/{name}.{seed}.log",
    shell:
        "{XSIM} record {wildcards.name:q} --profile {PROFILE:q} --seed {wildcards.seed:q} > {log:q} 2>&1"


rule record:
    input:
        unmeasured,
    message:
        "all is recorded"
