"""The durable records of the SageMaker and A2I parts: one SQLite file, written through to disk."""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS resources (
    kind TEXT NOT NULL, name TEXT NOT NULL, created REAL NOT NULL, document TEXT NOT NULL, PRIMARY KEY (kind, name));
CREATE TABLE IF NOT EXISTS tags (arn TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (arn, key));
CREATE TABLE IF NOT EXISTS loops (
    name TEXT PRIMARY KEY, arn TEXT NOT NULL, flow_arn TEXT NOT NULL, input TEXT NOT NULL, created REAL NOT NULL,
    status TEXT NOT NULL, failure_code TEXT, failure_reason TEXT, answer TEXT, submitted REAL, output_uri TEXT,
    announced REAL);
"""


class Store:
    """Records of one kind are JSON documents under a name; every write is on disk before it returns."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def add(self, kind: str, name: str, document: dict) -> bool:
        """Record a new resource; False if the name is taken."""
        with self.transaction() as db:
            return (
                db.execute(
                    "INSERT OR IGNORE INTO resources VALUES (?, ?, ?, ?)",
                    (kind, name, time.time(), json.dumps(document)),
                ).rowcount
                == 1
            )

    def get(self, kind: str, name: str) -> dict | None:
        found = self.rows("SELECT document FROM resources WHERE kind = ? AND name = ?", kind, name)
        return json.loads(found[0]["document"]) if found else None

    def change(self, kind: str, name: str, changed: dict | Callable[[dict], dict | None]) -> dict | None:
        """Merge `changed` (or what it returns for the present document) into a record; None if there is none."""
        with self.transaction() as db:
            found = db.execute("SELECT document FROM resources WHERE kind = ? AND name = ?", (kind, name)).fetchone()
            if found is None:
                return None
            document = json.loads(found["document"])
            update = changed(document) if callable(changed) else changed
            document.update(update or {})
            db.execute(
                "UPDATE resources SET document = ? WHERE kind = ? AND name = ?", (json.dumps(document), kind, name)
            )
            return document

    def remove(self, kind: str, name: str) -> bool:
        with self.transaction() as db:
            return db.execute("DELETE FROM resources WHERE kind = ? AND name = ?", (kind, name)).rowcount == 1

    def all(self, kind: str) -> list[dict]:
        return [
            json.loads(row["document"])
            for row in self.rows("SELECT document FROM resources WHERE kind = ? ORDER BY created", kind)
        ]

    def close(self) -> None:
        with self._lock:
            self._db.close()
