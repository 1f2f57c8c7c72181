"""Properties of a language's text, and their correlation with a number per language.

What Figures 3, 4, 6 and 7 of parafac2023 hold against mean signatures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd

from xsim_lib.indices import validation
from xsim_lib.indices.fisher import fisher_interval, pearson_p
from xsim_lib.text.types import Treebank

__all__ = ["property_correlations", "type_token_ratio", "unique_characters"]

_NO_LEMMA = "_"  # in CoNLL-U


def unique_characters(lines: Iterable[str], *, coverage: float = 0.999) -> int:
    r"""How many different characters a text needs for nearly all of it.

    .. math:: \min \{k : \textstyle\sum_{i \le k} n_{(i)} \ge c \sum_i n_i\}

    Parameters
    ----------
    lines : text; white space does not count.
    coverage : c in (0, 1], the share of all characters that the k most frequent ones make up.

    Raises
    ------
    ValueError : no character, or a coverage outside (0, 1].

    References
    ----------
    Zhao et al. (2023), footnote 5: 99.9 % of the training text, so that noise does not count.
    """
    validation.number("coverage", coverage, low=1e-9, high=1)
    counts = Counter()
    for line in lines:
        counts.update("".join(line.split()))
    if not counts:
        raise ValueError("lines: expected a character other than white space, got none")
    sizes = np.sort(np.fromiter(counts.values(), dtype=np.int64))[::-1]
    # Whole numbers: a sum of shares could miss 1 by its rounding.
    return int(np.searchsorted(np.cumsum(sizes), np.ceil(coverage * sizes.sum() - 1e-6)) + 1)


def type_token_ratio(bank: Treebank) -> float:
    """Different lemmas as a share of all words of annotated sentences.

    Notes
    -----
    A word without a lemma counts by its form: half of the words of Korean PUD have none.
    It falls with the length of the text. It can be compared between languages whose sentences are
    translations of each other, less well between treebanks of different size, as the paper does.

    References
    ----------
    Zhao et al. (2023), section 5.1.
    """
    tokens = [token for sentence in bank.sentences for token in sentence.tokens]
    lemmas = [token.form if token.lemma == _NO_LEMMA else token.lemma for token in tokens]
    return len(set(lemmas)) / len(lemmas)


def property_correlations(values: pd.DataFrame, properties: pd.Series) -> pd.DataFrame:
    """Pearson's correlation of a property of languages with their values, column by column.

    Parameters
    ----------
    values : languages in rows, such as layers in columns; a language with nan is left out there.
    properties : language -> number, of every language in `values`.

    Returns
    -------
    DataFrame indexed by the columns: value, lower and upper (95 %, Fisher), p, n (languages). Columns
    with fewer than 4 languages, or without any variation on one side, are left out.

    Raises
    ------
    ValueError : a language without the property.
    """
    missing = values.index.difference(properties.dropna().index)
    if len(missing):
        raise ValueError(f"properties: expected a number for every language, none for {missing[0]}")
    rows = {}
    for column in values:
        own = values[column].dropna()
        x, y = properties[own.index].to_numpy(dtype=float), own.to_numpy(dtype=float)
        if len(own) < 4 or np.ptp(x) == 0 or np.ptp(y) == 0:
            continue
        r = float(np.clip(np.corrcoef(x, y)[0, 1], -1, 1))
        low, high = fisher_interval(r, len(own))
        rows[column] = (r, float(low), float(high), float(pearson_p(r, len(own))), len(own))
    names = ["value", "lower", "upper", "p", "n"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=names)
