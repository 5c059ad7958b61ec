"""The ONNX form of a network gives MXNet's answer, and what it can't say is refused.

MXNet's side is made by MXNet itself, in its own environment, for inputs of two sizes.
"""

import io
import json
import os
import re
import struct
import subprocess
import sys
import tarfile
import textwrap
from contextlib import suppress
from pathlib import Path

import boto3
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from firnline.documents.echogram import to_grey
from firnline.documents.layers import LayersDocument
from layer_model.echogram_input import CHANNELS
from tests.support.review_world import ENVIRONMENT, on_moto
from workbench import onnx_export
from workbench.cli import app
from workbench.connection import Connection
from workbench.mxnet_files import NotReadable, read_parameters, read_symbol
from workbench.onnx_export import NotExportable
from workbench.onnx_graph import translate
from workbench.simulator import campaigns, simulate_frame

ROOT = Path(__file__).parents[2]
LAYER_MODEL, LIBRARY = ROOT / "layer_model", ROOT / "layers" / "firnline"
IN_THE_BOX = LAYER_MODEL / "first_model" / "model.tar.gz"

MAKE_CASES = """
import sys
import mxnet as mx, numpy as np
sys.path.insert(0, sys.argv[2])
import network
S, rng = mx.sym, np.random.RandomState(7)
x = S.var("data")
wide = S.Convolution(x, kernel=(3, 3), pad=(1, 1), num_filter=4, name="wide")


def flat(symbol):
    return S.reshape(symbol, shape=(-1, 1, 1, 1))


CASES = {
    "convolution_strides_dilation": S.Convolution(x, kernel=(3, 5), stride=(1, 2), pad=(2, 4), dilate=(2, 2), num_filter=4),
    "convolution_groups_no_bias": S.Convolution(wide, kernel=(1, 9), pad=(0, 4), num_filter=4, num_group=4, no_bias=True),
    "convolution_kernel_only": S.Convolution(x, kernel=(3, 3), num_filter=3),
    "deconvolution": S.Deconvolution(wide, kernel=(2, 4), stride=(1, 2), pad=(0, 1), num_filter=3),
    "deconvolution_adj_bias": S.Deconvolution(wide, kernel=(3, 3), stride=(2, 2), pad=(1, 1), adj=(1, 1), num_filter=3,
                                              no_bias=False),
    "batch_norm": S.BatchNorm(wide, fix_gamma=False, eps=0.01),
    "batch_norm_fix_gamma": S.BatchNorm(wide, fix_gamma=True, use_global_stats=True),
    "batch_norm_defaults": S.BatchNorm(wide),
    **{"activation_" + kind: S.Activation(x, act_type=kind) for kind in ("relu", "sigmoid", "tanh", "softrelu", "softsign")},
    **{"leaky_" + kind: S.LeakyReLU(wide, act_type=kind, slope=0.1) for kind in ("leaky", "elu", "prelu")},
    "leaky_defaults": S.LeakyReLU(x),
    "plain": S.tanh(S.relu(x) + S.sigmoid(x) * S.exp(x) - x / (S.exp(x) + 1.5)),
    "pool_max": S.Pooling(x, kernel=(3, 2), stride=(2, 2), pad=(1, 0), pool_type="max"),
    "pool_average": S.Pooling(x, kernel=(3, 3), stride=(1, 2), pad=(1, 1), pool_type="avg"),
    "pool_average_without_pad": S.Pooling(x, kernel=(3, 3), stride=(1, 2), pad=(1, 1), pool_type="avg",
                                          count_include_pad=False),
    "pool_global": S.broadcast_mul(S.Pooling(x, global_pool=True, pool_type="avg", kernel=(1, 1)),
                                   S.Pooling(x, global_pool=True, pool_type="max", kernel=(1, 1))),
    **{"up_sampling_%d" % scale: S.UpSampling(x, scale=scale, sample_type="nearest") for scale in (2, 3, 8, 16)},
    "broadcast": S.broadcast_maximum(S.broadcast_sub(x, S.mean(x, axis=(2, 3), keepdims=True)), S.broadcast_div(
        x, 2 + S.exp(S.mean(x, axis=1, keepdims=True)))),
    "minimum_of_many": S.broadcast_minimum(S.add_n(x, x, x), S.broadcast_mul(x, x)),
    "scalars": (3 - (x * 2.5 + 1) / 4) - 0.5 + 1 / (S.exp(x) + 1),
    "concat": S.concat(x, wide, x, dim=1),
    "concat_last": S.concat(x, x, dim=-1),
    "stack_reshape_merge": S.reshape(S.stack(x, x * 2, x * 3, axis=2), shape=(0, -3, 0, 0)),
    "stack_first": flat(S.stack(x, x * 2)),
    "stack_last": flat(S.stack(x, x * 2, axis=-1)),
    "reshape_split": flat(S.reshape(wide, shape=(0, -4, 2, -1, 0, 0))),
    "reshape_split_known": flat(S.reshape(wide, shape=(0, -4, -1, 2, -2))),
    "reshape_rest": S.reshape(x, shape=(0, 1, -1, 0)),
    "reshape_copy_all": flat(S.reshape(x, shape=(-3, -2))),
    "reshape_flat": flat(S.reshape(x, shape=(0, -1))),
    "slice_axis": S.slice_axis(x, axis=3, begin=1, end=-1) + S.slice_axis(x, axis=-1, begin=2, end=None),
    "transpose": S.transpose(x, axes=(0, 2, 3, 1)),
    "transpose_all": S.transpose(x),
    "expand_dims": flat(S.expand_dims(S.expand_dims(x, axis=2), axis=-1)),
    "mean_channel": flat(S.mean(x, axis=1)),
    "mean_all": S.mean(x, keepdims=True),
    "pad_edge": S.Pad(x, mode="edge", pad_width=(0, 0, 0, 0, 1, 2, 3, 4)),
    "pad_constant": S.Pad(x, mode="constant", constant_value=0.5, pad_width=(0, 0, 0, 0, 0, 1, 2, 0)),
    "pad_reflect": S.Pad(x, mode="reflect", pad_width=(0, 0, 0, 0, 1, 2, 3, 4)),
    "dropout": S.Dropout(x, p=0.5) + S.BlockGrad(x) + S.identity(x),
    "deconvolution_groups_ones": S.Deconvolution(wide, S.ones((4, 1, 2, 2)), kernel=(2, 2), stride=(2, 2), num_filter=4,
                                                 num_group=4),
    "convolution_slice_of_weight": S.Convolution(x, S.slice_axis(S.var("scales_weight", shape=(2, 4, 1, 1)), axis=1, begin=2,
                                                 end=3), kernel=(1, 1), num_filter=2, num_group=2, no_bias=True),
}


def random_parameters(symbol, channels):
    shapes, _, auxiliary = symbol.infer_shape(data=(1, channels, 64, 96))
    arrays = {}
    for kind, names, sizes in (("arg:", symbol.list_arguments(), shapes), ("aux:", symbol.list_auxiliary_states(), auxiliary)):
        for name, size in zip(names, sizes):
            if name == "data":
                continue
            scale = np.prod(size[1:]) ** -0.5 if len(size) > 1 else 0.3
            values = scale * rng.standard_normal(size)
            if name.endswith(("var", "gamma")):
                values = rng.uniform(0.5, 1.5, size)
            arrays[kind + name] = mx.nd.array(values)
    return arrays


for name in network.NETWORKS:
    CASES[name] = network.inference_symbol(network.build(name))
for name, symbol in CASES.items():
    channels = network.NETWORKS[name].channels if name in network.NETWORKS else 2
    base = sys.argv[1] + "/" + name
    symbol.save(base + ".json")
    mx.nd.save(base + ".params", random_parameters(symbol, channels))
    block = mx.gluon.SymbolBlock.imports(base + ".json", ["data"], base + ".params")
    results = {}
    for number, size in enumerate([(1, channels, 64, 96), (2, channels, 32, 160)]):
        image = rng.standard_normal(size).astype(np.float32)
        results["input%d" % number] = image
        results["output%d" % number] = block(mx.nd.array(image)).asnumpy()
    np.savez(base + ".npz", **results)
"""


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of networks as MXNet saves them, with its answers."""
    if not onnx_export.MXNET_PYTHON.exists():
        pytest.skip(f"MXNet's environment is not at {onnx_export.MXNET_PYTHON.parents[1]} (`make setup` brings it)")
    folder = tmp_path_factory.mktemp("mxnet")
    environment = os.environ | {"PYTHONPATH": str(LIBRARY)}
    subprocess.run([onnx_export.MXNET_PYTHON, "-c", MAKE_CASES, folder, LAYER_MODEL], check=True, env=environment)
    return folder


def to_onnx(folder: Path, name: str, channels: int) -> bytes:
    symbol, parameters = (folder / f"{name}.{kind}" for kind in ("json", "params"))
    model = translate(read_symbol(symbol.read_bytes()), read_parameters(parameters.read_bytes()), channels, {})
    return model.SerializeToString(deterministic=True)


def differences(folder: Path, name: str, channels: int) -> list[float]:
    """The largest difference between onnxruntime and MXNet, for each of the two input sizes."""
    model, answers = to_onnx(folder, name, channels), np.load(folder / f"{name}.npz")
    found = []
    for number in range(2):
        expected, got = answers[f"output{number}"], onnx_export.run_onnx(model, answers[f"input{number}"])
        assert got.shape == expected.shape, name
        assert np.abs(expected).max() > 1e-3, f"{name}: MXNet's answer is nothing, which proves nothing"
        found.append(float(np.abs(got - expected).max()))
    return found


@pytest.mark.parametrize(("network", "channels"), [("layers", CHANNELS), ("reference", 1)])
def test_both_networks_give_what_mxnet_gives(cases: Path, network: str, channels: int) -> None:
    answers = np.load(cases / f"{network}.npz")
    assert answers["input1"].shape == (2, channels, 32, 160)
    assert answers["output1"].shape == (2, 3, 32, 160)
    undecided = (answers["output0"] > 0.02) & (answers["output0"] < 0.98)
    assert undecided.mean() > 0.5, "a sigmoid hides the differences between large numbers"
    assert max(differences(cases, network, channels)) <= 1e-4


def test_every_operation_gives_what_mxnet_gives(cases: Path) -> None:
    operations = sorted(path.stem for path in cases.glob("*.json") if path.stem not in ("layers", "reference"))
    assert len(operations) > 40
    found = {name: max(differences(cases, name, 2)) for name in operations}
    assert {name: difference for name, difference in found.items() if not difference <= 1e-4} == {}


def test_the_same_network_makes_the_same_bytes(cases: Path) -> None:
    assert to_onnx(cases, "layers", 2) == to_onnx(cases, "layers", 2)


# ------------------------------------------------------------------------------------------------ what is refused


def symbol_of(op: str, **attributes: str) -> bytes:
    nodes = [
        {"op": "null", "name": "data", "inputs": []},
        {"op": op, "name": "thing0", "attrs": attributes, "inputs": [[0, 0, 0]]},
    ]
    return json.dumps({"nodes": nodes, "arg_nodes": [0], "heads": [[1, 0, 0]]}).encode()


@pytest.mark.parametrize(
    ("op", "attributes", "said"),
    [
        ("_ones", {"shape": "(2, 2)", "dtype": "int32"}, "dtype = int32"),
        ("LRN", {"nsize": "5"}, "'thing0' is a 'LRN', which is not translated"),
        ("relu", {"leak": "0.1"}, "'thing0', a 'relu', can't be translated to ONNX: leak is not known"),
        ("Pooling", {"kernel": "(2, 2)", "pool_type": "lp"}, "pool_type = lp"),
        ("Pooling", {"kernel": "(2, 2)", "pooling_convention": "full"}, "pooling_convention = full"),
        ("Pooling", {"kernel": "(2,)"}, "not of two dimensions"),
        ("UpSampling", {"scale": "2", "sample_type": "bilinear"}, "sample_type = bilinear"),
        ("Reshape", {"shape": "(0, -7)"}, "the code -7"),
        ("Reshape", {"shape": "(-4, 2)"}, "'thing0', a 'Reshape', can't be translated"),
        ("_mul_scalar", {"scalar": "__import__('os')"}, "'thing0', a '_mul_scalar', can't be translated"),
        ("_mul_scalar", {"scalar": "(" * 100_000}, "100000 characters long"),
    ],
)
def test_what_is_not_known_is_refused_by_name(op: str, attributes: dict[str, str], said: str) -> None:
    with pytest.raises(NotExportable, match=re.escape(said)):
        translate(read_symbol(symbol_of(op, **attributes)), {}, 1, {})


def test_a_missing_parameter_is_refused_by_name() -> None:
    symbol = symbol_of("relu").replace(b'"name": "data"', b'"name": "weight"')
    with pytest.raises(NotExportable, match="lack 'weight'"):
        translate(read_symbol(symbol), {}, 1, {})


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        symbol_of("relu").replace(b"[[1, 0, 0]]", b"[[7, 0, 0]]"),
        symbol_of("relu").replace(b"[[0, 0, 0]]", b"[[1, 0, 0]]"),
        symbol_of("relu").replace(b"[[0, 0, 0]]", b"[[-1, 0, 0]]"),
    ],
)
def test_damaged_symbols_are_refused_with_a_sentence(damaged: bytes) -> None:
    with pytest.raises(NotReadable, match="The symbol is"):
        read_symbol(damaged)


def parameters_of(
    shape: tuple[int, ...] = (2, 3), values: bytes = bytes(24), name: bytes = b"arg:w", **header: int
) -> bytes:
    """A parameter file of one array."""
    fields = {"magic": 0xF993FAC9, "storage": 0, "kind": 0, "count": 1} | header
    return (
        struct.pack("<QQQ", 0x112, 0, fields["count"])
        + struct.pack(f"<Iii{len(shape)}q", fields["magic"], fields["storage"], len(shape), *shape)
        + struct.pack("<iii", 1, 0, fields["kind"])
        + values
        + struct.pack("<QQ", 1, len(name))
        + name
    )


def test_a_parameter_file_is_read_as_it_was_written() -> None:
    values = np.arange(6, dtype="<f4").reshape(2, 3)
    (name, array), *others = read_parameters(parameters_of(values=values.tobytes())).items()
    assert (name, array.tolist(), others) == ("w", values.tolist(), [])


@pytest.mark.parametrize(
    "hostile",
    [
        parameters_of(count=2**63),
        parameters_of(shape=(2**40, 2**40)),
        parameters_of(shape=(-2, -3)),
        parameters_of(shape=(0,), values=b""),
        parameters_of(shape=()),
        parameters_of(magic=0xF993FAC8),
        parameters_of(storage=1),
        parameters_of(kind=1),
        parameters_of(name=b"\xff"),
        parameters_of() + b"more",
        b"\x80\x04\x95",
    ],
)
def test_hostile_parameters_are_refused_with_a_sentence(hostile: bytes) -> None:
    with pytest.raises(NotReadable, match="parameter"):
        read_parameters(hostile)


@given(st.data())
def test_parameters_cut_off_anywhere_are_refused(data: st.DataObject) -> None:
    whole = parameters_of()
    with pytest.raises(NotReadable, match="ends too early"):
        read_parameters(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(st.integers(0, len(parameters_of()) - 1), st.integers(0, 255))
def test_a_damaged_byte_is_read_or_refused_and_nothing_else(position: int, value: int) -> None:
    damaged = bytearray(parameters_of())
    damaged[position] = value
    with suppress(NotReadable):
        assert sum(array.size for array in read_parameters(bytes(damaged)).values()) <= 6


def archive_of(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def whole_archive(**replaced: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    card = json.dumps({"channels": 1, "trace_stride": 1, "model_version": "v", "calibration": {}}).encode()
    parts = {"model-symbol.json": symbol_of("relu"), "model.params": parameters_of(), "model_card.json": card}
    return [(tarfile.TarInfo(name), content) for name, content in (parts | replaced).items()]


def link_to_the_card() -> list[tuple[tarfile.TarInfo, bytes]]:
    info = tarfile.TarInfo("model_card.json")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return [(info, b"")]


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (whole_archive()[:2], "lacks model_card.json"),
        (whole_archive() * 2, "there twice"),
        (whole_archive()[:2] + link_to_the_card(), "no plain file"),
        (whole_archive(**{"model_card.json": b" " * (1 << 20) + b" "}), "too large"),
        (whole_archive(**{"model_card.json": b"{}"}), "can't be read"),
        (
            whole_archive(**{"model_card.json": b'{"channels": 99, "trace_stride": 1, "model_version": "v"}'}),
            "no model has",
        ),
    ],
)
def test_other_archives_are_refused(tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], said: str) -> None:
    with pytest.raises(NotExportable, match=said):
        onnx_export.read_archive(archive_of(tmp_path / "model.tar.gz", members))


def test_a_network_that_does_not_run_is_refused(tmp_path: Path) -> None:
    symbol = json.loads(symbol_of("elemwise_add"))
    symbol["nodes"].insert(1, {"op": "null", "name": "w", "inputs": []})
    symbol["nodes"][2]["inputs"], symbol["heads"] = [[0, 0, 0], [1, 0, 0]], [[2, 0, 0]]
    members = whole_archive(**{"model-symbol.json": json.dumps(symbol).encode()})
    with pytest.raises(NotExportable, match="onnxruntime can't run"):
        onnx_export.export(archive_of(tmp_path / "model.tar.gz", members), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_only_names_that_stay_in_the_folder_are_taken_from_an_archive(tmp_path: Path) -> None:
    strays = [
        (tarfile.TarInfo(name), b"x")
        for name in (
            "code/../evil.py",
            "/code/evil.py",
            "code/deep/evil.py",
            "code/firnline/../evil.py",
            "code/inference.py",
        )
    ]
    good = [(tarfile.TarInfo(name), b"x") for name in ("code/tracker.py", "code/firnline/geometry.py")]
    artefact = onnx_export.read_archive(archive_of(tmp_path / "model.tar.gz", whole_archive() + strays + good))
    assert list(artefact.code) == ["tracker.py", "firnline/geometry.py"]


# ------------------------------------------------------------------------------------------------ the command


def test_the_model_in_the_box_leaves_mxnet_behind(cases: Path, tmp_path: Path) -> None:
    """Given the model in the box, when it is exported, then the folder alone tracks an echogram as its README says."""
    ran = CliRunner().invoke(app, ["models", "export", "--archive", str(IN_THE_BOX), "--out", str(tmp_path / "model")])
    assert ran.exit_code == 0, ran.output
    readme = (tmp_path / "model" / "README.txt").read_text()
    assert float(re.search(r"at most (\S+) from MXNet", readme)[1]) <= 1e-4
    model = onnx.load(tmp_path / "model" / "model.onnx")
    assert {p.key: p.value for p in model.metadata_props}["model_version"] == "first"

    grey = to_grey(simulate_frame(campaigns["demo"], 5, 1, traces=200, samples=160).echogram_db)
    Image.fromarray(grey).save(tmp_path / "echogram.png")
    script = textwrap.dedent(re.search(r"    import datetime.*", readme, re.S)[0])
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, '.')\n{script}", tmp_path / "echogram.png"]
    answer = subprocess.run(command, cwd=tmp_path / "model", capture_output=True, text=True, check=True).stdout
    document = LayersDocument.model_validate_json(answer)
    assert (document.image.width, document.image.height) == (200, 160)
    assert "surface" in {layer.label for layer in document.layers}


def test_without_mxnet_it_says_that_parity_was_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "MXNET_PYTHON", tmp_path / "none" / "bin" / "python")
    onnx_export.export(IN_THE_BOX, tmp_path / "model")
    assert "parity was not checked" in (tmp_path / "model" / "README.txt").read_text()


def test_a_translation_that_differs_is_not_written(
    cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "TOLERANCE", 1e-12)
    with pytest.raises(NotExportable, match="differ from MXNet's"):
        onnx_export.export(IN_THE_BOX, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch):
    """A stack whose champion is the model in the box; parity is checked elsewhere."""
    monkeypatch.setattr(onnx_export, "MXNET_PYTHON", Path("none/bin/python"))
    with on_moto() as world:
        outputs = {"TableName": ENVIRONMENT["TABLE_NAME"], "WorkspaceBucketName": world.bucket.name}
        world.bucket.write("models/job-1/output/model.tar.gz", IN_THE_BOX.read_bytes(), "application/gzip")
        uri = world.bucket.uri("models/job-1/output/model.tar.gz")
        connection = Connection(boto3.Session(), outputs, local=False)
        connection.models.promote("job-1", None, model_name="m", model_data=uri, endpoint_config="c")
        connection.models.record("lost", model_data=world.bucket.uri("models/lost/output/model.tar.gz"))
        connection.models.record("failed", decision="failed")
        yield connection


def test_the_champion_is_exported_and_stored_beside_its_artefact(connection: Connection, tmp_path: Path) -> None:
    onnx_export.export_registered(connection, None, tmp_path, store=True)
    written = (tmp_path / "model.onnx").read_bytes()
    assert connection.workspace.read("models/job-1/output/model.onnx", len(written)) == written


def test_models_that_are_not_there_are_refused(connection: Connection, tmp_path: Path) -> None:
    for version, said in (("failed", "no model 'failed'"), ("lost", "can't be fetched")):
        with pytest.raises(NotExportable, match=said):
            onnx_export.export_registered(connection, version, tmp_path, store=False)
    assert list(tmp_path.iterdir()) == []
