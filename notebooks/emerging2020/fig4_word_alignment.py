# %% [markdown]
# (emerging2020-fig4)=
# # Figure 4: words of two models that never met
#
# **What the paper shows.** Two models were trained on one language each. A rotation fitted on a dictionary carries
# the embedding table of one to that of the other: other words are then found by their translations, slightly better than with fastText
# vectors of the same words. Vectors of words in context, averaged over many sentences, can be joined as well, less well
# than fastText, and better in higher layers ([claims a](#scoreboard-emerging2020-fig4a),
# [claims b](#scoreboard-emerging2020-fig4b)). The figure has no numbers in text form.
#
# **What this page does.** The same procedure: iterative normalisation, an orthogonal map, CSLS with ten
# neighbours. No word that is looked up has helped to fit the map. FastText's place is taken by vectors that are
# counted from the models' own training text (PPMI and a singular value decomposition, as many dimensions as the models have). Beside it
# stand no rotation, a rotation fitted on shuffled pairs, and untrained models.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own
pairs = None
joining = None  # changes of the profile's settings, such as {"words": 1000}

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
from dataclasses import replace

import pandas as pd
from tqdm import tqdm

import xsim_lib as xsim
from xsim_lib.evidence.records import Records
from xsim_lib.figures import plots
from xsim_lib.models.encoder import untrained
from xsim_lib.papers.emerging2020 import joined_models as joined
from xsim_lib.papers.emerging2020 import rotations

run = xsim.start(
    "emerging2020.fig4", profile=profile, seeds=seeds, group="singles", pairs=pairs, joining=joining
)
settings, chosen = run.settings, run.settings.joining
run.overview()

# %% [markdown]
# ## The dictionaries
#
# Where a dictionary comes in no parts of its own, it is cut into some: each is tested in turn, with a rotation fitted on the
# others. Words that are linked through synonyms or ambiguous words stay together.

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
parts = {pair: joined.dictionary_parts(settings.source, pair, chosen.folds) for pair in run.pairs}
wanted: dict[str, dict[str, None]] = {}
for pair, folds in parts.items():
    for side, language in enumerate(pair.split("-")):
        for part in (part for fold in folds for part in fold):
            wanted.setdefault(language, {}).update(dict.fromkeys(p[side] for p in part.pairs))
sizes = {
    pair: {
        "parts": len(folds),
        "translations to fit": round(sum(len(fit.pairs) for fit, _ in folds) / len(folds)),
        "translations to find": sum(len(test.pairs) for _, test in folds),
    }
    for pair, folds in parts.items()
}
pd.DataFrame(sizes).transpose()

# %% [markdown]
# ## Vectors
#
# Of every word in a dictionary: its row of the embedding table, if the vocabulary has it as one piece; its state at every layer,
# averaged over the sub-words of all its occurrences; and its counts. The table and the first set of counts are compared on
# the same words, and so are the words in context and the second set.

# %% tags=["hide-input"]
vectors, lines = {}, {}
for seed in run.seeds:
    for place, language in enumerate(tqdm(wanted, desc=f"languages, seed {seed}")):
        spec = settings.monolingual(language, seed)
        model = run.trained(spec, f"monolingual/{language}/{seed}").load()
        text = spec.source.training()[language][: chosen.words]
        lines[language] = [words for words in map(rotations.split_words, text) if words]
        fresh = untrained(model, 10**6 + 100 * seed + place)
        for kind, encoder in (("", model), ("untrained", fresh)):
            context = rotations.contextual_vectors(
                encoder, lines[language], wanted[language], max_length=settings.truncate or 128
            )
            table = rotations.embedding_vectors(encoder, context.words)
            vectors[seed, language, kind] = {"table": table, "context": context}


def counted(sides, name):
    """Baseline vectors of both languages for the words that the models have vectors of."""
    known = {side[1]: vectors[*side, ""][name] for side in sides}
    # A singular value decomposition has fewer dimensions than words.
    size = min(min(v.vectors.shape[2], len(v.words) - 1) for v in known.values())
    return [
        rotations.count_vectors(lines[language], v.words, size, seed=sides[0][0])
        for language, v in known.items()
    ]


# %% [markdown]
# ## Rotate and look up

# %% tags=["hide-input"]
for seed in run.seeds:
    for pair in tqdm(run.pairs, desc=f"pairs, seed {seed}"):
        sides = [(seed, language) for language in pair.split("-")]
        for kind in ("", "untrained", "counts"):
            floors = () if kind == "untrained" else rotations.scoring.BASELINES
            for name in ("table", "context"):
                if kind == "counts":
                    one, two = counted(sides, name)
                else:
                    one, two = (vectors[*side, kind][name] for side in sides)
                rows = joined.translated(one, two, parts[pair], baselines=floors, seed=seed)
                about = {"model": "Monolingual", "seed": seed, "pair_or_language": pair}
                if kind == "counts":
                    about["model"] = "Baseline vectors"
                    if name == "context":
                        rows["variant"] = ("contextual " + rows["variant"]).str.strip()
                elif name == "context":
                    about["n_layers"] = len(one.vectors) - 1
                if kind == "untrained":
                    about["baseline"] = kind
                if kind == "counts" or name == "table":
                    about["layer"] = None
                run.record(rows, **about)

# %% [markdown]
# ## a: the embedding table

# %% tags=["hide-input"] mystnb={"image": {"alt": "Precision at 1 of word translation for every language pair: embedding tables after a rotation, baseline vectors of the same words after a rotation, and as hollow points no rotation, a rotation of shuffled pairs and untrained tables, in this build and the recorded runs."}, "figure": {"name": "figure-emerging2020-fig4a", "caption": "Word translation from English by CSLS, words that are one piece of both vocabularies. Bars: one standard deviation over seeds, or the 95 % interval over words where there is one seed. Hollow: baselines."}}
columns = run.columns()
without_layer = [
    replace(column, records=Records(column.records.frame.query("layer.isna()")))
    for column in columns
]
series = {
    "embedding table": {"model": "Monolingual"},
    "baseline vectors": {"model": "Baseline vectors"},
    "no rotation": {"model": "Monolingual", "baseline": "unmapped"},
    "shuffled pairs": {"model": "Monolingual", "baseline": "shuffled"},
    "untrained": {"model": "Monolingual", "baseline": "untrained"},
}
figure = plots.points(
    without_layer, {"precision at 1": {"metric": "precision_at_1"}}, series, list(run.pairs)
)

# %% [markdown]
# ## b: words in context

# %% tags=["hide-input"] mystnb={"image": {"alt": "Precision at 1 of word translation by averaged contextual vectors, per layer and language pair, in this build and the recorded runs; untrained models dotted, shuffled pairs in grey, baseline vectors of the same words as dashed horizontal lines."}, "figure": {"name": "figure-emerging2020-fig4b", "caption": "Word translation from English by averaged contextual vectors. Bands: one standard deviation over seeds, or the 95 % interval over words where there is one seed. Dotted: untrained models. Dashed: baseline vectors of the same words. Grey: a rotation fitted on shuffled pairs."}}
found = pd.concat(c.records.frame.query("metric == 'precision_at_1'") for c in columns)
top = min(1, 1.2 * found["value"].max() + 0.01)
figure = plots.layers(
    columns, "precision_at_1", ["Monolingual"], label="precision at 1", limits=(0, top)
)
for axis, column in zip(figure.axes, columns, strict=True):
    baseline = column.records.select(
        model="Baseline vectors", variant="contextual", metric="precision_at_1", baseline=""
    )
    level = baseline.frame.groupby("pair_or_language")["value"].mean()
    for line in axis.get_lines():
        if line.get_label() in level.index:
            axis.axhline(level[line.get_label()], color=line.get_color(), ls="--", lw=0.9)

# %% [markdown]
# ## All numbers of this build
#
# Precision at 1 from English, mean over seeds. For words in context the best layer of each kind; "words" is how many were looked up.

# %% tags=["hide-input"]
own = run.records.frame.query("metric == 'precision_at_1'")
own = own[own["variant"].isin(["", "contextual"])]
in_context = own["layer"].notna() | (own["variant"] == "contextual")
own = own.assign(what=in_context.map({False: "a: table", True: "b: in context"}))
means = own.groupby(["what", "pair_or_language", "model", "baseline", "layer"], dropna=False)
best = means["value"].mean().groupby(level=[0, 1, 2, 3]).max().unstack([2, 3])
shown = pd.DataFrame(
    {name: best[which["model"], which.get("baseline", "")] for name, which in series.items()}
).rename(columns={"embedding table": "rotated"})
shown["words"] = own.groupby(["what", "pair_or_language"])["n"].min()
shown.rename_axis([None, None]).round(3)

# %% [markdown]
# ## Verdicts
#
# They stand on this many values of each metric. The last claim is about words, words in context and sentences; it is
# decided on the [scoreboard](../../book/scoreboard.md), where the sentences of [Figure 6](fig6_sentence_retrieval.ipynb) are known.

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
run.coverage()

# %% tags=["hide-input"]
run.verdicts()

# %% [markdown]
# ## Paper versus code
#
# - The published repository has no code for this figure: all settings are read from the paper's text.
# - The paper's baseline, fastText, was trained on other and more text than its models. The baseline vectors here have read
#   exactly the sentences that words in context are averaged over. So the two baselines answer different questions.
# - As in the paper, a and b are about different words, and their levels cannot be compared.
#
# ## Re-run this page
#
# ```bash
# xsim run emerging2020/fig4_word_alignment --profile mini --seeds 3
# papermill notebooks/emerging2020/fig4_word_alignment.ipynb out.ipynb -p profile mini -y "pairs: [en-zh]"
# ```
#
# Worth trying: `--set "joining={words: 1000}"`, fewer sentences to average over; `--set "pairs=[en-zh]"`, the far
# language; `--profile real`, MUSE's dictionaries and models of a few million words.

# %% tags=["hide-input"]
run.finish()
