"""Pages of parafac2023 with parameters that are not the default ones, and what their claims read."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

from xsim_lib.evidence import claims, records
from xsim_lib.factorization import compare_trees, cosine_distances, upgma
from xsim_lib.models import loading
from xsim_lib.papers.parafac2023 import other_models
from xsim_lib.papers.parafac2023 import signature_run as run_signatures
from xsim_lib.papers.parafac2023.language_trees import true_tree, without_cognates
from xsim_lib.study import experiment, profiles
from xsim_lib.workflow import execution

SETTINGS = profiles.paper_settings("parafac2023", "smoke")
DEPTH = SETTINGS.encoder["num_hidden_layers"]


@pytest.fixture
def build(tmp_path, monkeypatch, repository):
    monkeypatch.setenv("XSIM_HOME", str(repository))
    monkeypatch.setenv("XSIM_BUILD", str(tmp_path))
    monkeypatch.setenv(
        "XSIM_RECORDS", str(tmp_path / "smoke" / "records")
    )  # whatever the parameters
    return tmp_path


def executed(build, page, item, **parameters):
    """What a page records at smoke."""
    execution.execute(f"parafac2023/{page}", {"profile": "smoke", **parameters})
    return records.read_records(build / "smoke" / "records" / f"parafac2023.{item}.parquet")


def outcomes(item, found):
    """The predicates of an item on the records of one page, or what they miss."""
    for claim in claims.claims_of("parafac2023", item):
        predicate = claims.predicate_of(claim)
        if predicate.items[0] == item and not predicate.printed:
            try:
                yield claim.id, predicate(found).measured
            except records.NothingSelected as missing:
                yield claim.id, missing


@pytest.mark.slow
def test_recovery_judges_random_starts_of_other_sizes(build):
    sizes = {"n_languages": 5, "width": 8, "n_components": 2, "n_starts": 2, "max_iter": 150}
    found = executed(build, "recovery", "s2", **sizes)
    ((_, measured),) = outcomes("s2", found)
    assert "congruence 1.000" in measured
    assert found.mean("congruence") > 0.99
    assert found.mean("congruence", baseline="unrelated") < 0.99
    plain, old = (
        found.mean("solver_error", model=m) for m in ("plain, 100 sweeps", "tensorly 0.7")
    )
    assert plain == pytest.approx(old, rel=0.02)


@pytest.mark.slow
def test_distances_are_those_of_the_signatures(build):
    found = executed(build, "fig5_distances", "fig5", factorization={"rank": 4})
    ((_, measured),) = outcomes("fig5", found)
    assert "layer 6: " in measured
    run = experiment.start("parafac2023.fig5", profile="smoke", factorization={"rank": 4})
    table = run_signatures.measure_signatures(run, 1, layers=[DEPTH], progress=False).table(DEPTH)
    assert table.shape == (14, 4)
    distances = cosine_distances(table)
    assert found.mean("distance", layer=DEPTH, pair_or_language="de-ka") == pytest.approx(
        distances.loc["de", "ka"]
    )
    expected = distances["zh"].drop("zh").mean()
    assert found.mean("mean_distance", layer=DEPTH, pair_or_language="zh") == pytest.approx(
        expected
    )


@pytest.mark.slow
def test_trees_of_languages_without_cognates(build):
    found = executed(build, "fig8_trees", "fig8a", no_cognates=True, permutations=19)
    assert set(found.unique("baseline")) == {
        *("", "untrained", "no cognates", "lexical", "lexical trigrams")
    }
    for _, measured in outcomes("fig8a", found):
        assert isinstance(measured, str)
    run = experiment.start("parafac2023.fig8a", profile="smoke")
    changed = without_cognates(SETTINGS)
    layer = DEPTH // 2
    solved = run_signatures.measure_signatures(
        run, 1, settings=changed, layers=[layer], progress=False
    )
    tree = upgma(cosine_distances(solved.table(layer)))
    near = compare_trees(tree, true_tree(SETTINGS.source, SETTINGS.languages))
    assert found.mean("triplets", baseline="no cognates") == pytest.approx(near.triplets)
    b = records.read_records(build / "smoke" / "records" / "parafac2023.fig8b.parquet")
    assert set(b.unique("baseline")) == {"", "untrained", "no cognates", "presence"}
    ((_, missing),) = outcomes("fig8b", records.merge_records([b, found]))
    assert "ar-he" in str(missing)  # no build here has both languages


@pytest.mark.slow
def test_subsets_of_ones_own(build):
    found = executed(build, "language_subsets", "s5.2", related={"Turkic": ["tr", "az"]}, draws=20)
    assert set(found.select(metric="chi2_p").unique("pair_or_language")) == {
        *SETTINGS.related, "Turkic"
    }  # fmt: skip
    found_of = {"task": "", "layer": 0, "pair_or_language": "Turkic"}
    layer = found.select(metric="mean_signature", task="", layer=0).frame
    own = {name: part["value"] for name, part in layer.groupby("variant")}
    assert (len(own["Turkic"]), len(own["diverse"])) == (2, 6)
    ratio = own["diverse"].var() / own["Turkic"].var()
    assert found.mean("variance_ratio", **found_of) == pytest.approx(ratio)
    scaled = [(own[x] / own[x].mean()).var() for x in ("diverse", "Turkic")]
    relative = found.mean("variance_ratio", variant="relative", **found_of)
    assert relative == pytest.approx(scaled[0] / scaled[1])
    ((_, missing),) = outcomes("s5.2", found)
    assert "Gender" in str(missing)


@pytest.mark.slow
def test_few_data_are_told_apart_from_few_data_of_the_own_model(build):
    found = executed(build, "low_resource", "appD")
    assert found.select(variant="starved").unique("pair_or_language") == ("en", "ka")
    assert found.select(variant="starved", task="alone").unique("pair_or_language") == ("ka",)
    for claim, measured in outcomes("appD", found):
        assert isinstance(measured, str), claim
    values = {v: found.curve("mean_signature", variant=v, pair_or_language="ka").to_numpy()
              for v in ("", "starved", "multilingual only", "own model only", "trained again")}  # fmt: skip
    assert len({tuple(v) for v in values.values()}) == 5
    # The vocabulary is that of all languages, whatever they lose.
    specs = [SETTINGS.multilingual(1, starved=x) for x in ((), ("ka",))]
    assert specs[0].start_from == specs[1].start_from


@pytest.mark.slow
def test_a_public_encoder_of_another_depth_and_width(build, tmp_path):
    run = experiment.start("parafac2023.s5.1", profile="smoke")
    own = run.trained(SETTINGS.multilingual(1), "own").load()
    config = XLMRobertaConfig(
        vocab_size=len(own.tokenizer), hidden_size=16, num_hidden_layers=2 * DEPTH,
        num_attention_heads=2, intermediate_size=32, max_position_embeddings=90, pad_token_id=1,
        type_vocab_size=1,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]), loading.quiet_transformers():
        torch.manual_seed(0)
        XLMRobertaForMaskedLM(config).save_pretrained(tmp_path / "tiny")
        own.tokenizer.save_pretrained(tmp_path / "tiny")
    found = executed(build, "public_model", "s5.1", checkpoints={"tiny": str(tmp_path / "tiny")})
    assert set(found.unique("model")) == {"multilingual", "tiny"}
    public = other_models.at_depth(loading.load(tmp_path / "tiny"), DEPTH)
    expected = run_signatures.measure_signatures(
        run, 1, multilingual=public, progress=False
    ).means()
    for language in ("en", "zh"):
        curve = found.curve("mean_signature", model="tiny", pair_or_language=language)
        np.testing.assert_allclose(curve, expected.loc[language], rtol=1e-6)
    means = run_signatures.measure_signatures(run, 1, progress=False).means()
    agreement = spearmanr(expected[DEPTH], means[DEPTH]).statistic
    assert found.mean("order_agreement", layer=DEPTH) == pytest.approx(agreement)
    (measured,) = [m for c, m in outcomes("s5.1", found) if c.endswith("same_trends")]
    assert measured.startswith("characters ")
    made = records.read_provenance(build / "smoke" / "records" / "parafac2023.s5.1.parquet")
    assert made["parameters"]["public_checkpoints"]["tiny"]["layers"] == 2 * DEPTH
    with pytest.raises(ValueError, match=f"n_layers: tiny has {2 * DEPTH}; got {3 * DEPTH}"):
        other_models.at_depth(loading.load(tmp_path / "tiny"), 3 * DEPTH)
