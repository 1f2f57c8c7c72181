"""Time until our PARAFAC2 has the error that tensorly has after 100 sweeps, in the same process.

    python benchmarks/parafac2.py                                  # 33 x 64 x 64, rank 32: a minute
    python benchmarks/parafac2.py --size 256 --rank 32 256
    python benchmarks/parafac2.py --size 768 --rank 64
    python benchmarks/parafac2.py --size 768 --rank 768 --sweeps 10
    python benchmarks/parafac2.py --size 768 --rank 768 --sweeps 10 --device cuda

Seconds are CPU time of the process (wall clock with --device cuda, where both sides use it): on a shared
machine the wall clock measures the neighbours. tensorly starts from its "svd" in float64, once with and once
without its line search; its error is that of the factors it returns. A solver that stops above that error
is reported as not having reached it.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import table

FIELDS = [
    "data", "seed", "size", "rank", "tensorly", "tensorly_seconds", "target", "ours", "ours_seconds",
    "sweeps", "error", "reached", "ratio",
]  # fmt: skip


def planted(seed, n, d, rank):
    """Slices of the model itself with noise of a tenth of their norm; rank at most half of d."""
    rng = np.random.default_rng(seed)
    rank = min(rank, d // 2)
    a, c = rng.uniform(0.2, 1.5, (n, rank)), rng.normal(size=(d, rank))
    b = np.eye(rank) + 0.5 * rng.normal(size=(rank, rank)) / np.sqrt(rank)
    x = np.stack([np.linalg.qr(rng.normal(size=(d, rank)))[0] @ (b * w) @ c.T for w in a])
    e = rng.normal(size=x.shape)
    return x + 0.1 * np.linalg.norm(x) / np.linalg.norm(e) * e


def encoders(seed, n, d, rank):
    """Cross-covariances of 2 000 words in a multilingual and in each monolingual random encoder.

    Words have 2 d latent properties of falling variance; languages of a family weigh them alike. The
    multilingual map differs a little between languages, the monolingual ones altogether.
    """
    del rank
    rng = np.random.default_rng(seed)
    falling = 1 / (1 + np.arange(2 * d))
    shared = rng.normal(size=(2 * d, d)) / np.sqrt(2 * d)
    families = np.exp(0.5 * rng.normal(size=(6, 2 * d)))
    slices = []
    for k in range(n):
        weights = falling * families[k % 6] * np.exp(0.4 * rng.normal(size=2 * d))
        words = rng.normal(size=(2000, 2 * d)) * weights
        maps = (
            rng.normal(size=(2 * d, d)) / np.sqrt(2 * d),
            shared + 0.3 * rng.normal(size=(2 * d, d)) / np.sqrt(2 * d),
        )
        z, y = (words @ m for m in maps)
        z, y = (v + 0.1 * v.std() * rng.normal(size=v.shape) for v in (z, y))
        slices.append((z - z.mean(0)).T @ (y - y.mean(0)) / len(z))
    return np.stack(slices)


DATA = {"planted": planted, "encoders": encoders}


def timed(clock, function):
    start = clock()
    value = function()
    return clock() - start, value


def run(args):
    import torch

    from xsim_lib.factorization import parafac2, parafac2_tensorly

    clock = time.perf_counter if args.device != "cpu" else time.process_time
    parafac2(planted(0, 4, 8, 2), 2, max_iter=3, device=args.device)  # load libraries
    rows = []
    for kind in args.data:
        for seed in args.seeds:
            for rank in args.rank:
                slices = DATA[kind](seed, args.slices, args.size, rank)
                for search in (False, True):
                    seconds, theirs = timed(
                        clock,
                        lambda: parafac2_tensorly(
                            slices,  # noqa: B023 (called at once)
                            rank,  # noqa: B023
                            version="0.10",
                            nonnegative=False,
                            linesearch=search,  # noqa: B023
                            max_iter=args.sweeps,
                            tol=1e-15,
                        ),
                    )
                    # The same error to six digits: where both have converged the rest is rounding.
                    target = theirs.error * (1 + 1e-6)
                    for dtype in args.dtype:
                        took, ours = timed(
                            clock,
                            lambda: parafac2(
                                slices,  # noqa: B023
                                rank,  # noqa: B023
                                target_error=target,  # noqa: B023
                                tol=1e-12,
                                max_iter=10 * args.sweeps,
                                device=args.device,
                                dtype=getattr(torch, dtype),  # noqa: B023
                            ),
                        )
                        reached = ours.error <= target
                        row = (
                            kind, seed, args.size, rank, "line search" if search else "plain", seconds,
                            theirs.error, dtype, took, len(ours.errors), ours.error, reached,
                            seconds / took if reached else float("nan"),
                        )  # fmt: skip
                        rows.append(dict(zip(FIELDS, row, strict=True)))
                        print(
                            f"{kind:9s} seed {seed} {args.size:4d} rank {rank:4d} "
                            f"{row[4]:12s} {seconds:8.2f} s {theirs.error:.6f}  "
                            f"{dtype} {took:7.2f} s {len(ours.errors):4d} sweeps {ours.error:.6f}  "
                            + (f"{seconds / took:6.1f} x" if reached else "not reached"),
                            flush=True,
                        )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=33, help="languages (default 33)")
    parser.add_argument("--size", type=int, default=64, help="rows and columns of a slice")
    parser.add_argument("--rank", type=int, nargs="+", default=[32])
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="0 was for tuning")
    parser.add_argument("--sweeps", type=int, default=100, help="of tensorly (default 100)")
    parser.add_argument("--dtype", nargs="+", choices=["float64", "float32"], default=["float64"])
    parser.add_argument("--device", default="cpu", help="of our solver; tensorly has the CPU")
    parser.add_argument("--out", type=Path, help="also write a table: .csv or .json")
    args = parser.parse_args()
    about = f"{args.slices} slices {args.device} {table.setting('numpy', 'tensorly', 'torch')}"
    print(about)
    rows = run(args)
    if args.out:
        table.write(args.out, about, FIELDS, rows)


if __name__ == "__main__":
    main()
