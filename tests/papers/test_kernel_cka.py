"""RBF CKA over layers, with baselines, and in the batches of its authors."""

import numpy as np
import pytest
import small
import torch

from xsim_lib.indices.cka import rbf_cka
from xsim_lib.papers.align2021 import kernel_cka


# ---------------------------------------------------------------- RBF CKA over layers
def test_rbf_rows_have_every_layer_with_baselines_and_intervals():
    model, text = small.loaded(), {"en-fr": small.parallel("en-fr", 40)}
    found = kernel_cka.rbf_rows(model, text, blocks=4)
    assert set(found["baseline"]) == {"", "shuffled", "length_matched", "untrained"}
    own = found[(found["baseline"] == "") & (found["metric"] == "cka_rbf")]
    assert own["layer"].tolist() == [0, 1, 2]
    assert (own["lower"] < own["value"]).all()
    assert (own["value"] < own["upper"]).all()
    shuffled = found[(found["baseline"] == "shuffled") & (found["metric"] == "cka_rbf")]
    assert (own["value"].to_numpy() > shuffled["value"].to_numpy()).all()
    debiased = found[(found["baseline"] == "shuffled") & (found["metric"] == "cka_rbf_debiased")]
    assert debiased["value"].abs().max() < shuffled["value"].min()
    with pytest.raises(ValueError, match="baselines: expected any of shuffled"):
        kernel_cka.rbf_rows(model, text, baselines=("random",))


def test_batches_of_the_authors_share_nearly_all_sentences():
    assert len(np.unique(np.concatenate(kernel_cka.authors_batches(25)))) == 28
    assert len(np.unique(np.concatenate(kernel_cka.separate_batches(25)))) == 100
    random = np.random.default_rng(0)
    x, y = (torch.from_numpy(random.standard_normal((100, 20))) for _ in range(2))
    overlapping = kernel_cka.in_batches(x, y, kernel_cka.authors_batches(25))
    separate = kernel_cka.in_batches(x, y, kernel_cka.separate_batches(25))
    assert overlapping[0] == separate[0] == pytest.approx(rbf_cka(x[:25], y[:25]))
    assert overlapping.std() < separate.std()
    assert overlapping.mean() > 0.5  # of independent data: the bias of small batches
