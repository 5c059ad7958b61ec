"""Layer files that we write, read by xopr itself, and by SciPy alone."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from firnline.products.opr import LayerFile, Organiser
from workbench.fetching import catalogues

needs_tools = pytest.mark.skipif(
    not catalogues.TOOLS.exists(), reason="xopr is not installed (`make fetch-tools` installs it)"
)

READ = """
import json, sys
import xopr
connection = object.__new__(xopr.OPRConnection)  # a connection would ask for the catalogue; reading a file does not
layers, organiser = connection._load_layers(sys.argv[1]), connection._load_layer_organization(sys.argv[2])
told = {name: layers[name].values.tolist() for name in ("gps_time", "lat", "lon", "elev", "id", "twtt", "type", "quality")}
plain = lambda values: [str(getattr(one, "item", lambda: one)()) for one in values]
told |= {"lyr_id": organiser["lyr_id"].values.tolist(), "names": plain(organiser["lyr_name"].values),
         "groups": plain(organiser["lyr_group_name"].values), "ages": organiser["lyr_age"].values.tolist()}
print(json.dumps(told))
"""

FILE = LayerFile(
    gps_time=np.array([1.3e9, 1.3e9 + 0.25, 1.3e9 + 0.5]),
    lat=np.array([72.0, 72.001, 72.002]),
    lon=np.array([-40.0, -40.001, -40.002]),
    elev=np.array([3000.0, 3001.0, 3002.0]),
    id=np.array([1, 3, 2]),
    twtt=np.array([[1e-6, 1.1e-6, 1.2e-6], [2e-6, np.nan, 2.2e-6], [9e-6, 9.1e-6, 9.2e-6]]),
    type=np.array([[1, 1, 1], [2, 2, 2], [2, 2, 2]]),
    quality=np.array([[1, 1, 1], [2, 2, 2], [1, 1, 1]]),
)
NAMES = {
    1: ("surface", "standard", np.nan, ""),
    3: ("layer_001", "firnline", 1.0, "the first year"),
    2: ("bottom", "standard", np.nan, ""),
}


@needs_tools
def test_xopr_and_scipy_read_the_same_layers_as_were_written(tmp_path: Path) -> None:
    layers, organiser = tmp_path / "Data_20120330_04_001.mat", tmp_path / "layer_20120330_04.mat"
    layers.write_bytes(FILE.to_mat())
    organiser.write_bytes(Organiser(NAMES).to_mat())
    ran = subprocess.run(
        [catalogues.TOOLS, "-W", "ignore", "-c", READ, layers, organiser], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    told = json.loads(ran.stdout.splitlines()[-1])
    scipy_told = loadmat(layers, squeeze_me=True)
    for name in ("gps_time", "lat", "lon", "elev", "id", "twtt", "type", "quality"):
        np.testing.assert_array_equal(np.array(told[name], float), getattr(FILE, name), err_msg=name)
        np.testing.assert_array_equal(scipy_told[name], getattr(FILE, name), err_msg=name)
    assert told["lyr_id"] == list(NAMES)
    assert told["names"] == [name for name, *_ in NAMES.values()]
    assert told["groups"] == [group for _, group, *_ in NAMES.values()]
    np.testing.assert_array_equal(np.array(told["ages"], float), [age for _, _, age, _ in NAMES.values()])
