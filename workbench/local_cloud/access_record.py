"""Writes down what was asked of IAM and which policies were there to decide it, where a file for it is named.

Each line of the file is a JSON object, of one of two kinds and written once: a policy under its hash, and a request with the
hashes of the policies that it was decided by. `workbench.policy_ablation` reads them.
"""

import hashlib
import json
import threading
from contextvars import ContextVar
from dataclasses import asdict
from pathlib import Path
from typing import Any

_inside: ContextVar[bool] = ContextVar("firnline_resource_policy", default=False)
"""Whether a resource's policy is being evaluated, which MiniStack does with the same function as a principal's."""


def install(path: Path) -> None:
    """Put it in, before MiniStack starts."""
    from ministack.core import iam_evaluator

    record = AccessRecord(path)
    evaluate, evaluate_resource_policy = iam_evaluator.evaluate, iam_evaluator.evaluate_resource_policy

    def evaluate_recorded(context: Any, policies: list, *limits: Any) -> Any:
        result = evaluate(context, policies, *limits)
        if not _inside.get():
            held = [[asdict(statement) for statement in statements] for statements in policies]
            record.note("principal", context, held, result.decision)
        return result

    def evaluate_resource_policy_recorded(
        policy: Any, context: Any, service: str | None = None, *more: Any, **named: Any
    ) -> Any:
        token = _inside.set(True)
        try:
            result = evaluate_resource_policy(policy, context, service, *more, **named)
        finally:
            _inside.reset(token)
        if policy and not more and not named:  # the others ask whom an Allow names, after this one
            document = json.loads(policy) if isinstance(policy, str) else policy
            record.note("resource", context, [document["Statement"]], result.decision, service)
        return result

    iam_evaluator.evaluate = evaluate_recorded
    iam_evaluator.evaluate_resource_policy = evaluate_resource_policy_recorded


class AccessRecord:
    """The file: what is in it already is not written again."""

    def __init__(self, path: Path):
        self._path = path
        self._lock = threading.Lock()
        self._written: set[str] = set()

    def note(
        self, kind: str, context: Any, policies: list[list[dict]], decision: str, service: str | None = None
    ) -> None:
        """One decision: `policies` are statements as MiniStack parses them for a principal, as written for a resource."""
        asked = {**asdict(context), "source_ip": ""}
        hashes = [self._policy(policy) for policy in policies]
        self._write({"request": asked, "kind": kind, "service": service, "policies": hashes, "decision": decision})

    def _policy(self, statements: list[dict]) -> str:
        digest = hashlib.sha256(json.dumps(statements, sort_keys=True).encode()).hexdigest()
        self._write({"policy": digest, "statements": statements})
        return digest

    def _write(self, entry: dict) -> None:
        line = json.dumps(entry, sort_keys=True, default=str)
        digest = hashlib.sha256(line.encode()).hexdigest()
        with self._lock:
            if digest not in self._written:
                self._written.add(digest)
                with self._path.open("a") as file:
                    file.write(line + "\n")
