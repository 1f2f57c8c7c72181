"""What `compare` costs beyond the forward passes, what padding costs, and whether memory stays flat."""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from indices import resident

MEMORY = {"layers": 2, "width": 64}  # the model whose memory is watched
CASES = {
    "anc": (("anc",), ()),
    "both": (("anc", "cka"), ()),
    "shuffled": (("anc", "cka"), ("shuffled", "length_matched")),
}


def parallel(n, pairs):
    """Artificial sentences of English and `pairs` other languages, by pair."""
    from xsim_lib.text.artificial import presets

    family = presets.baltic6(0)
    names = family.languages[: pairs + 1]
    text = family.parallel(n, languages=list(names))
    return {f"{names[0]}-{other}": text for other in names[1:]}


def random_model(layers, width, text):
    """An encoder like BERT with random weights, and a tokenizer trained on the text."""
    import torch
    from transformers import BertConfig, BertModel

    from xsim_lib.models.encoder import LoadedModel
    from xsim_lib.models.tokenization import train_tokenizer
    from xsim_lib.text.types import Corpus

    torch.manual_seed(0)
    sample = {k: v[:500] for k, v in text.sentences.items()}
    tokenizer = train_tokenizer(Corpus("sample", sample), 4000)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=width, num_hidden_layers=layers,
        num_attention_heads=max(1, width // 64), intermediate_size=4 * width,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    model = BertModel(config, add_pooling_layer=False).eval()
    return LoadedModel("random", model, tokenizer)


class Stopwatch:
    """CPU time spent inside a function; other jobs on the machine do not count."""

    def __init__(self, function):
        self.function, self.seconds = function, 0.0

    def __call__(self, *args, **kwargs):
        start = time.process_time()
        try:
            return self.function(*args, **kwargs)
        finally:
            self.seconds += time.process_time() - start


def cost(args):
    """Comparisons without an untrained copy, their CPU time split by what it was spent on."""
    from xsim_lib.reading import comparison, sums

    texts = parallel(args.n, args.pairs)
    loaded = random_model(args.layers, args.width, next(iter(texts.values())))
    rows = []
    for indices, baselines in (CASES[name] for name in args.cases):
        forward = loaded.model.forward = Stopwatch(type(loaded.model).forward.__get__(loaded.model))
        passes = sums.collect_sums
        collected = comparison.collect_sums = Stopwatch(passes)
        encoded = sums.encode, Stopwatch(sums.encode)
        sums.encode = encoded[1]
        start = time.process_time()
        comparison.compare(loaded, texts, indices=indices, baselines=baselines, progress=False)
        total = time.process_time() - start
        sums.encode, comparison.collect_sums = encoded[0], passes
        del loaded.model.forward
        rows.append(
            {
                "measured": " ".join((*indices, *baselines)),
                "forward": forward.seconds,
                "tokens, pooling": encoded[1].seconds - forward.seconds,
                "sums": collected.seconds - encoded[1].seconds,
                "indices, intervals": total - collected.seconds,
                "beyond forward": total / forward.seconds - 1,
            }
        )
    return rows


def padding(args):
    """Padding tokens over real tokens: by length, as `encode` does, and unsorted by hundreds."""
    from xsim_lib.reading.batching import by_length
    from xsim_lib.reading.sentences import token_lengths

    texts = parallel(max(args.n, 1000), 1)
    text = next(iter(texts.values()))
    loaded = random_model(1, 64, text)
    found = {}
    for language in text.languages:
        lengths = token_lengths(loaded, text[language])
        order = np.argsort(lengths, kind="stable")
        ways = {
            "by length": by_length(order, lengths, 8192),
            "hundreds": np.split(np.arange(len(lengths)), range(100, len(lengths), 100)),
        }
        for way, batches in ways.items():
            padded = sum(len(rows) * int(lengths[rows].max()) for rows in batches)
            found[f"{language}, {way}"] = padded / int(lengths.sum()) - 1
    return found


def memory(n):
    """Peak memory of comparing n sentences beyond what was there before: model, text, libraries."""
    from xsim_lib.reading.comparison import compare

    base = next(iter(parallel(1000, 1).values()))
    loaded = random_model(**MEMORY, text=base)
    rng = np.random.default_rng(0)
    order = rng.integers(0, len(base), n)
    text = type(base)(
        "long", {k: tuple(v[i] + "." for i in order) for k, v in base.sentences.items()}
    )
    options = {"indices": ("anc", "cka"), "progress": False}
    compare(loaded, {"en-fr": base.head(60)}, **options)  # loads and warms up libraries
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")
    before = resident("VmRSS")
    compare(loaded, {"en-fr": text}, **options)
    return {"n": n, "peak_mib": resident("VmHWM") - before}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=200, help="sentences per pair (default 200)")
    parser.add_argument("--pairs", type=int, default=1, choices=range(1, 5), help="(default 1)")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--memory", type=int, nargs="*", default=[1000, 10_000], help="n to watch")
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument(
        "--heap",
        action="store_true",
        help="leave glibc its default allocator when memory is watched",
    )
    parser.add_argument("--out", type=Path, help="also write JSON")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(memory(args.one)))
        return

    import torch

    from xsim_lib.evidence.provenance import device_name, versions

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    found = {"device": device_name(), "threads": torch.get_num_threads(), "versions": versions()}
    print(f"{found['device']}, {found['threads']} thread(s); CPU seconds", flush=True)
    found["size"] = {k: getattr(args, k) for k in ("n", "pairs", "layers", "width")}
    found["cost"] = cost(args)
    print(" ".join(f"{k}={v}" for k, v in found["size"].items()))
    for row in found["cost"]:
        print(
            "  "
            + ", ".join(f"{k} {v if isinstance(v, str) else f'{v:.2f}'}" for k, v in row.items())
        )
    found["padding"] = padding(args)
    for way, share in found["padding"].items():
        print(f"  padding, {way}: {share:.1%} of the tokens", flush=True)
    found["memory"] = []
    for n in args.memory:  # each in a fresh process: memory that was freed is not given back
        command = [sys.executable, __file__, "--one", str(n)]
        # glibc keeps freed pieces of up to 32 MiB in its heap, which is not what is asked here.
        threshold = {} if args.heap else {"MALLOC_MMAP_THRESHOLD_": "131072"}
        environment = {**os.environ, **threshold}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        found["memory"].append(json.loads(done.stdout))
        print(f"  n = {n}: peak {found['memory'][-1]['peak_mib']:.0f} MiB", flush=True)
    if args.out:
        args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
