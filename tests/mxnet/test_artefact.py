import io
import json
import tarfile

import artefact
import calibration
import mxnet as mx
import network
import numpy as np
import pytest

CARD = {
    "model_version": "v",
    "channels": 2,
    "trace_stride": 2,
    "calibration": calibration.UNCALIBRATED,
    "network": "layers",
}


def archive_of(folder, members):
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def whole():
    return [(tarfile.TarInfo(name), b"{}") for name in (artefact.PARAMETERS, artefact.SYMBOL, artefact.CARD)]


def test_the_written_model_gives_what_the_network_gives(tmp_path):
    model = network.build("layers")
    arrays = {name: parameter.data() for name, parameter in model.collect_params().items()}
    artefact.write(str(tmp_path), network.inference_symbol(model), arrays, CARD)
    card, forward = artefact.load_for_serving(str(tmp_path))
    image = np.random.RandomState(0).standard_normal((1, model.channels, 48, 64)).astype(np.float32)
    assert card["model_version"] == "v"
    expected = mx.nd.sigmoid(model(mx.nd.array(image))[0]).asnumpy()
    np.testing.assert_allclose(forward(image), expected, atol=5e-5)  # an untrained network amplifies rounding
    assert forward(image[:, :, :32]).shape == (1, 3, 32, 64)


def test_two_builds_agree_on_parameter_names():
    assert list(network.build("layers").collect_params()) == list(network.build("layers").collect_params())


def test_the_reference_network_is_the_size_of_the_original():
    model = network.build("reference")
    assert sum(int(np.prod(p.shape)) for p in model.collect_params().values()) == pytest.approx(14.7e6, rel=0.01)
    outputs = model(mx.nd.zeros((1, 1, 32, 48)))
    assert [o.shape[1:] for o in outputs] == [(3, 32, 48)] * 2 + [(3, 16, 24), (3, 8, 12), (3, 4, 6), (3, 2, 3)]


def test_only_expected_members_are_unpacked(tmp_path):
    stray = [(tarfile.TarInfo(name), b"bad") for name in ("../evil", "/evil", "code/inference.py")]
    archive_of(tmp_path / "in", whole() + stray)
    (tmp_path / "out").mkdir()
    artefact.unpack(str(tmp_path / "in"), str(tmp_path / "out"))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(artefact.NEEDED)
    assert not (tmp_path / "evil").exists()


def link():
    info = tarfile.TarInfo(artefact.CARD)
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return [(info, b"")]


@pytest.mark.parametrize(
    "members",
    [
        whole()[:2],
        whole() + whole()[:1],
        whole()[:2] + link(),
        [*whole()[:2], (tarfile.TarInfo(artefact.CARD), b" " * (artefact.MAX_MEMBER_BYTES[artefact.CARD] + 1))],
    ],
)
def test_other_archives_are_refused(tmp_path, members):
    archive_of(tmp_path, members)
    with pytest.raises(artefact.ArtefactError):
        artefact.unpack(str(tmp_path), str(tmp_path))


def test_damaged_artefacts_are_refused_with_a_sentence(tmp_path):
    (tmp_path / "model.tar.gz").write_bytes(b"not an archive")
    with pytest.raises(artefact.ArtefactError, match="not a readable model archive"):
        artefact.unpack(str(tmp_path), str(tmp_path))
    (tmp_path / artefact.CARD).write_text(json.dumps({"model_version": "v"}))
    with pytest.raises(artefact.ArtefactError, match="no usable model_card"):
        artefact.read_card(str(tmp_path))
