"""Time and memory of each index against a plain transcription of its formula, and against a peer.

    python benchmarks/indices.py                       # n=2000 d=256, under a minute
    python benchmarks/indices.py --n 10000 --d 768 --out indices.csv

Every measurement runs in its own process; time is CPU time, since on a shared machine the wall clock
measures the neighbours. All implementations get the same float64 arrays and must
agree to 1e-6, or the run fails. Ratios are textbook (or peer) over xsim: above 1, xsim is better.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import table

FIELDS = ["index", "implementation", "seconds", "peak_mib", "value", "time_ratio", "memory_ratio"]


def data(n, d):
    """Two languages of one layer: shared structure, noise, unequal neurons, a few outliers."""
    rng = np.random.default_rng(0)
    scale = rng.lognormal(sigma=0.5, size=d)
    shared = rng.normal(size=(n, d)) * scale
    x, y = (shared + rng.normal(size=(n, d)) * scale + rng.normal(size=d) for _ in range(2))
    x[:: n // 20, 0] *= 10
    return x, y


def ours():
    from xsim_lib import indices as s
    from xsim_lib.indices.moments import Moments

    def all_second_order(x, y):
        m = Moments.from_rows(x, y)
        indices = (s.anc_from_moments, s.linear_cka_from_moments, s.cca_from_moments)
        more = (s.svcca_from_moments, s.pwcca_from_moments, s.procrustes_from_moments)
        return sum(f(m) for f in (*indices, *more))

    return {
        "anc": s.anc,
        "linear_cka": s.linear_cka,
        "debiased_cka": lambda x, y: s.linear_cka(x, y, debiased=True),
        "rbf_cka": s.rbf_cka,
        "cca": s.cca,
        "svcca": s.svcca,
        "pwcca": s.pwcca,
        "procrustes": s.procrustes,
        "matching_accuracy": s.matching_accuracy,
        "all_second_order": all_second_order,
    }


def textbook():
    import textbook as t

    return {name: getattr(t, name) for name in ours()}


def scipy_peer():
    from scipy.stats import pearsonr

    return {"anc": lambda x, y: np.abs(pearsonr(x, y, axis=0).statistic).mean()}


def pytorch_cka_peer():
    import torch
    from cka import cka_from_features

    def debiased(x, y):
        return cka_from_features(torch.from_numpy(x), torch.from_numpy(y)).item()

    return {"debiased_cka": debiased}


# name -> (module to look for, what it offers)
PEERS = {"scipy": ("scipy", scipy_peer), "pytorch-cka": ("cka", pytorch_cka_peer)}


def implementations():
    found = {"xsim": ours(), "textbook": textbook()}
    for name, (module, offers) in PEERS.items():
        if importlib.util.find_spec(module):
            found[name] = offers()
    return found


def resident(key):
    """VmRSS (now) or VmHWM (peak) of this process in MiB; the peak only where there is no /proc."""
    status = Path("/proc/self/status")
    if not status.exists():
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    line = next(line for line in status.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) / 1024


def measure(index, implementation, n, d, repeats):
    """Peak memory of the first call beyond what was resident before it, then the best time."""
    function = implementations()[implementation][index]
    small = data(64, 16)
    function(*(np.tile(v, (1, 2)) + data(64, 32)[0] for v in small))  # load and warm up libraries
    x, y = data(n, d)
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")
    before = resident("VmRSS")
    value = function(x, y)
    peak = resident("VmHWM") - before
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        function(x, y)
        seconds.append(time.process_time() - start)
    return {"seconds": min(seconds), "peak_mib": peak, "value": float(value)}


def run(args):
    rows = []
    for index in args.only or ours():
        first = None
        for implementation, offers in implementations().items():
            if index not in offers:
                continue
            size = ["--n", str(args.n), "--d", str(args.d), "--repeats", str(args.repeats)]
            command = [sys.executable, __file__, "--measure", index, implementation, *size]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{index} by {implementation} failed:\n{done.stderr}")
            row = {"index": index, "implementation": implementation, **json.loads(done.stdout)}
            first = first or row
            if abs(row["value"] - first["value"]) > 1e-6:
                raise SystemExit(
                    f"{index}: {implementation} says {row['value']}, xsim {first['value']}"
                )
            row["time_ratio"] = row["seconds"] / first["seconds"]
            # Below a MiB the figure is the allocator's, not the algorithm's.
            row["memory_ratio"] = max(row["peak_mib"], 1) / max(first["peak_mib"], 1)
            rows.append(row)
            print(
                f"{index:20s} {implementation:12s} {row['seconds'] * 1e3:10.1f} ms "
                f"{row['peak_mib']:8.0f} MiB {row['time_ratio']:8.2f} x {row['memory_ratio']:8.2f} x",
                flush=True,
            )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=2000, help="sentences (default 2000)")
    parser.add_argument("--d", type=int, default=256, help="neurons (default 256)")
    parser.add_argument("--repeats", type=int, default=3, help="timed calls; the best counts")
    parser.add_argument("--only", nargs="+", choices=list(ours()), help="these indices only")
    parser.add_argument("--out", type=Path, help="also write a table: .csv or .json")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(*args.measure, args.n, args.d, args.repeats)))
        return
    about = f"n={args.n} d={args.d} {table.setting('numpy', 'scipy', 'torch')}"
    print(about)
    for name, (module, _) in PEERS.items():
        if not importlib.util.find_spec(module):
            print(f"peer {name} is not installed: left out (pip install {name})")
    print(f"{'index':20s} {'by':12s} {'time':>13s} {'memory':>12s} {'time':>10s} {'memory':>10s}")
    rows = run(args)
    if args.out:
        table.write(args.out, about, FIELDS, rows)


if __name__ == "__main__":
    main()
