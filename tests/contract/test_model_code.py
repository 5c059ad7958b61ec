"""What travels to SageMaker as the model's code is whole, and is what the image there can run."""

import ast
import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import firnline
from firnline.learning import model_code
from layer_model import code_files

IN_THE_IMAGES = {"mxnet", "numpy", "scipy", "PIL", "sagemaker_inference"}
SHARED = sorted(code_files.shared_files())


def imported(path: str) -> Iterator[str]:
    """The modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(Path(path).read_text(), feature_version=(3, 8))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: SageMaker imports these modules flat"
            yield node.module or ""


def missing(files: dict[str, str]) -> list[str]:
    """What files, by the names by which they travel, import that neither they nor the image have."""
    carried = {name.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for name in files}
    return [
        f"{name} imports {module}"
        for name, path in files.items()
        for module in imported(path)
        if module not in carried
        and module.split(".")[0] not in IN_THE_IMAGES
        and (module.split(".")[0] not in sys.stdlib_module_names or module.split(".")[0] in carried)
    ]


@pytest.mark.parametrize(
    "files", [code_files.serving_files(), code_files.training_files()], ids=["serving", "training"]
)
def test_what_the_code_imports_travels_with_it(files: dict[str, str]) -> None:
    assert missing(files) == []


def test_what_serves_needs_nothing_of_training() -> None:
    assert set(code_files.serving_files()) < set(code_files.training_files())


def test_the_shared_files_need_the_standard_library_and_numpy_alone(tmp_path: Path) -> None:
    files = code_files.shared_files()
    assert missing(files) == []
    assert not [name for name in files for module in imported(files[name]) if module in IN_THE_IMAGES - {"numpy"}]
    for name, path in files.items():
        copy = tmp_path / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(Path(path).read_bytes())
    modules = [name.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for name in SHARED]
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import {', '.join(modules)}; print(firnline.__file__)"
    # -S: without the paths that make the whole library importable; NumPy's is given back.
    numpy = str(Path(np.__file__).parents[1])
    plain = code.replace("import sys;", f"import sys; sys.path.append({numpy!r});")
    ran = subprocess.run([sys.executable, "-S", "-c", plain], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(str(tmp_path))


def test_the_list_of_what_is_shared_names_what_is_there() -> None:
    folder = Path(firnline.__file__).parent
    assert [name for name in firnline.SHARED_WITH_MODEL if not (folder / name).is_file()] == []
    packages = {str(parent / "__init__.py") for name in firnline.SHARED_WITH_MODEL for parent in Path(name).parents}
    assert packages <= set(firnline.SHARED_WITH_MODEL)


def test_a_sourcedir_unpacks_to_modules_side_by_side_and_the_shared_package(tmp_path: Path) -> None:
    name, packed = model_code.pack(code_files.training_files())
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
        tar.extractall(tmp_path, filter="data")
    assert (tmp_path / "train.py").is_file()
    assert (tmp_path / "firnline" / "geometry.py").is_file()
    assert model_code.pack(code_files.training_files()) == (name, packed)
