"""Chains of ridge points, and the links between them."""

import chains
import numpy as np
from chains import Chain, Links


def chain(first, rows):
    return Chain(np.arange(first, first + len(rows)), np.array(rows, float), np.full(len(rows), 0.9))


def test_chains_whose_ends_go_astray_and_overlap_become_one():
    astray = chain(0, [10] * 16 + [10.5, 11, 11.5, 12])
    flat = np.zeros((32, 40), np.float32)
    [(first, rows, support)] = chains.join_chains([astray, chain(18, [10] * 22)], flat, flat[::2, ::2], gap=24)
    assert (first, rows.size, support.size) == (0, 40, 40)
    assert np.abs(rows - 10).max() < 1.2


def test_chains_that_miss_each_other_stay_apart():
    flat = np.zeros((32, 40), np.float32)
    assert len(chains.join_chains([chain(0, [10] * 16), chain(20, [20] * 20)], flat, flat[::2, ::2], gap=24)) == 2
    assert len(chains.join_chains([chain(0, [10] * 8), chain(34, [10] * 6)], flat, flat[::2, ::2], gap=24)) == 2


def test_of_two_links_to_one_chain_the_one_that_meets_better_is_made_and_none_is_forced():
    ends = np.array([0, 1, 3]), np.array([2, 2, 4])
    links = Links(*ends, np.array([6, 6, 9]), np.zeros(3, int), np.array([1.0, 0.2, 7.9]))
    made = chains.cheapest_links(links, 5)
    # The third, of 7.9 rows and 9 columns, costs more than it is worth.
    assert (made.left.tolist(), made.right.tolist()) == ([1], [2])


def test_a_line_is_strung_of_its_chains_and_the_map_between_them():
    image = np.full((32, 40), 0.25, np.float32)
    strand = chains.carried_on([chain(20, [12] * 10), chain(0, [10] * 10)], image[::2, ::2] * 0, steps=12, loose=0)
    links = chains.possible_links(strand, gap=12)
    assert (links.left.tolist(), links.right.tolist(), links.distance.tolist()) == ([1], [0], [11])
    [line] = chains.strung_together(strand, links, image)
    assert (line.first, line.rows.size) == (0, 30)
    np.testing.assert_allclose(line.support, [0.9] * 10 + [0.25] * 10 + [0.9] * 10)
    assert (np.diff(line.rows) >= 0).all()
