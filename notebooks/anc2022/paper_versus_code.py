# %% [markdown]
# (anc2022-paper-versus-code)=
# # Paper versus code: every variant, side by side
#
# **What the paper shows.** Its figures, from definitions printed in the text.
#
# **What this page does.** The authors' public code computes several of these things in another way, or in more than one way;
# [the list](../../book/paper_versus_code.md) says where. Here every variant runs on the *same* vectors of the same encoders as
# [Figure 1](fig1_cka_failure.ipynb). Below each figure stands what the claims of that figure become with it, judged by
# the same rule as on the scoreboard. Which variant made the published figures is not known; the question is whether it matters.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own
pairs = None
n_parallel = None
truncate = 100  # tokens at which the authors' code cuts a sentence

# %% tags=["hide-input"]
from IPython.display import display

import xsim_lib as xsim
from xsim_lib import indices
from xsim_lib.figures import plots
from xsim_lib.models.encoder import untrained
from xsim_lib.models.loading import token_limit
from xsim_lib.papers.anc2022 import authors_code, variants
from xsim_lib.reading.sentences import encode, token_lengths

run = xsim.start(
    "anc2022.paper", profile=profile, seeds=seeds, pairs=pairs, n_parallel=n_parallel, judged=False
)
schemes = ["scale_post", "scale_pre", "scale_normformer"]
every = (*variants.DEFINITIONS, *variants.VARIANTS)

# %% [markdown]
# ## Where paper and code are furthest apart
#
# Before any encoder, six small data sets. A constant ("dead") neuron has no correlation; it counts as 0 in the mean. For
# independent data the absolute correlation has a floor of about $\sqrt{2 / (\pi n)}$, the signed one has none. The debiased
# branch of the copied CKA is not a similarity at all. Subtracting each sentence's own mean over neurons does not remove what a
# language has in common; subtracting the language's mean does.

# %% tags=["hide-input"]
authors_code.far_apart().set_index(["case", "variant"])["value"].map("{:.3g}".format).to_frame()

# %% [markdown]
# ## Measuring
#
# Vectors are made three times: from all tokens (the paper's way as the code reads it), without special tokens, and cut at 100
# tokens. Every variant of an index runs on the first; the untrained encoder and shuffled pairs are its baselines.

# %% tags=["hide-input"]
for seed in run.seeds:
    for name, model, _ in run.each(seed):
        # Of the second NormFormer only CKA is claimed.
        metrics = variants.METRICS if name in schemes else variants.ITEMS["fig7"]
        chosen = [v for v in every if v.metric in metrics]
        cut = min(truncate, token_limit(model))
        texts = {"": {}, "no special tokens": {"pooling": "mean_words"}, "cut": {"truncate": cut}}
        fresh = untrained(model, seed)
        for pair, corpus in run.parallel.items():
            sides = [corpus[language] for language in pair.split("-")]
            order, rows = indices.shuffled(len(corpus), seed), []
            for text, how in texts.items():
                of = variants.whole_text(text, metrics) if text else chosen
                x, y = (encode(model, side, **how) for side in sides)
                rows += variants.measure_variants(x, y, of)
                rows += variants.measure_variants(x, y[:, order], of, blocks=0, baseline="shuffled")
                bare = [encode(fresh, side, **how) for side in sides]
                rows += variants.measure_variants(*bare, of, blocks=0, baseline="untrained")
                if not text:
                    dead = [indices.neuron_correlations(*z).n_dead for z in zip(x, y, strict=True)]
            long = sum(int((token_lengths(model, side) > cut).sum()) for side in sides)
            rows += [{"metric": "n_dead", "value": sum(dead)}, {"metric": "n_cut", "value": long}]
            run.record(rows, model=name, seed=seed, pair_or_language=pair)

# %% [markdown]
# ## ANC: absolute or signed
#
# The paper averages absolute correlations (its Equation 4). The script in the authors' instructions averages the correlations
# themselves, in single precision; two other places in the code take absolute values. Where most correlations are
# positive the two agree; shuffled pairs (grey) show the floor that only the absolute one has.

# %% tags=["hide-input"] mystnb={"image": {"alt": "ANC per layer for the three schemes, one column per variant: absolute as in the paper, signed as in the script, and absolute without special tokens, each with untrained and shuffled baselines."}, "figure": {"name": "figure-anc2022-code-anc", "caption": "ANC by variant. Bands: one standard deviation over seeds, or the 95 % interval over sentences where there is one seed. Dotted: the same encoder untrained. Grey: shuffled pairs."}}
titles = {"": "absolute\n(paper)", "signed, float32": "signed, float32\n(script)"}
titles["no special tokens"] = "absolute, without\nspecial tokens"
figure = plots.layers(
    variants.variant_columns(run.records, "anc", titles), "anc", schemes, label="ANC"
)

# %% [markdown]
# ## CKA: biased, debiased, and the broken branch
#
# The paper's CKA is the biased estimate, and so is the code's. The debiased estimate corrects for the number of sentences. The
# branch of that name in the copied file is no similarity: its values depend on the scale of the activations and are tiny for real
# encoders. What exactly is wrong in it is our reconstruction from the one result that we have: a missing root in the
# denominator.

# %% tags=["hide-input"] mystnb={"image": {"alt": "CKA per layer for the three schemes, one column per variant: biased as in the paper, debiased, the broken debiased branch, and biased without special tokens, each with untrained and shuffled baselines."}, "figure": {"name": "figure-anc2022-code-cka", "caption": "CKA by variant, drawn as ANC above. The third column is not empty: its curves lie near zero."}}
titles = {"": "biased\n(paper)", "debiased": "debiased"}
titles["debiased branch"] = "the code's\ndebiased branch"
titles["no special tokens"] = "biased, without\nspecial tokens"
figure = plots.layers(
    variants.variant_columns(run.records, "cka", titles), "cka", schemes, label="CKA"
)

# %% [markdown]
# ## Matching: what is subtracted, and in which direction
#
# The variant that the code calls centred subtracts from each sentence its own mean over neurons, which leaves whatever a language
# has in common in place.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Matching accuracy per layer for the three schemes, one column per variant: raw as in the paper, sentence-centred, language-centred and both directions, each with untrained and shuffled baselines."}, "figure": {"name": "figure-anc2022-code-matching", "caption": "Matching accuracy by variant, drawn as above, on a scale of its own. Chance is one over the number of sentences."}}
titles = {"": "raw, English first\n(paper)", "sentence-centred": "sentence-centred\n(code)"}
titles |= {"language-centred": "language-centred", "both directions": "raw,\nboth directions"}
columns = variants.variant_columns(run.records, "matching", titles)
top = max(column.records.frame["value"].max() for column in columns)
figure = plots.layers(columns, "matching", schemes, label="matching", limits=(0, 1.15 * top))

# %% [markdown]
# ## The CCA family: how many directions, and which weights
#
# With few units, 20 components are most of the space; with the paper's 768 they are a small part of it. The second path in the code
# sums singular values instead of variances, on rows that are not centred, and stops one direction early. PWCCA differs in its
# weights, which the code takes from rows that are not centred either.

# %% tags=["hide-input"] mystnb={"image": {"alt": "SVCCA per layer for the three schemes, one column per variant: 20 components as in the paper's code, 99 percent of the variance, and the code's other path, which sums singular values, each with untrained and shuffled baselines."}, "figure": {"name": "figure-anc2022-code-svcca", "caption": "SVCCA by the rule that chooses its directions, drawn as above."}}
titles = {"": "20 components\n(code)", "99 % variance": "99 % of the\nvariance"}
titles["singular values"] = "summed singular\nvalues (code)"
columns = variants.variant_columns(run.records, "svcca", titles)
figure = plots.layers(columns, "svcca", schemes, label="SVCCA")

# %% tags=["hide-input"] mystnb={"image": {"alt": "PWCCA per layer for the three schemes with weights from centred rows, as defined, and from rows that are not centred, as in the code, each with untrained and shuffled baselines."}, "figure": {"name": "figure-anc2022-code-pwcca", "caption": "PWCCA by the rows that give its weights, drawn as above."}}
titles = {"": "centred\n(definition)", "uncentred weights": "not centred\n(code)"}
columns = variants.variant_columns(run.records, "pwcca", titles)
figure = plots.layers(columns, "pwcca", schemes, label="PWCCA")

# %% [markdown]
# ## How far each variant moves its index
#
# Means over models, pairs, layers and seeds; the last two columns are distances to the paper's definition on the same
# vectors, the mean one and the largest of any layer. A variant whose largest distance is far below the width of an interval
# leaves no trace in a figure. The two counts say when "dead" and "cut" can matter at all.

# %% tags=["hide-input"]
counts = run.records.frame.query("metric in ['n_dead', 'n_cut']").groupby(["metric", "model"])
table = variants.distances(run.records).style.format("{:.3f}")
display(table.format("{:.0e}", subset=["mean distance", "largest"]).set_uuid("code-distances"))
counts["value"].sum().astype(int).unstack()

# %% [markdown]
# ## What the claims become
#
# One row per claim of the figures, one column per variant, which takes the place of the paper's definition in everything the claim
# reads. A word in parentheses is what the claim's condition says where the rule of the scoreboard does not decide, because this
# profile is too small for the claim, or what it presupposes is absent. Empty: the claim does not read this index; a
# dash: the variant lacks what it reads. Bold: not as with the paper's definition. The last table has every condition that a
# variant turns round, with what was measured; a claim can come to hold for no good reason, such as two curves near zero
# that lie close together.

# %% tags=["hide-input"]
found = variants.judged(run.records, run.profile)
for group, table in found.items():
    cells = variants.shown(table)
    other = cells.ne(cells["paper"], axis=0) & cells.ne("")
    style = cells.style.format(escape="html").apply(
        lambda _, o=other: o.replace({True: "font-weight: bold", False: ""}), axis=None
    )
    display(style.set_caption(group).set_uuid(f"code-{group.split()[0]}"))
variants.changed_claims(found).style.format(escape="html").hide().set_uuid("code-changes")

# %% [markdown]
# ## Re-run this page
#
# ```bash
# xsim run anc2022/paper_versus_code --profile mini --seeds 3
# papermill notebooks/anc2022/paper_versus_code.ipynb out.ipynb -p profile mini -y "seeds: [3]"
# ```
#
# Worth trying: `--set truncate=12` to see what cutting does when it bites; `--set n_parallel=200` for the floor and the bias;
# `--profile real`, where sentences are longer and neurons more.

# %% tags=["hide-input"]
run.finish()
