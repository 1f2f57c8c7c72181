# %% [markdown]
# (align2021-script)=
# # Transliteration: the same language in other letters
#
# **What the paper shows.** Multilingual BERT reads Uyghur badly, although it knows its relative Turkish: Uyghur is written
# in Arabic script, Turkish in Latin. Transliterated to Latin letters, Uyghur is parsed better. The same is said of four
# more unseen languages, and scores of seen languages change as well ([claims](#scoreboard-align2021-script)).
#
# **What this page does.** It writes treebank and raw text of a language in Latin letters, fine-tunes the same models on
# either version, and compares. At `mini` the mapping is letter by letter: nothing is lost, and nothing differs but the
# script. There, the hard languages are sisters of seen languages in Latin script, and two seen languages are the controls.
# At `real` the mapping is uroman {cite:p}`hermjakob2018uroman`, which is not reversible.

# %% tags=["parameters"]
profile = "mini"
seeds = None  # None: the profile's own
romanised = True  # also measure in Latin letters
unseen = None  # changes of the profile's settings, such as {"scripts": ["ug"], "train": 60}
checkpoints = None  # public models instead: {"multilingual": "a hub name or a folder"}

# %% tags=["hide-input"]
# NBVAL_CHECK_OUTPUT
import numpy as np
import pandas as pd

import xsim_lib as xsim
from xsim_lib.figures import plots
from xsim_lib.models.encoder import untrained
from xsim_lib.papers.align2021.tasks import unseen_task
from xsim_lib.tasks import transfer

run = xsim.start(
    "align2021.script", profile=profile, seeds=seeds, unseen=unseen, checkpoints=checkpoints
)
unseen = run.settings.unseen
languages = unseen.scripts
variants = {"": False, **({"romanised": True} if romanised else {})}
run.overview()

# %% [markdown]
# ## Two ways to write a sentence
#
# The first test sentence of every language, and what the multilingual vocabulary makes of all of them: pieces per word, and
# the share of pieces that it does not know. An unknown script shows here; a script that was seen with other languages only
# does not.

# %% tags=["hide-input"]
rows = {}
models = {seed: run.models(seed) for seed in run.seeds}
tokenizer = models[run.seeds[0]][run.names[0]][0].tokenizer
for language in languages:
    for variant, latin in variants.items():
        bank = unseen_task(unseen, "pos", language, 0, romanised=latin).tests[language]
        words = [token.form for sentence in bank.sentences for token in sentence.tokens]
        pieces = tokenizer([" ".join(words)], add_special_tokens=False)["input_ids"][0]
        rows[language, variant or "own script"] = {
            "first sentence": bank.sentences[0].text,
            "pieces per word": f"{len(pieces) / len(words):.2f}",
            "unknown": f"{np.mean(np.equal(pieces, tokenizer.unk_token_id)):.1%}",
            "unseen": "yes" if language in unseen.languages else "no",
        }
pd.DataFrame(rows).transpose()

# %% [markdown]
# ## Fine-tune in either script
#
# The multilingual model, the same after training on raw text in that script, and, as the baseline, the same architecture
# without pre-training: what changes there comes from how words are cut into pieces.

# %% tags=["hide-input"]
for seed, chosen in models.items():
    for name, (model, _) in chosen.items():
        for language in languages:
            for variant, latin in variants.items():
                encoders = {(name, ""): model, (name, "untrained"): untrained(model, seed)}
                if name in run.settings.trained:  # a public model is taken as it is
                    spec = unseen.adapted(
                        run.settings.spec(name, seed), language, seed, romanised=latin
                    )
                    label = f"{name}+mlm"
                    adapted = run.trained(spec, f"{label}/{language}/{variant}/{seed}")
                    encoders[label, ""] = adapted.load()
                task = unseen_task(unseen, "parsing", language, seed, romanised=latin)
                for (label, baseline), encoder in encoders.items():
                    rows = transfer.own_scores(encoder, task, progress=False)
                    run.record(rows, model=label, seed=seed, baseline=baseline, variant=variant)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Parsing scores (LAS) of every language in its own script and in Latin letters, for the multilingual model, the same after training on raw text, and without pre-training, in this build and the recorded runs."}, "figure": {"name": "figure-align2021-script", "caption": "LAS in the language's own script (first of each couple) and in Latin letters (second). Bars: the 95 % interval over sentences (one seed) or one standard deviation over seeds. Hollow: without pre-training."}}
name = run.names[0]
kinds = {
    name: {"model": name},
    f"{name}+mlm": {"model": f"{name}+mlm"},
    "not pre-trained": {"model": name, "baseline": "untrained"},
}
series = {
    f"{label}, {variant or 'own script'}": which | {"variant": variant}
    for label, which in kinds.items()
    for variant in variants
    if which["model"] in run.records.unique("model")
}
figure = plots.points(run.columns(), {"LAS": {"metric": "las"}}, series, languages)

# %% [markdown]
# ## What Latin letters change
#
# LAS in Latin letters minus LAS in the own script. In brackets the 95 % interval over sentences, which takes both scores as
# independent and is rather too wide (one seed), or one standard deviation over seeds. The rows `untrained` say what a model
# without pre-training gains: more than that is due to what the model had read before.

# %% tags=["hide-input"]
both = run.columns()[0 if romanised else -1].records  # else the recorded run
frame = both.frame.query("metric == 'las' and pair_or_language in @languages")
keys = ["model", "baseline", "pair_or_language", "seed"]
own, latin = (frame[frame["variant"] == v].set_index(keys).sort_index() for v in ("", "romanised"))
change = pd.DataFrame({"value": latin["value"] - own["value"]})
half = ((latin["upper"] - latin["lower"]) ** 2 + (own["upper"] - own["lower"]) ** 2) ** 0.5 / 2
by = change["value"].groupby(keys[:-1], sort=False)
spread = by.std() if len(both.seeds) > 1 else half.groupby(keys[:-1], sort=False).mean()
text = by.mean().map("{:+.1f}".format) + " (± " + spread.map("{:.1f}".format) + ")"
text.unstack("pair_or_language")[list(languages)].rename(index={"": "pre-trained"})

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
# xsim run align2021/transliteration --profile mini --seeds 3
# papermill notebooks/align2021/transliteration.ipynb out.ipynb -p profile mini -y "seeds: [3]"
# ```
#
# Worth trying: `--set "unseen={train: 60}"`, a smaller treebank, where what the model has read before counts for more;
# `--set "unseen={scripts: [ar]}"`, another seen language;
# `--profile real --set "checkpoints={multilingual: xlm-roberta-base}"`, a public model on real text and uroman.

# %% tags=["hide-input"]
run.finish()
