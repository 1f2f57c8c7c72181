"""Indices of several pairs that share a language, against the textbook formula pair by pair.

    OMP_NUM_THREADS=1 python benchmarks/pairs.py --layers 1            # half a minute
    OMP_NUM_THREADS=1 python benchmarks/pairs.py --out pairs.json      # 13 layers, minutes

Vectors are there as arrays, in float32 as models give them; the textbook gets them in float64, and
the conversion is not timed. Layer by layer the two take turns, so that a busy machine slows both.
Time is CPU time. A run fails when a value differs from the textbook's by more than 1e-6.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import textbook

INDICES = ("anc", "linear_cka", "cca", "svcca", "pwcca")
# Products of float32 rows, in which precision; ANC has no matrix products.
WAYS = {"float64": {"fast": False}, "float32": {"fast": True}}


def languages(n, d, pairs, layer):
    """English and its partners at one layer: shared structure, noise, unequal neurons."""
    rng = np.random.default_rng(layer)
    scale = rng.lognormal(sigma=0.5, size=d)
    shared = rng.normal(size=(n, d)) * scale

    def one():
        return (shared + rng.normal(size=(n, d)) * scale + rng.normal(size=d)).astype(np.float32)

    return {name: one() for name in ("en", *(f"l{k}" for k in range(pairs)))}


def by_textbook(names):
    def run(rows, pairs):
        return [[getattr(textbook, name)(rows[x], rows[y]) for x, y in pairs] for name in names]

    return run


def by_xsim(names, fast):
    from xsim_lib import indices
    from xsim_lib.indices.moments import shared_moments

    functions = [getattr(indices, f"{name}_from_moments") for name in names]
    diagonal = names == ("anc",)

    def run(rows, pairs):
        found = shared_moments(rows, pairs, diagonal=diagonal, fast=fast)
        return [[function(found[pair]) for pair in pairs] for function in functions]

    return run


def timed(function, *arguments):
    start = time.process_time()
    value = function(*arguments)
    return np.array(value), time.process_time() - start


def measure(args):
    tasks = {name: (name,) for name in args.only or INDICES}
    if not args.only:
        tasks["all five"] = INDICES
    seconds = {task: {way: [] for way in ("textbook", *WAYS)} for task in tasks}
    worst = {task: dict.fromkeys(WAYS, 0.0) for task in tasks}
    warm = languages(64, 8, args.pairs, 0)
    pairs = [("en", name) for name in list(warm)[1:]]
    for names in tasks.values():
        by_xsim(names, False)(warm, pairs)
    for layer in range(args.layers):
        rows = languages(args.n, args.d, args.pairs, layer)
        wide = {name: v.astype(np.float64) for name, v in rows.items()}
        values = {}
        for task, names in tasks.items():
            if len(names) == 1:
                values[task], spent = timed(by_textbook(names), wide, pairs)
            else:  # of parts that have just been measured
                values[task] = np.concatenate([values[name] for name in names])
                spent = sum(seconds[name]["textbook"][-1] for name in names)
            seconds[task]["textbook"].append(spent)
            for way, options in WAYS.items():
                if names == ("anc",) and options["fast"]:
                    continue
                found, spent = timed(by_xsim(names, **options), rows, pairs)
                seconds[task][way].append(spent)
                difference = float(np.abs(found - values[task]).max())
                worst[task][way] = max(worst[task][way], difference)
                if difference > 1e-6:
                    raise SystemExit(
                        f"{task}, {way}: differs from the textbook by {difference:.1e}"
                    )
        print(f"layer {layer} done", flush=True)
    return [
        {
            "index": task,
            "products": way,
            "seconds": sum(found[way]),
            "textbook_seconds": sum(found["textbook"]),
            "ratio": sum(found["textbook"]) / sum(found[way]),
            # Every layer is the same work: the best ones were disturbed least.
            "ratio_of_best": min(found["textbook"]) / min(found[way]),
            "difference": worst[task][way],
        }
        for task, found in seconds.items()
        for way in WAYS
        if found[way]
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=10_000, help="sentences (default 10000)")
    parser.add_argument("--d", type=int, default=768, help="neurons (default 768)")
    parser.add_argument("--layers", type=int, default=13, help="(default 13)")
    parser.add_argument("--pairs", type=int, default=4, help="(default 4)")
    parser.add_argument("--only", nargs="+", choices=INDICES, help="these indices only")
    parser.add_argument("--out", type=Path, help="also write JSON")
    args = parser.parse_args()

    import torch

    from xsim_lib.evidence.provenance import device_name, versions

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    about = {"device": device_name(), "threads": torch.get_num_threads(), "versions": versions()}
    about |= {k: getattr(args, k) for k in ("n", "d", "layers", "pairs")}
    print(" ".join(f"{k}={v}" for k, v in about.items() if k != "versions"), flush=True)
    rows = measure(args)
    for row in rows:
        print(
            f"{row['index']:12s} {row['products']} products {row['seconds']:8.2f} s, textbook "
            f"{row['textbook_seconds']:8.2f} s, ratio {row['ratio']:5.1f}, of best layers "
            f"{row['ratio_of_best']:5.1f}, "
            f"difference {row['difference']:.0e}"
        )
    if args.out:
        args.out.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
