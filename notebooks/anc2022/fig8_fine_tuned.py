# %% [markdown]
# (anc2022-fig8)=
# # Figure 8: after fine-tuning
#
# **What the paper shows.** The NormFormer is fine-tuned on English inference. CKA still sees next to nothing in its upper
# layers, yet the vector that the classifier reads, the first token of the last layer, is similar across languages. ANC
# sees similarity in every layer ([claims](#scoreboard-anc2022-fig8)).
#
# **What this page does.** It fine-tunes the NormFormer and, as a control, the Post-LN encoder of
# [Figure 1](fig1_cka_failure.ipynb) and measures both indices before and after. The classifier reads the first token, as in
# the paper. The baseline for "after" is the same encoder fine-tuned in the same way without any pre-training.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own
pairs = None
n_parallel = None
learning_rate = None  # of the fine-tuning; None: as in Table 1
models = None  # some of them, such as ["scale_normformer"]
checkpoints = None  # public models instead: {"scale_normformer": "a hub name or a folder"}

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
import pandas as pd

import xsim_lib as xsim
from xsim_lib.figures import plots
from xsim_lib.models.encoder import untrained
from xsim_lib.tasks.finetuning import ClassifierSettings, evaluate_classifier, finetune_classifier

run = xsim.start(
    "anc2022.fig8", profile=profile, seeds=seeds, pairs=pairs, n_parallel=n_parallel,
    models=models, checkpoints=checkpoints,
)  # fmt: skip
schemes = [name for name in run.names if name not in ("scale_pre", "scale_normformer-v2")]
source, *targets = run.settings.classification.languages
run.overview()

# %% tags=["hide-input"]
models = {seed: run.models(seed, *schemes) for seed in run.seeds}

# %% [markdown]
# ## Fine-tune, with and without pre-training

# %% tags=["hide-input"]
train = run.classification(source, "train")
tests = {language: run.classification(language, "test") for language in (source, *targets)}
options = run.settings.classification.settings.model_dump() | {"pooling": "first"}
if learning_rate is not None:
    options["learning_rate"] = learning_rate
tuned = {}
for seed, chosen in models.items():
    settings = ClassifierSettings(**options | {"seed": seed})
    for name, (model, _) in chosen.items():
        for baseline, start in (("", model), ("untrained", untrained(model, seed))):
            classifier = finetune_classifier(start, train, settings)
            tuned[seed, name, baseline] = classifier.encoder
            for language, test in tests.items():
                score = evaluate_classifier(classifier, test)
                row = {
                    "metric": "accuracy", "task": "nli", "pair_or_language": language,
                    "value": score.value, "lower": score.lower, "upper": score.upper,
                    "n": score.n, "baseline": baseline,
                }  # fmt: skip
                run.record([row], model=f"{name}_tuned", seed=seed)

# %% [markdown]
# Accuracy of these classifiers (chance is one third). Where English itself is near chance, fine-tuning has taught the
# encoder little, and little can be expected of its last vector.

# %% tags=["hide-input"]
scores = run.records.frame.query("metric == 'accuracy'").assign(
    start=lambda frame: frame["baseline"].replace(
        {"": "pre-trained", "untrained": "not pre-trained"}
    )
)
by = ["model", "start", "pair_or_language"]
scores.groupby(by, sort=False)["value"].mean().unstack().round(2)

# %% [markdown]
# ## The same two indices, before and after
#
# Curves are means over all tokens. The star is the first token of the last layer, the one that the classifier reads.

# %% tags=["hide-input"]
for seed, chosen in models.items():
    for name, (model, _) in chosen.items():
        stages = {
            (name, ""): model,
            (name, "untrained"): untrained(model, seed),
            (f"{name}_tuned", ""): tuned[seed, name, ""],
            (f"{name}_tuned", "untrained"): tuned[seed, name, "untrained"],
        }
        for (stage, baseline), encoder in stages.items():
            # Shuffled pairs are the floor of the measurement itself, not of its baseline.
            options = {
                "baselines": () if baseline else ("shuffled", "length_matched"),
                "seed": seed,
            }
            options["truncate"] = run.settings.truncate
            kind = {"baseline": baseline} if baseline else {}
            rows = xsim.compare(encoder, run.parallel, **options)
            run.record(rows, model=stage, seed=seed, **kind)
            first = xsim.compare(encoder, run.parallel, pooling="first", **options)
            first = first[first["layer"] == first["n_layers"]]
            run.record(first, model=stage, seed=seed, variant="cls", **kind)
rows = [stage for name in schemes for stage in (name, f"{name}_tuned")]

# %% tags=["hide-input"] mystnb={"image": {"alt": "Linear CKA per layer of each scheme before and after fine-tuning on English inference, in this build and the recorded runs; a star marks the first token of the last layer; untrained encoders and shuffled pairs as baselines."}, "figure": {"name": "figure-anc2022-fig8-cka", "caption": "Linear CKA before and after fine-tuning on the first language. Bands: one standard deviation over seeds, or the 95 % interval over sentences where there is one seed. Dotted and hollow: without pre-training, fine-tuned alike. Grey: shuffled pairs."}}
mark = ("cls", "first token")
figure = plots.layers(run.columns(), "cka", rows, label="CKA", mark=mark)

# %% tags=["hide-input"] mystnb={"image": {"alt": "ANC per layer of each scheme before and after fine-tuning on English inference, drawn like CKA above."}, "figure": {"name": "figure-anc2022-fig8-anc", "caption": "ANC before and after fine-tuning, drawn like CKA above."}}
figure = plots.layers(run.columns(), "anc", rows, label="ANC", mark=mark)

# %% [markdown]
# ## What fine-tuning changes
#
# Means over pairs and seeds of this build: the lower layers, the upper ones, and the first token of the last layer. Where
# "without pre-training" moves as much as the pre-trained encoder, the change comes from the task alone.

# %% tags=["hide-input"]
places = {"layers 1-5": ((1, 5), ""), "layers 6-11": ((6, 11), ""), "first token": (12, "cls")}
table = {
    (metric, place, kind or "pre-trained"): {
        stage: run.records.mean(metric, layers, variant=variant, model=stage, baseline=kind)
        for stage in rows
    }
    for metric in ("cka", "anc")
    for place, (layers, variant) in places.items()
    for kind in ("", "untrained")
}
pd.DataFrame(table).T.round(2)

# %% [markdown]
# ## Verdicts
#
# They stand on this many values of each metric.

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
run.coverage()

# %% tags=["hide-input"]
run.verdicts()

# %% [markdown]
# ## Re-run this page
#
# ```bash
# xsim run anc2022/fig8_fine_tuned --profile mini --seeds 3
# papermill notebooks/anc2022/fig8_fine_tuned.ipynb out.ipynb -p profile mini -y "seeds: [3]"
# ```
#
# Worth trying: `--set learning_rate=0.0001`, which moves the encoder less; `--set "pairs=[fr-bg]"` for two languages of
# which neither was fine-tuned on; a public checkpoint on real text, `--profile real --set learning_rate=0.00002 --set
# "checkpoints={xlmr: xlm-roberta-base}"`.

# %% tags=["hide-input"]
run.finish()
