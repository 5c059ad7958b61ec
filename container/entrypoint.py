"""What SageMaker starts in the image: with `train` a training job, with `serve` an endpoint or a batch transform."""

import importlib
import os
import sys


def main(command: str) -> None:
    if command == "train":
        os.execvp("train", ["train"])  # noqa: S606 the toolkit's own command, which runs the module of SAGEMAKER_TRAINING_MODULE
    if command == "serve":
        module, _, function = os.environ["SAGEMAKER_SERVING_MODULE"].partition(":")
        getattr(importlib.import_module(module), function)()
        return
    sys.exit(f"SageMaker starts this image with `train` or `serve`, not with {command!r}.")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
