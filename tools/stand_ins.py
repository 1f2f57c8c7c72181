"""Run once: recorded tables of anc2022 call the encoders that stand in for public models by their own names.

The tables get a column `in_place_of`, their provenance (settings, weights, checkpoints, texts) the new names; no value changes.
"""

import json
import re
from pathlib import Path

import pandas as pd

from xsim_lib.evidence.hashing import file_sha256

LADDERS = {
    "xlm-roberta-base": "mlm-1", "xlm-roberta-large": "mlm-2", "xlm-roberta-xl": "mlm-3",
    "xlm-roberta-xxl": "mlm-4", "xglm-564M": "clm-1", "xglm-1.7B": "clm-2", "xglm-2.9B": "clm-3",
    "xglm-4.5B": "clm-4", "xglm-7.5B": "clm-5", "bert-base-multilingual-cased": "family-a",
}  # fmt: skip
FAMILIES = {"xlm-roberta-base": "family-b", "bert-base-multilingual-cased": "family-a"}


def renamed(value, names, path=()):
    """A value of the provenance with the new names in it."""
    if isinstance(value, dict):
        found = {}
        for key, item in value.items():
            if path[-2:] == ("settings", "models") and key in LADDERS:
                scheme = {**renamed(item, names, (*path, key)), "in_place_of": key}
                for name in {LADDERS[key], FAMILIES.get(key, LADDERS[key])}:
                    found[name] = scheme
            else:
                found[called(key, names)] = renamed(item, names, (*path, key))
        return found
    if isinstance(value, list):
        inner = FAMILIES if path[-3:] == ("groups", "families", "models") else names
        return [renamed(item, inner, path) for item in value]
    return called(value, names) if isinstance(value, str) else value


def called(text, names):
    """Names as a whole, or before or after a slash: "xglm-564M/1", "training of xglm-564M/1"."""
    for old, new in names.items():
        text = re.sub(rf"(?<![\w./-]){re.escape(old)}(?![\w.-])", new, text)
    return text


for profile in ("mini", "real"):
    for file in sorted(Path("results", profile).glob("anc2022.*.csv")):
        beside = file.with_name(f"{file.name}.json")
        names = (
            FAMILIES if file.name in ("anc2022.fig3.csv", "anc2022.sweep.families.csv") else LADDERS
        )
        made = json.loads(beside.read_text(encoding="utf-8"))
        before = json.dumps(made, indent=1, sort_keys=True)
        made = {
            k: v if k in ("trace", "commit") else renamed(v, {**LADDERS, **names}, (k,))
            for k, v in made.items()
        }
        frame = pd.read_csv(file, dtype=str, keep_default_na=False)
        if "model" in frame and frame["model"].isin(names).any():
            values = sorted(frame["value"])
            place = list(frame.columns).index("model")
            frame.insert(
                place + 1, "in_place_of", frame["model"].where(frame["model"].isin(names), "")
            )
            frame["model"] = frame["model"].replace(names)
            frame.to_csv(file, index=False, lineterminator="\n")
            assert sorted(pd.read_csv(file, dtype=str, keep_default_na=False)["value"]) == values
            made["records_sha256"] = file_sha256(file)
        text = json.dumps(made, indent=1, sort_keys=True)
        if text != before:
            beside.write_text(text + "\n", encoding="utf-8")
            print(file, len(frame))
