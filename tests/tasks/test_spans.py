"""Entities are found and counted as the script of the shared tasks does."""

from itertools import product

import pytest

from xsim_lib.tasks.bio_spans import entity_spans, f1, repair, span_counts

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
EVERY = [tags for n in range(1, 5) for tags in product(TAGS, repeat=n)]


def bio(text):
    return text.split()


def by_the_script(tags):
    """conlleval as published: a table of boundaries between two tags, then the types."""
    ends = {("B", "B"), ("B", "O"), ("I", "B"), ("I", "O")}
    starts = {("B", "B"), ("I", "B"), ("O", "B"), ("O", "I")}
    found, start, before = set(), None, "O"
    for place, tag in enumerate([*tags, "O"]):
        letters, changed = (before[0], tag[0]), before[2:] != tag[2:]
        if letters in ends or (before != "O" and changed):
            found.add((before[2:], start, place))
        if letters in starts or (tag != "O" and changed):
            start = place
        before = tag
    return found


def test_every_short_sequence_is_read_as_conlleval_reads_it():
    assert len(EVERY) == 780
    assert [tags for tags in EVERY if entity_spans(tags) != by_the_script(tags)] == []


@pytest.mark.parametrize(
    ("tags", "lenient", "strict"),
    [
        ("I-PER I-PER O", {("PER", 0, 2)}, set()),  # seqeval's example of the two readings
        ("O I-LOC O", {("LOC", 1, 2)}, set()),
        ("B-PER I-LOC", {("PER", 0, 1), ("LOC", 1, 2)}, {("PER", 0, 1)}),
        ("B-PER I-LOC I-PER", {("PER", 0, 1), ("LOC", 1, 2), ("PER", 2, 3)}, {("PER", 0, 1)}),
        ("B-PER O I-PER", {("PER", 0, 1), ("PER", 2, 3)}, {("PER", 0, 1)}),
        ("I-PER B-PER", {("PER", 0, 1), ("PER", 1, 2)}, {("PER", 1, 2)}),  # IOB1: B- separates
        ("B-PER B-PER I-PER", {("PER", 0, 1), ("PER", 1, 3)}, {("PER", 0, 1), ("PER", 1, 3)}),
        ("O O", set(), set()),
    ],
)
def test_irregular_sequences(tags, lenient, strict):
    assert entity_spans(bio(tags)) == lenient
    assert entity_spans(bio(tags), "repaired") == lenient
    assert entity_spans(bio(tags), "iob2") == strict


def test_the_repair_matters_to_a_strict_reader_only():
    for tags in EVERY:
        repaired = repair(tags)
        assert entity_spans(repaired) == entity_spans(tags) == entity_spans(repaired, "iob2")
        assert repair(repaired) == repaired
        assert entity_spans(tags, "iob2") <= entity_spans(tags)
    assert repair(["I-PER", "I-PER", "I-LOC", "O", "I-LOC"]) == [
        *("B-PER", "I-PER", "B-LOC", "O", "B-LOC")
    ]


def test_f1_of_seqevals_published_example():
    gold = [bio("O O O B-MISC I-MISC I-MISC O"), bio("B-PER I-PER O")]
    predicted = [bio("O O B-MISC I-MISC I-MISC I-MISC O"), bio("B-PER I-PER O")]
    counts = [span_counts(g, p) for g, p in zip(gold, predicted, strict=True)]
    assert counts == [(0, 1, 1), (1, 1, 1)]
    assert f1([sum(column) for column in zip(*counts, strict=True)]) == 0.5


def test_an_entity_is_right_with_its_type_and_both_ends():
    gold = bio("B-PER I-PER O B-LOC")
    assert span_counts(gold, gold) == (2, 2, 2)
    assert span_counts(gold, bio("B-PER O O B-LOC")) == (1, 2, 2)
    assert span_counts(gold, bio("B-LOC I-LOC O B-LOC")) == (1, 2, 2)
    assert span_counts(gold, bio("I-PER I-PER O I-LOC")) == (2, 2, 2)
    assert span_counts(gold, bio("I-PER I-PER O I-LOC"), "iob2") == (0, 0, 2)
    assert span_counts(gold, bio("O O O O")) == (0, 0, 2)
    assert f1([0, 0, 2]) == f1([0, 0, 0]) == 0.0
    assert f1([3, 4, 6]) == pytest.approx(2 * (3 / 4) * (3 / 6) / (3 / 4 + 3 / 6))


@pytest.mark.parametrize("tag", ["PER", "B-", "O-PER", "E-PER", ""])
def test_other_tags_are_refused(tag):
    with pytest.raises(ValueError, match=f"word 1: expected O, B-TYPE or I-TYPE, got '{tag}'"):
        entity_spans(["O", tag])


def test_other_errors():
    with pytest.raises(ValueError, match="expected conlleval, iob2 or repaired, got 'bio'"):
        entity_spans(["O"], "bio")
    with pytest.raises(ValueError, match="predicted: expected 2 tags like gold, got 1"):
        span_counts(["O", "O"], ["O"])
