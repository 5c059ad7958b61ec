"""The process of the local cloud: MiniStack with what it lacks, put in at its seams, on loopback only."""

import logging
import os
import shutil
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

from firnline.portal.application import make_app
from firnline.portal.identity import this_machine
from workbench.waiting import Pace, wait_until

from .context import Cloud
from .durability import Durability
from .front import Front
from .http_api import HttpApi, checked_arn, identify
from .human_review import HumanReview
from .identity import admin_credentials
from .review_tasks import LoopStore
from .sagemaker_api import SageMakerApi
from .serving import Endpoints
from .settings import ACCOUNT, REGION, Settings, record_of_access
from .store import Store
from .training import TrainingJobs
from .transform import TransformJobs
from .tuning import TuningJobs

logger = logging.getLogger("firnline")


def serve(settings: Settings) -> None:
    """Run the local cloud until SIGTERM or SIGINT; then save and return."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(settings.temporary, ignore_errors=True)  # what a killed process left
    for folder in (settings.temporary, settings.lambda_code):
        folder.mkdir(parents=True, exist_ok=True)
    admin = admin_credentials(settings.credentials_file)
    _set_environment(settings, admin.environment())
    _guard_root(admin.access_key)
    from ministack import app

    cloud = Cloud(settings, Store(settings.database), admin)
    training_jobs, transform_jobs, endpoints = TrainingJobs(cloud), TransformJobs(cloud), Endpoints(cloud)
    tuning_jobs, reviews = TuningJobs(cloud, training_jobs), HumanReview(cloud)
    sagemaker = SageMakerApi(cloud, training_jobs, transform_jobs, tuning_jobs, endpoints, reviews)
    _add_service(HttpApi(sagemaker, endpoints, reviews))
    answering = threading.Event()  # models and reviews lie in this very server's S3
    _install(settings, sagemaker, answering)

    def recover() -> None:
        training_jobs.recover()
        transform_jobs.recover()
        tuning_jobs.recover(answering)
        endpoints.recover(answering)
        reviews.start_delivery(answering)
        threading.Thread(target=_await_port, args=(settings.port, answering), daemon=True).start()

    _after(app, "_load_persisted_state", recover)
    app.app = Front(app.app, make_app(LoopStore(reviews), this_machine()))
    sys.argv = ["ministack"]
    try:
        app.main()
    finally:
        endpoints.stop_all()
        cloud.store.close()
        logger.info("stopped")


def _set_environment(settings: Settings, admin: dict[str, str]) -> None:
    """MiniStack reads its settings from the environment at import; Lambdas inherit what is left of it."""
    for name in [n for n in os.environ if n.startswith("AWS_") or n in ("PYTHONPATH", "VIRTUAL_ENV")]:
        del os.environ[name]
    os.environ.update(
        {
            **admin,
            "AWS_ENDPOINT_URL": settings.endpoint,
            "GATEWAY_PORT": str(settings.port),
            "BIND_HOST": "127.0.0.1",
            "AUTH": "true",
            "MINISTACK_REGION": REGION,
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "PERSIST_STATE": "1",
            "STATE_DIR": str(settings.snapshots),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(settings.objects),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "TMPDIR": str(settings.temporary),
            "LAMBDA_WARM_TTL_SECONDS": "120",
            "PYTHONDONTWRITEBYTECODE": "1",  # each worker is unpacked to a folder of its own: it would be kept for nobody
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "LOG_LEVEL": os.environ.get("FIRNLINE_LOG_LEVEL", "INFO"),
        }
    )


def _guard_root(admin_key: str) -> None:
    """Leave one root key, which cannot be guessed.

    MiniStack takes `test` and every account number for root, and does not check root's signature: with its open CORS
    any web page could act as root.
    """
    from ministack.core import iam_evaluator

    iam_evaluator.is_root_access_key = lambda key: key == admin_key


def _add_service(api: HttpApi) -> None:
    from ministack import app
    from ministack.core import iam_actions, responses, router

    app.SERVICE_HANDLERS["sagemaker"] = api.handle
    router.SERVICE_PATTERNS["sagemaker"] = {
        "target_prefixes": ["SageMaker."],
        "host_patterns": [r"sagemaker\."],
        "credential_scope": "sagemaker",
    }
    # MiniStack would rewrite the content type of a model's answer into the control plane's.
    responses._service_model = _except_sagemaker(responses._service_model)
    # Buckets that take requests over TLS only must take ours: what stays on loopback is as good as encrypted.
    pin_origin = app.pin_request_origin
    app.pin_request_origin = lambda address, _secure: pin_origin(address, True)
    extract_action, extract_arn = iam_actions.extract_iam_action, iam_actions.extract_resource_arn

    def action_of(service: str, method: str, path: str, headers: dict, body: bytes, query: dict) -> str | None:
        if service != "sagemaker":
            return extract_action(service, method, path, headers, body, query)
        try:
            return f"sagemaker:{identify(method, path, headers).operation}"
        except Exception:
            return "sagemaker:Unknown"  # refused by policies that grant single actions; answered as unknown else

    def arn_of(
        service: str, method: str, path: str, headers: dict, body: bytes, query: dict, region: str, account: str
    ) -> str:
        if service != "sagemaker":
            return extract_arn(service, method, path, headers, body, query, region, account)
        try:
            return checked_arn(identify(method, path, headers), body, query)
        except Exception:
            return "*"

    iam_actions.extract_iam_action, iam_actions.extract_resource_arn = action_of, arn_of


def _install(settings: Settings, sagemaker: SageMakerApi, answering: threading.Event) -> None:
    from . import (
        access,
        access_record,
        event_buses,
        http_apis,
        lambda_logs,
        lambda_runtime,
        message_moves,
        object_versions,
        retention,
        step_functions,
        user_pools,
    )

    object_versions.install()
    event_buses.install()
    retention.install()
    user_pools.install()
    http_apis.install()
    lambda_logs.install()
    step_functions.install(sagemaker)
    lambda_runtime.install(settings.lambda_code)
    durability = Durability(settings)
    durability.install(answering)
    access.install()
    if record := record_of_access():
        access_record.install(record)
    message_moves.install()
    durability.journal_moves()


def _await_port(port: int, answering: threading.Event) -> None:
    wait_until(lambda: _listens(port), None, TimeoutError, Pace.PROCESS)
    answering.set()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _except_sagemaker(lookup: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda service: None if service == "sagemaker" else lookup(service)


def _after(module: Any, name: str, follow: Callable[[], None]) -> None:
    first = getattr(module, name)

    def both() -> None:
        first()
        follow()

    setattr(module, name, both)
