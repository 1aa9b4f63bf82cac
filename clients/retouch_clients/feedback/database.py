"""Connections to the store: a SQLite file, or PostgreSQL by URL."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.engine import URL, make_url

from retouch.util import extras
from retouch_clients.feedback.errors import StoreUnavailable
from retouch_clients.feedback.tables import METADATA

BUSY_SECONDS = 5.0  # for which SQLite waits for another writer
CONNECT_SECONDS = 3
STATEMENT_MS = 5000  # of PostgreSQL
DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
# faults of one row; every other error of a database is one of the store
ROW_FAULTS = (exc.DataError, exc.IntegrityError)


def url_of(address: str) -> URL:
    """The URL of an address as users type it; ValueError for another kind of database.

    Without a scheme it is the path of a SQLite file."""
    if "://" not in address:
        if not address.strip():
            raise ValueError("the store has no name; pass a file or postgresql://…")
        return URL.create("sqlite", database=str(Path(address).expanduser().absolute()))
    try:
        url = make_url(address)
    except exc.ArgumentError:
        raise ValueError("the store's URL cannot be read; pass postgresql://…") from None
    if url.drivername == "sqlite" and url.database:
        return url_of(url.database)
    if url.drivername not in DRIVERS:
        raise ValueError(f"{url.drivername} is not supported; pass a file or postgresql://…")
    return url.set(drivername=DRIVERS[url.drivername])


class Database:
    """A store's connections, shared by threads. Nothing is connected before the first use."""

    def __init__(self, url: URL):
        self.url = url
        self.is_sqlite = url.drivername == "sqlite"
        self._engine = _sqlite(url) if self.is_sqlite else _postgres(url)
        self._has_tables = False

    @contextlib.contextmanager
    def transaction(self, reading: bool = False) -> Iterator[Connection]:
        """A transaction, committed to disk at the end of the block. StoreUnavailable.

        Errors of a row (ROW_FAULTS) are raised as they are."""
        try:
            self._make_tables()
            with self._engine.connect() as connection:
                connection = connection.execution_options(reading=reading)
                with connection.begin():
                    yield connection
        except ROW_FAULTS:
            raise
        except (exc.DBAPIError, exc.TimeoutError, OSError) as failure:
            self._has_tables = False  # the store that comes back may be an empty one
            raise StoreUnavailable(f"the store of feedback fails: {_first_line(failure)}") from None

    def overwrite_log(self) -> None:
        """Let SQLite's log no longer hold what was deleted, unless somebody reads it just now."""
        if not self.is_sqlite:
            return
        with (
            contextlib.suppress(exc.DBAPIError, sqlite3.Error),
            contextlib.closing(self._engine.raw_connection()) as connection,
        ):
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        self._engine.dispose()

    def _make_tables(self) -> None:
        if self._has_tables:
            return
        if self.is_sqlite and self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        try:
            METADATA.create_all(self._engine)
        except (exc.ProgrammingError, exc.OperationalError, exc.IntegrityError):
            METADATA.create_all(self._engine)  # another process has made them meanwhile
        self._has_tables = True


def _sqlite(url: URL) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # `begun` begins transactions
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",  # a commit survives a power failure
            "foreign_keys=ON",
            "secure_delete=ON",  # what is deleted is overwritten
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # a transaction that reads first and writes then would not wait for another writer
        reading = connection.get_execution_options().get("reading")
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _postgres(url: URL) -> Engine:
    try:
        return create_engine(
            url,
            pool_pre_ping=True,
            pool_timeout=CONNECT_SECONDS,
            connect_args={
                "connect_timeout": CONNECT_SECONDS,
                "tcp_user_timeout": 2 * STATEMENT_MS,  # of a server that answers no more
                "keepalives_idle": CONNECT_SECONDS,
                "options": f"-c statement_timeout={STATEMENT_MS}",
            },
        )
    except ModuleNotFoundError as failure:
        raise extras.MissingExtraError(
            extras.message("postgres", failure.name or "psycopg")
        ) from None


def _first_line(failure: Exception) -> str:
    """What a driver says, without the statement and its values."""
    cause = getattr(failure, "orig", None) or failure
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]
