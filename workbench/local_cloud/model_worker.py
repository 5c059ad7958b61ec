"""A running model: the artefact unpacked, and a serving process on a loopback port."""

import http.client
import secrets
import shutil
import subprocess
import threading
from pathlib import Path

from .context import Cloud
from .errors import ModelError, ServiceUnavailable, ValidationException
from .identity import assume_role, drop_session
from .process_group import end_group
from .s3_paths import download_archive
from .settings import mxnet_python

LOAD_SECONDS = 180
WORKER = Path(__file__).with_name("serving_worker.py")


class ModelWorker:
    """Starts in the constructor and raises ValidationException, with the end of the log, if the model can't load."""

    def __init__(self, cloud: Cloud, model: dict, folder: Path):
        self.folder = folder / secrets.token_hex(4)
        self.folder.mkdir(parents=True)
        container = model["PrimaryContainer"]
        try:
            self._fetch(cloud, model["ExecutionRoleArn"], container)
            self._start(container.get("Environment", {}), cloud.settings.temporary)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def invoke(self, body: bytes, content_type: str, accept: str, timeout: float) -> tuple[bytes, str]:
        """Answer of the model and its content type; ModelError if the model failed or took too long."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("POST", "/invocations", body, {"Content-Type": content_type, "Accept": accept})
            response = connection.getresponse()
            answer = response.read()
        except TimeoutError:
            raise self._model_error(408, f"The model gave no answer within {timeout:.0f} seconds.") from None
        except (OSError, http.client.HTTPException) as error:
            raise ServiceUnavailable(f"The model's process has ended ({error}); it is started again.") from error
        finally:
            connection.close()
        if response.status != 200:
            raise self._model_error(response.status, answer.decode(errors="replace"))
        return answer, response.headers.get("Content-Type", "application/octet-stream")

    def alive(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        end_group(self._process, 2)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _fetch(self, cloud: Cloud, role_arn: str, container: dict) -> None:
        credentials = assume_role(role_arn, "sagemaker.amazonaws.com", "SageMaker")
        try:
            s3 = cloud.client("s3", credentials)
            download_archive(s3, container["ModelDataUrl"], self.folder / "model")
            source = container.get("Environment", {}).get("SAGEMAKER_SUBMIT_DIRECTORY", "")
            if source.startswith("s3://"):
                download_archive(s3, source, self.folder / "model" / "code")
        finally:
            drop_session(credentials)

    def _start(self, environment: dict[str, str], temporary: Path) -> None:
        python, model = mxnet_python(), self.folder / "model"
        self.log_path = self.folder / "worker.log"
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [python, WORKER, "--model-dir", model],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                cwd=self.folder,
                env={
                    "PATH": f"{python.parent}:/usr/bin:/bin",
                    "HOME": str(self.folder),
                    "LANG": "C.UTF-8",
                    "PYTHONUNBUFFERED": "1",
                    "OMP_NUM_THREADS": "2",
                    "TMPDIR": str(temporary),
                    **environment,
                    "PYTHONPATH": f"{model / 'code'}",
                },
            )
        too_slow = threading.Timer(LOAD_SECONDS, self._process.kill)
        too_slow.start()
        announcement = self._process.stdout.readline() if self._process.stdout else b""
        too_slow.cancel()
        if not announcement.startswith(b"port "):
            end_group(self._process, 0)
            raise ValidationException(
                f"The model did not load within {LOAD_SECONDS} s or its process ended. "
                f"The end of its log: {self._tail()}"
            )
        self.port = int(announcement.split()[1])

    def _tail(self) -> str:
        return self.log_path.read_text(errors="replace")[-800:].strip()

    def _model_error(self, status: int, told: str) -> ModelError:
        told = told[:1000]
        return ModelError(
            f'Received server error ({status}) from primary with message "{told}". See {self.log_path}.',
            OriginalStatusCode=status,
            OriginalMessage=told,
            LogStreamArn="",
        )
