import boundaries
import numpy as np
from test_vectorise import X, ridge_map

FLAT = np.ones(128)


def echogram(lines, height=80):
    """(height, 128) brightness: -1 of noise, with a bright line for each (row, brightness)."""
    image = np.full((height, 128), -1.0, np.float32)
    for row, brightness in lines:
        image[row - 1 : row + 2] = brightness
    return image


def find(lines, brightness):
    return boundaries.find_boundaries(ridge_map(lines, 80, 128), brightness, gap=12, shortest=20)[:2]


def test_of_two_candidates_the_brighter_line_is_the_surface():
    transmitter, surface = (0, 12 * FLAT, 0.9), (0, 30 * FLAT, 0.7)
    [[_, rows, _]], _ = find([transmitter, surface], None)
    assert np.allclose(rows, 12, atol=0.1)
    [[_, rows, support]], _ = find([transmitter, surface], echogram([(12, 0.0), (30, 1.0)]))
    assert np.allclose(rows, 30, atol=0.1)
    assert np.allclose(support, 0.7, atol=0.01), "how sure we are is the network's own probability"


def test_of_two_lines_as_bright_the_upper_is_the_surface():
    surface, firn = (0, 20 * FLAT, 0.5), (0, 40 * FLAT, 0.8)
    [[_, rows, _]], _ = find([surface, firn], echogram([(20, 1.0), (40, 1.0)]))
    assert np.allclose(rows, 20, atol=0.1)


def test_where_the_map_knows_no_better_the_bed_is_carried_on_by_its_echo():
    faint = (2, 50 * FLAT, np.where(X < 60, 0.8, 0.1))
    _, [[first, rows, _]] = find([faint], None)
    assert first == 0
    assert abs(rows.size - 60) <= 4
    _, [[first, rows, support]] = find([faint], echogram([(50, 1.0)]))
    assert (first, rows.size) == (0, 128)
    assert np.allclose(rows, 50, atol=0.1)
    assert support[-1] < 0.2, "what the echo alone carries is doubtful"


def test_where_the_echo_is_lost_so_is_the_bed():
    image = echogram([(50, 1.0)])
    image[:, 90:] = -1.0
    _, [[first, rows, _]] = find([(2, 50 * FLAT, np.where(X < 60, 0.8, 0.1))], image)
    assert first == 0
    assert abs(rows.size - 90) <= 4


def test_a_bright_line_alone_is_no_bed():
    speck = (2, 50 * FLAT, np.where(X < 10, 0.8, 0.0))
    assert find([speck], echogram([(50, 1.0)])) == ([], [])
    quarter = (2, 50 * FLAT, np.where(X < 28, 0.8, 0.0))
    _, [[_, rows, _]] = find([quarter], echogram([(50, 1.0)]))
    assert rows.size < 40, "a map that sees a bed in fewer than a quarter of the columns is not helped by the echo"


def test_the_bed_is_below_the_surface_however_bright_it_is_above():
    _, [[_, rows, _]] = find([(0, 20 * FLAT, 0.9), (2, 50 * FLAT, 0.5)], echogram([(10, 1.0), (20, 1.0), (50, 0.0)]))
    assert np.allclose(rows, 50, atol=0.1)


def test_a_second_surface_below_the_first_is_the_bed():
    """So the map has it where the antenna lies on the ice, and the bed is the brightest return."""
    surface, misnamed, bed = (
        (0, 5 * FLAT, 0.9),
        (0, 40 * FLAT, np.where(X < 60, 0.7, 0.0)),
        (2, 40 * FLAT, np.where(X < 20, 0.4, 0.0)),
    )
    for brightness in (None, echogram([(5, 1.0), (40, 1.0)])):
        [[_, top, _]], [[first, rows, _]] = find([surface, misnamed, bed], brightness)
        assert np.allclose(top, 5, atol=0.1)
        assert first == 0
        assert abs(rows.size - 60) <= 4, "the echo carries on what the map itself calls a bed, and nothing else"
        assert np.allclose(rows[:-4], 40, atol=0.1)


def test_what_is_called_a_surface_just_below_the_surface_is_no_bed():
    _, found = find([(0, 20 * FLAT, 0.9), (0, 30 * FLAT, 0.7)], None)
    assert found == []


def test_a_bed_that_is_no_brighter_than_the_noise_below_it_is_an_internal_layer():
    lines = [(0, 10 * FLAT, 0.9), (1, 30 * FLAT, 0.6), (2, 50 * FLAT, 0.7)]
    probability = ridge_map(lines, 80, 128)
    deep = echogram([(10, 1.0), (30, 0.0), (50, -0.7)])
    _, bed, layers = boundaries.find_boundaries(probability, deep, gap=12, shortest=20)
    assert bed == []
    assert np.allclose(layers[50], 0.7)
    assert np.allclose(layers[30], 0.6)
    strong = echogram([(10, 1.0), (30, 0.0), (50, -0.2)])
    _, [[_, rows, _]], layers = boundaries.find_boundaries(probability, strong, gap=12, shortest=20)
    assert np.allclose(rows, 50, atol=0.1)
    np.testing.assert_array_equal(layers, probability[1])
