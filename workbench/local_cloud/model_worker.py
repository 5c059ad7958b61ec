"""A running model: the artefact unpacked, and a serving process on a loopback port."""

import http.client
import secrets
import shutil
import subprocess
import threading
from pathlib import Path

from .context import Cloud
from .errors import AwsError, ModelError, ServiceUnavailable
from .identity import assume_role, drop_session
from .process_group import end_group
from .s3_paths import download_archive
from .settings import REGION, mxnet_python

LOAD_SECONDS = 180
WORKER = Path(__file__).with_name("serving_worker.py")


class ModelDidNotLoad(AwsError):
    """A container that did not pass its health check; `log` is all that it said."""

    code = "ValidationException"

    def __init__(self, message: str, log: str):
        super().__init__(message)
        self.log = log


class ModelWorker:
    """Starts in the constructor and raises ModelDidNotLoad, with the end of the log, if the model can't load.

    As on AWS, the process acts as the model's role, and an isolated one (EnableNetworkIsolation) has neither
    credentials nor an address to use them at.
    """

    def __init__(self, cloud: Cloud, model: dict, folder: Path):
        self.folder = folder / secrets.token_hex(4)
        self.folder.mkdir(parents=True)
        container = model["PrimaryContainer"]
        isolated = model.get("EnableNetworkIsolation", False)
        self._session = assume_role(model["ExecutionRoleArn"], "sagemaker.amazonaws.com", "SageMaker")
        access = {"AWS_ENDPOINT_URL": cloud.settings.endpoint, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
        access |= self._session.environment()
        try:
            self._fetch(cloud, container, isolated)
            environment = {**container.get("Environment", {}), **({} if isolated else access)}
            self._start(environment, cloud.settings.temporary)
        except BaseException:
            drop_session(self._session)
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
        drop_session(self._session)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _fetch(self, cloud: Cloud, container: dict, isolated: bool) -> None:
        s3 = cloud.client("s3", self._session)
        download_archive(s3, container["ModelDataUrl"], self.folder / "model")
        source = container.get("Environment", {}).get("SAGEMAKER_SUBMIT_DIRECTORY", "")
        if source.startswith("s3://") and not isolated:  # the container itself fetches it
            download_archive(s3, source, self.folder / "model" / "code")

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
            raise ModelDidNotLoad(
                f"The model did not load within {LOAD_SECONDS} s or its process ended. "
                f"The end of its log: {self._tail()}",
                self.log_path.read_text(errors="replace"),
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
