"""Pages of the default build say what is recorded: nbval as people mean it, of numbers that no training stands behind."""

import numpy as np
import pandas as pd
import pytest

from xsim_lib.evidence import graph, paths, records
from xsim_lib.evidence.agreement import FORWARD_TOLERANCE
from xsim_lib.evidence.columns import FORWARD
from xsim_lib.evidence.records import KEY
from xsim_lib.workflow import execution

CHEAPEST = {
    "anc2022/fig2_matching_accuracy",
    "anc2022/fig4_anc_normalisation",
    "anc2022/fig7_second_seed",
    "anc2022/fig9_cca_family",
    "parafac2023/table1_xtreme",
}


def of_weights_that_ship():
    """Pages with a recorded table of which rows were measured through weights that ship, or without any model."""
    for page in graph.all_notebooks():
        for table in page.items:
            file = paths.results_dir("mini") / f"{table}.csv"
            made_by = pd.read_csv(file, usecols=lambda c: c == "made_by") if file.is_file() else {}
            if FORWARD in set(made_by.get("made_by", ())):
                marks = [] if page.name in CHEAPEST else [pytest.mark.slow]
                yield pytest.param(page, table, marks=marks, id=table)


@pytest.mark.parametrize(("page", "table"), list(of_weights_that_ship()))
def test_every_forward_row_of_a_live_page_equals_its_record(page, table, tmp_path, monkeypatch):
    monkeypatch.setenv("XSIM_BUILD", str(tmp_path))
    execution.execute(page.name, {"profile": "mini"})
    live = records.read_records(paths.records_dir("mini") / f"{table}.parquet").frame
    live = live[live["made_by"] == FORWARD]
    recorded = records.read_records(paths.results_dir("mini") / f"{table}.csv").frame
    columns = [*KEY, "value"]
    both = live[columns].merge(
        recorded[columns], on=list(KEY), how="left", suffixes=("", "_recorded"), indicator=True
    )
    assert (both["_merge"] == "both").all(), both[both["_merge"] != "both"].head().to_string()
    allowed = FORWARD_TOLERANCE * both["value"].abs().clip(lower=1)
    apart = (both["value"] - both["value_recorded"]).abs()
    assert len(both)
    assert np.all(apart <= allowed), both[apart > allowed].head().to_string()
