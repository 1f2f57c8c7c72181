# %% [markdown]
# (emerging2020-fig6)=
# # Figure 6: sentences of two models that never met
#
# **What the paper shows.** Two models were trained on one language each. A rotation fitted on 10,000 parallel sentences is
# enough for the translation of a sentence to be often its nearest neighbour in the other model, best in the lower layers
# ([claims](#scoreboard-emerging2020-fig6)). The figure has no numbers in text form.
#
# **What this page does.** The same with mean-pooled states of every layer, for four languages at growing distance from
# English. Beside it stands what the paper does not show: no rotation, a rotation fitted on shuffled pairs, and above all
# *untrained* encoders. Two random encoders also agree on how long a sentence is and which words it repeats, so a rotation
# that is fitted on many pairs brings them together as well. Here it sees few pairs: at `mini` the number with which trained
# encoders were the most times better than untrained ones, on a seed that is not reported. The second figure shows what
# happens with more.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own
pairs = None
n_parallel = None  # sentences per pair: the first few fit the rotation, the others are searched
joining = None  # changes of the profile's settings, such as {"sentences": 30}

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
import matplotlib.pyplot as plt
import pandas as pd
from tqdm import tqdm

import xsim_lib as xsim
from xsim_lib.figures import plots
from xsim_lib.models.encoder import untrained
from xsim_lib.papers.emerging2020 import rotations
from xsim_lib.reading.sentences import encode

run = xsim.start(
    "emerging2020.fig6", profile=profile, seeds=seeds, group="singles", pairs=pairs,
    n_parallel=n_parallel, joining=joining,
)  # fmt: skip
settings, few = run.settings, run.settings.joining.sentences
run.overview()

# %% [markdown]
# ## Read, rotate, search
#
# One model per language. The languages share no weight and no vocabulary. States of the sub-words of a sentence
# are averaged, without special tokens, as in the paper.

# %% tags=["hide-input"]
languages = list(dict.fromkeys(x for pair in run.pairs for x in pair.split("-")))
states = {}
for seed in run.seeds:
    for place, language in enumerate(tqdm(languages, desc=f"models, seed {seed}")):
        spec = settings.monolingual(language, seed)
        model = run.trained(spec, f"monolingual/{language}/{seed}").load()
        # Other random weights in each language, as the trained models are different ones.
        fresh = untrained(model, 10**6 + 100 * seed + place)
        for kind, encoder in (("", model), ("untrained", fresh)):
            for pair, corpus in run.parallel.items():
                if language in pair.split("-"):
                    states[seed, kind, pair, language] = encode(
                        encoder, corpus[language], pooling="mean_words", truncate=settings.truncate
                    )


# %% tags=["hide-input"]
def searched(seed, kind, pair, fitted, tested, baselines=()):
    """Retrieval with a rotation fitted on the first sentences, among those from `tested` on."""
    x, y = (states[seed, kind, pair, language] for language in pair.split("-"))
    return rotations.sentence_retrieval(
        (x[:, :fitted], y[:, :fitted]), (x[:, tested:], y[:, tested:]),
        baselines=baselines, seed=seed,
    ).assign(n_layers=len(x) - 1, pair_or_language=pair)  # fmt: skip


for seed in run.seeds:
    for pair in run.pairs:
        rows = searched(seed, "", pair, few, few, rotations.scoring.BASELINES)
        run.record(rows, model="Monolingual", seed=seed)
        rows = searched(seed, "untrained", pair, few, few)
        run.record(rows, model="Monolingual", seed=seed, baseline="untrained")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Share of English sentences whose nearest neighbour in another language's model is their translation, per layer and language pair, in this build and the recorded runs; untrained encoders dotted, a rotation fitted on shuffled pairs in grey."}, "figure": {"name": "figure-emerging2020-fig6", "caption": "Sentence retrieval after a rotation, from English, by cosine. Bands: one standard deviation over seeds, or the 95 % interval over sentences where there is one seed. Dotted: untrained encoders. Grey: a rotation fitted on shuffled pairs. The paper's figure is not available as numbers."}}
columns = run.columns()
frames = [column.records.frame.query("metric == 'retrieval'") for column in columns]
top = max(frame[["value", "upper"]].max().max() for frame in frames)
figure = plots.layers(
    columns, "retrieval", ["Monolingual"], label="retrieval", limits=(0, min(1, 1.05 * top))
)

# %% [markdown]
# ## Against no rotation, wrong pairs and no training
#
# The best layer of each, from English; and how often a guess is right.

# %% tags=["hide-input"]
frame = run.records.frame.query("metric == 'retrieval' and variant == ''")
means = frame.groupby(["pair_or_language", "baseline", "layer"])["value"].mean()
best = means.groupby(level=[0, 1]).max().unstack()
best["best layer"] = means.xs("", level="baseline").groupby(level=0).idxmax().str[1].astype(int)
best["chance"] = 1 / frame["n"].min()
best.rename(columns={"": "rotated"}).rename_axis(None).rename_axis(None, axis=1).round(3)

# %% [markdown]
# ## How many pairs may the rotation see?
#
# Mean over all pairs of languages at the best layer of each kind, with the rotation fitted on more and more sentences and
# always the same sentences searched. Where the dotted line comes near the solid one, retrieval says little about what was
# learned.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Sentence retrieval against the number of sentences that the rotation was fitted on, for trained and untrained encoders, with chance as a line."}, "figure": {"name": "figure-emerging2020-fig6-pairs", "caption": "Retrieval at the best layer, mean over pairs of languages and seeds, against the number of sentence pairs that fit the rotation. Solid: trained; dotted: untrained; grey: chance. The vertical line is this page's number."}}
n = min(len(corpus) for corpus in run.parallel.values())
sizes = sorted({few, *(size for size in (10, 30, 100, 300, 1000, 3000) if size <= n // 2)})
curves = {}
for kind in ("", "untrained"):
    for size in sizes:
        for seed in run.seeds:
            for pair in run.pairs:
                rows = searched(seed, kind, pair, size, sizes[-1]).query("variant == ''")
                rows = rows.assign(variant=f"fitted on {size}", baseline=kind)
                run.record(rows, model="Monolingual", seed=seed)
                found = rows.groupby("layer")["value"].mean()
                curves.setdefault((kind, size), []).append(found)
plots.use_style()
figure, axis = plt.subplots(figsize=(5, 3), layout="constrained")
for kind, style, label in (("", "o-", "trained"), ("untrained", "o:", "untrained")):
    values = [pd.concat(curves[kind, size], axis=1).mean(axis=1).max() for size in sizes]
    axis.plot(sizes, values, style, color="C0", mfc="white" if kind else "C0", label=label)
axis.axhline(1 / (n - sizes[-1]), color="0.7", linewidth=1, label="chance")
axis.axvline(few, color="0.85", linewidth=1)
axis.set(xscale="log", xlabel="sentence pairs that fit the rotation", ylabel="retrieval")
axis.set_xticks(sizes, sizes)
axis.minorticks_off()
_ = axis.legend()

# %% [markdown]
# ## Verdicts
#
# They stand on this many values of each metric. That rotations help at all, for words, words in context and sentences, is
# judged on the [page about words](fig4_word_alignment.ipynb).

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
run.coverage()

# %% tags=["hide-input"]
run.verdicts()

# %% [markdown]
# ## Paper versus code
#
# - The published repository has no code for this figure: all settings are read from the paper's text.
# - The paper fits rotations on XNLI sentences and searches Tatoeba. Here one parallel corpus gives both, cut into two
#   parts without a common sentence.
# - The paper normalises both sides (unit length, zero mean) before fitting, but does not say what becomes of sentences that are
#   searched later. Here they go through the same steps with the means of the fitting sentences.
# - No untrained encoder and no shuffled pairs are shown in the paper, so its figure alone cannot say how much of the retrieval
#   is due to training.
#
# ## Re-run this page
#
# ```bash
# xsim run emerging2020/fig6_sentence_retrieval --profile mini --seeds 3
# papermill notebooks/emerging2020/fig6_sentence_retrieval.ipynb out.ipynb -p profile mini -y "pairs: [en-fr]"
# ```
#
# Worth trying: `--set "joining={sentences: 500}"`, where untrained encoders do much better; `--set n_parallel=300`, fewer
# candidates; `--profile real`, sentences of Tatoeba and models of a few million words.

# %% tags=["hide-input"]
run.finish()
