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

from xsim_lib.evidence.hashing import atomic_write
from xsim_lib.text.corpora.parallel import PARALLEL

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


@app.command("run")
def run_command(
    notebook: Annotated[
        str, typer.Argument(help="such as anc2022/fig1_cka_failure or anc2022/fig1")
    ],
    profile: Profile = "mini",
    seeds: Annotated[list[int] | None, typer.Option(help="repeat for several")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="parameter=YAML, such as pairs=[en-fr]")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="where the executed notebook goes")] = None,
) -> None:
    """Execute one notebook."""
    from xsim_lib.study import profiles
    from xsim_lib.workflow import execution

    parameters: dict = {"profile": profile}
    if seeds:
        if min(seeds) < 0:
            raise ValueError(f"--seeds: expected 0 or more, got {min(seeds)}")
        parameters["seeds"] = list(seeds)
    for assignment in set_ or []:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set: expected parameter=value, got {assignment!r}")
        parameters[name] = yaml.safe_load(value)
    # Here, before a kernel is started: in the notebook it would be a long traceback.
    profiles.check(execution.find_notebook(notebook).parent.name, parameters["profile"])
    from papermill import PapermillExecutionError

    try:
        typer.echo(execution.execute(notebook, parameters, output=out))
    except PapermillExecutionError as error:
        # The traceback of the cell; that of papermill tells nothing.
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


@app.command("demo")
def demo_command(
    out: Annotated[Path, typer.Option(help="where the picture goes")] = Path("xsim-demo.png"),
) -> None:
    """Measure one model that comes with the library on one pair, and draw one figure: a minute's test."""
    from xsim_lib.app import demo as demonstration

    for line in demonstration.demonstrate(out):
        typer.echo(line)


@app.command("train")
def train_command(
    paper: str, profile: Profile = "mini", model: str = typer.Option(), seed: int = typer.Option()
) -> None:
    """Train one model of a chapter (or find it in the cache)."""
    from xsim_lib.evidence.graph import Graph
    from xsim_lib.study import profiles
    from xsim_lib.training import zoo

    with Graph(profile).training(paper, model, seed).watched():
        checkpoint = zoo.get(profiles.paper_settings(paper, profile).spec(model, seed))
    typer.echo(checkpoint.history.to_string(index=False))
    typer.echo(checkpoint.directory)


@app.command("models")
def models_command(profile: Profile = "mini") -> None:
    """List, as JSON, the models of a profile: which ship, and which a live build trains ahead of its pages."""
    from xsim_lib.evidence.graph import Graph
    from xsim_lib.study import profiles
    from xsim_lib.training.zoo import shipping
    from xsim_lib.workflow import shipments

    job, needed = Graph(profile).listing(), []
    with job.watched():
        for paper in profiles.papers_at(profile):
            settings = profiles.paper_settings(paper, profile)
            for (name, seed), why in shipments.void(paper, profile).items():
                typer.echo(
                    f"{paper} {name}, seed {seed}: what ships is not used, and it is trained: "
                    f"{'; '.join(why)}. To ship it again: xsim ship {paper} --profile {profile}",
                    err=True,
                )
            for seed in settings.seeds:
                for model in settings.trained:
                    ships = shipping.find_shipped(settings.spec(model, seed)) is not None
                    ahead = model in settings.ahead and not ships
                    groups = [g for g in settings.group_names if model in settings.group(g).models]
                    about = {"groups": groups, "ships": ships, "ahead": ahead}
                    needed.append({"paper": paper, "model": model, "seed": seed, **about})
        with atomic_write(job.build / job.output) as temporary:
            temporary.write_text(json.dumps(needed), encoding="utf-8")
    typer.echo(json.dumps(needed))


@app.command("ship")
def ship_command(paper: str, profile: Profile = "mini") -> None:
    """Train the models that come with the library where they do not stand any more, and put them in its folder."""
    from xsim_lib.workflow import shipments

    for line in shipments.ship(paper, profile):
        typer.echo(line)


@app.command("sweep")
def sweep_command(
    paper: str,
    profile: Profile = "mini",
    group: Annotated[str, typer.Option(help="whose models, such as mlm")] = "schemes",
) -> None:
    """Sweep the learning rate of a group of models on the sweep's own seed, into results/PROFILE."""
    from xsim_lib.study import learning_rates

    found = learning_rates.sweep(paper, profile, group).frame
    typer.echo(found[["model", "variant", "value"]].to_string(index=False))


@app.command("claims")
def claims_command(
    profile: Profile = "mini",
    csv: Annotated[bool, typer.Option("--csv", help="the whole table as CSV")] = False,
    write: Annotated[bool, typer.Option("--write", help="write verdicts.csv of the build")] = False,
) -> None:
    """Print the verdict of every claim."""
    from xsim_lib.evidence import claims as judging
    from xsim_lib.evidence.graph import Graph, loaded
    from xsim_lib.study import freshness, standing

    states = standing.states_of_tables() if write else {profile: freshness.states(profile)}
    table = standing.verdicts(profile, states.get(profile, {}))
    if write:
        job = Graph(profile).verdicts()
        freshness.write_states(states, job.build / "states.json")
        typer.echo(judging.write_verdicts(table, job.build / job.output))
        job.finished(loaded())
        return
    if csv:
        table.to_csv(sys.stdout, index=False)
        return
    typer.echo(table.drop(columns=["paper", "item", "profile"]).to_string(index=False))


@app.command("record")
def record_command(
    notebook: Annotated[
        str, typer.Argument(help="such as anc2022/fig1_cka_failure or anc2022.fig1")
    ],
    seed: Annotated[int, typer.Option()],
    profile: Profile = "mini",
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="also a seed that counts: it replaces what was recorded of it"
        ),
    ] = False,
) -> None:
    """Measure one seed of one notebook and publish its tables in results/PROFILE (`make record`: all of them)."""
    from xsim_lib.workflow import recording

    for page in recording.pages_of_tables(notebook):
        for line in recording.measure_seed(recording.Measurement(page, seed), profile, again=again):
            typer.echo(line)


@app.command("verify")
def verify_command(
    tables: Annotated[
        list[str] | None,
        typer.Argument(help="such as anc2022.fig4; all that are not known to repeat, unless told"),
    ] = None,
    profile: Profile = "mini",
    seed: Annotated[
        int | None, typer.Option(help="one of the recorded seeds; the first, unless told")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="also tables known to repeat")] = False,
) -> None:
    """Measure one seed of recorded tables again, compare, and stamp them with what came out."""
    from xsim_lib.workflow import verifying

    if not verifying.verify(profile, tables or (), seed=seed, every=every):
        raise typer.Exit(1)


@app.command("book")
def book_command(profile: Profile = "mini") -> None:
    """Build the book out of executed notebooks."""
    from xsim_lib import book as pages
    from xsim_lib.evidence.graph import Graph, loaded

    job = Graph(profile).book()
    typer.echo(pages.build(profile))
    job.finished(loaded())


@app.command("kernel", hidden=True)
def kernel_command(connection: Annotated[Path, typer.Option("-f", help="connection file")]) -> None:
    """Run a kernel of Jupyter: forked from a process that has imported everything, it starts in no time (`warm`)."""
    import pandas as pd
    from ipykernel.kernelapp import launch_new_instance

    pd.set_option("display.max_columns", 20)  # pandas was imported, as if for a terminal
    # matplotlib was, too, and would not look again for the variable that a kernel sets.
    launch_new_instance(argv=["-f", str(connection), "--matplotlib=inline"])


@app.command("sync")
def sync_command(notebooks: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Make the .ipynb files anew from their .py files, executed at smoke."""
    from xsim_lib.workflow import execution as tools

    for path in tools.sync(notebooks):
        typer.echo(path)


@app.command("data")
def data_command() -> None:
    """List the real corpora, what is here of them, and their licences."""
    from xsim_lib.text import corpora

    for corpus in corpora.describe().to_dict("records"):
        typer.echo(f"{corpus.pop('corpus')}")
        for name, value in corpus.items():
            if value:
                typer.echo(
                    fill(str(value), 100, initial_indent=f"  {name}: ", subsequent_indent="    ")
                )


@app.command("compare", cls=Several)
def compare_command(
    model: Annotated[str, typer.Argument(help="a name on the hub or a folder")],
    corpus: Annotated[
        str,
        typer.Option(
            help=f"{', '.join(PARALLEL)}, a TSV file with a header of language codes, or a folder of "
            "LANG.txt"
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
    from xsim_lib.app import comparing

    given = {"pairs": pairs, "indices": index, "baselines": baselines}
    lists = {name: tuple(values) for name, values in given.items() if values}
    if lists.get("baselines") == ("none",):
        lists["baselines"] = ()
    comparing.write_comparison(
        comparing.CompareSettings(
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


@app.command("convert")
def convert_command(
    source: Annotated[Path, typer.Argument(help="folder or file of weights")],
    layout: Annotated[
        str,
        typer.Argument(help="fairseq, fairseq-port, roberta or prelayernorm"),
    ],
    out: Annotated[Path, typer.Argument(help="new folder")],
    norm: Annotated[str, typer.Option(help="post, pre or normformer")] = "normformer",
    heads: Annotated[int | None, typer.Option(help="attention heads, if nothing tells")] = None,
    prefix: Annotated[str | None, typer.Option(help="of the encoder's weights")] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="prefix of weights to drop")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="folder or hub name, if elsewhere")] = None,
) -> None:
    """Rewrite a NormFormer, Pre-LN or Post-LN checkpoint as one that `compare` takes."""
    from xsim_lib.models import normformer

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
