"""The command `xsim`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from textwrap import fill
from typing import Annotated

import typer
import yaml
from typer.core import TyperCommand

app = typer.Typer(help="A reproducible companion to four papers.", no_args_is_help=True)


class Several(TyperCommand):
    """A command whose lists may be written as such: ``--pairs en-fr en-et`` or ``--pairs en-fr,en-et``."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        lists = {name for p in self.params if p.multiple for name in p.opts}
        spread, current = [], None
        for argument in args:
            name, equals, values = argument.partition("=")
            if not argument.startswith("-"):
                values = argument
            elif name not in lists:
                current = None
            else:
                current = name
                if not equals:
                    continue
            if current is None:
                spread.append(argument)
                continue
            for value in filter(None, values.split(",")):
                spread += [current, value]
        return super().parse_args(ctx, spread)


Profile = Annotated[str, typer.Option(help="smoke, mini, real or paper")]


@app.command()
def run(
    notebook: Annotated[
        str, typer.Argument(help="such as anc2022/fig1_cka_failure or anc2022/fig1")
    ],
    profile: Profile = "mini",
    seeds: Annotated[list[int] | None, typer.Option(help="repeat for several")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="parameter=YAML, such as pairs=[en-fr]")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="where the executed notebook goes")] = None,
    recorded: Annotated[
        bool, typer.Option("--recorded", help="measure all that recorded runs of this page measure")
    ] = False,
) -> None:
    """Execute one notebook."""
    from xsim_lib import notebooks, profiles

    parameters: dict = {"profile": profile}
    if seeds:
        parameters["seeds"] = list(seeds)
    for assignment in set_ or []:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set: expected parameter=value, got {assignment!r}")
        parameters[name] = yaml.safe_load(value)
    found = notebooks.find(notebook)
    paper = found.parent.name
    # Here, before a kernel is started: in the notebook it would be a long traceback.
    profiles.check(paper, parameters["profile"])
    if recorded and paper in profiles.papers():
        wider = profiles.settings(paper, parameters["profile"]).recorded.get(found.stem, {})
        parameters = wider | parameters
    typer.echo(notebooks.execute(notebook, parameters, output=out))


@app.command()
def train(
    paper: str, profile: Profile = "mini", model: str = typer.Option(), seed: int = typer.Option()
) -> None:
    """Train one model of a chapter (or find it in the cache)."""
    from xsim_lib import profiles, zoo

    checkpoint = zoo.get(profiles.settings(paper, profile).spec(model, seed))
    typer.echo(checkpoint.history.to_string(index=False))
    typer.echo(checkpoint.directory)


@app.command()
def models(
    profile: Profile = "mini", seeds: Annotated[list[int] | None, typer.Option()] = None
) -> None:
    """List, as JSON, the models that a profile needs."""
    from xsim_lib import profiles

    needed = []
    for paper in profiles.papers():
        settings = profiles.settings(paper, profile)
        for seed in seeds or settings.seeds:
            needed += [{"paper": paper, "model": m, "seed": seed} for m in settings.trained]
    typer.echo(json.dumps(needed))


@app.command()
def sweep(
    paper: str,
    profile: Profile = "mini",
    group: Annotated[str, typer.Option(help="whose models, such as mlm")] = "schemes",
) -> None:
    """Sweep the learning rate of a group of models on the sweep's own seed, into results/PROFILE."""
    from xsim_lib import experiment

    found = experiment.sweep(paper, profile, group).frame
    typer.echo(found[["model", "variant", "value"]].to_string(index=False))


@app.command()
def claims(
    profile: Profile = "mini",
    csv: Annotated[bool, typer.Option("--csv", help="the whole table as CSV")] = False,
) -> None:
    """Print the verdict of every claim."""
    from xsim_lib import claims as registry

    table = registry.verdicts(profile)
    if csv:
        table.to_csv(sys.stdout, index=False)
        return
    typer.echo(table.drop(columns=["paper", "item", "profile"]).to_string(index=False))


@app.command()
def collect(profile: Profile = "mini") -> None:
    """Merge the records of `make record` into results/PROFILE."""
    from xsim_lib import experiment

    for path in experiment.collect(profile):
        typer.echo(path)


@app.command()
def book(profile: Profile = "mini") -> None:
    """Build the book out of executed notebooks."""
    from xsim_lib import book as pages

    typer.echo(pages.build(profile))


@app.command()
def sync(notebooks: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Make the .ipynb files anew from their .py files, executed at smoke."""
    from xsim_lib import notebooks as tools

    for path in tools.sync(notebooks):
        typer.echo(path)


@app.command()
def data() -> None:
    """List the real corpora, what is here of them, and their licences."""
    from xsim_lib import corpora

    for corpus in corpora.describe().to_dict("records"):
        typer.echo(f"{corpus.pop('corpus')}")
        for name, value in corpus.items():
            if value:
                typer.echo(
                    fill(str(value), 100, initial_indent=f"  {name}: ", subsequent_indent="    ")
                )


@app.command(cls=Several)
def compare(
    model: Annotated[str, typer.Argument(help="a name on the hub or a folder")],
    corpus: Annotated[
        str,
        typer.Option(
            help="tatoeba, xnli_extension, pud, sib200, ntrex, a TSV file with a header of "
            "language codes, or a folder of LANG.txt"
        ),
    ],
    pairs: Annotated[
        list[str] | None,
        typer.Option(
            help="such as en-fr en-et; of your own file: the first language with the others"
        ),
    ] = None,
    index: Annotated[
        list[str] | None,
        typer.Option(
            help="any of anc anc_signed cka cka_debiased cca svcca pwcca procrustes matching "
            "matching_centred; anc cka unless told"
        ),
    ] = None,
    baselines: Annotated[
        list[str] | None,
        typer.Option(help="any of shuffled length_matched untrained, or none; all unless told"),
    ] = None,
    pooling: Annotated[str, typer.Option(help="mean, mean_words or first")] = "mean",
    n: Annotated[int | None, typer.Option(help="take the first N sentences")] = None,
    truncate: Annotated[
        int | None, typer.Option(help="cut sentences to this many tokens instead of refusing them")
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16")] = "float32",
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:1, or spread (over all GPUs)")
    ] = "auto",
    out: Annotated[
        Path | None, typer.Option(help="folder for records, figure and report; resumes there")
    ] = None,
    format_: Annotated[str, typer.Option("--format", help="parquet or csv")] = "parquet",
    revision: Annotated[str | None, typer.Option(help="branch, tag or commit on the hub")] = None,
    seed: Annotated[int, typer.Option(help="of shuffles and of the untrained copy")] = 0,
    blocks: Annotated[int, typer.Option(help="blocks of the jackknife intervals")] = 20,
    memory: Annotated[float, typer.Option(help="GiB for sums, and for the rows of matching")] = 4.0,
    chunk: Annotated[int | None, typer.Option(help="sentences held at once")] = None,
) -> None:
    """Compare languages in any model, layer by layer: table, records, figure, report."""
    from xsim_lib import own_model

    given = {"pairs": pairs, "indices": index, "baselines": baselines}
    lists = {name: tuple(values) for name, values in given.items() if values}
    if lists.get("baselines") == ("none",):
        lists["baselines"] = ()
    own_model.run(
        own_model.Settings(
            model=model,
            corpus=corpus,
            pooling=pooling,
            n=n,
            truncate=truncate,
            dtype=dtype,
            device=device,
            revision=revision,
            seed=seed,
            blocks=blocks,
            memory=memory,
            chunk=chunk,
            out=out,
            format=format_,
            **lists,
        )
    )


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="folder or file of weights")],
    layout: Annotated[
        str,
        typer.Argument(help="fairseq, fairseq-port, roberta, prelayernorm or added-norms"),
    ],
    out: Annotated[Path, typer.Argument(help="new folder")],
    norm: Annotated[str, typer.Option(help="post, pre or normformer")] = "normformer",
    heads: Annotated[int | None, typer.Option(help="attention heads, if nothing tells")] = None,
    prefix: Annotated[str | None, typer.Option(help="of the encoder's weights")] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="prefix of weights to drop")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="folder or hub name, if elsewhere")] = None,
) -> None:
    """Rewrite a NormFormer, Pre-LN or Post-LN checkpoint as one that `compare` takes."""
    from xsim_lib import normformer

    typer.echo(
        normformer.convert_folder(
            source,
            layout,
            out,
            tokenizer=tokenizer,
            norm=norm,
            num_attention_heads=heads,
            prefix=prefix,
            ignore=ignore or (),
        )
    )


def main() -> None:
    """Run the command line; a mistake of the caller is one line, not a traceback."""
    try:
        app()
    except (ValueError, FileNotFoundError, LookupError) as error:
        typer.echo(f"xsim: {error}", err=True)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
