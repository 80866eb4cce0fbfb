"""The one door to the lake's Delta tables.

Types that Delta Lake lacks are turned on the way (H3 cells are uint64 here and int64 on disk), a
table written by a newer version of Clearway is refused, and every write goes through the handle
whose transaction version was just read, so that two writers cannot both commit the same step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import polars as pl
from deltalake import (
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    Schema,
    Transaction,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from clearway_core.contracts.field import Contract, DataType
from clearway_core.contracts.lake import LAKE_CONTRACTS
from clearway_core.data_dir import DataDir
from clearway_core.errors import ContractViolation, OffsetRegression, TableConflict
from clearway_core.lake_conditions import condition, partition_text, sql_literal
from clearway_core.schema import conform, polars_schema

_STATISTICS_COLUMNS = ("observed_at", "received_at", "n_legs")
"""Tables that expire keep statistics of these only: those of vehicle and position would outlive
deletion."""

_CHECKPOINT_EVERY = 20
"""Opening a table reads the log since the last checkpoint; commits grew from 8 to 57 ms in 200."""

KEEPS_LOG = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
"""What every commit of ours passes on. Left to itself the library looks at the name and age of all
earlier commits after each, and deletes those of 30 days ago: a version that passed the gate, and
that a proposal names, could not be read any more. Which tables forget, `lake_upkeep` decides."""

_NONE: Mapping[str, int] = MappingProxyType({})


def open_lake(data_dir: Path, address: str | None = None) -> Lake:
    """Return the lake at the address; without one, the lake of the data folder.

    Parameters
    ----------
    data_dir
        The installation's data folder.
    address
        ``s3://bucket/prefix`` or a folder. Credentials and endpoint come from the environment, by
        the names that every S3 client knows (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``, …).
    """
    return Lake(address or DataDir(data_dir).lake)


class Lake:
    """A folder or object-store prefix with one Delta table per contract.

    Parameters
    ----------
    root
        Local folder or ``s3://bucket/prefix``.
    storage_options
        Credentials and endpoint of an object store; none for a local folder.
    """

    def __init__(self, root: str | Path, storage_options: Mapping[str, str] | None = None) -> None:
        self._root = str(root).rstrip("/")
        self._options = dict(storage_options or {})

    def table(self, name: str) -> Table:
        """Return the table of that name.

        Raises
        ------
        KeyError
            If no contract of the lake has that name.
        """
        return Table(LAKE_CONTRACTS[name], f"{self._root}/{name}", self._options)


class Table:
    """One Delta table and its contract. Handles are cheap and stay valid across commits."""

    def __init__(self, contract: Contract, uri: str, storage_options: Mapping[str, str]) -> None:
        self.contract = contract
        self.uri = uri
        self._options = dict(storage_options)
        self._delta: DeltaTable | None = None

    @property
    def is_local(self) -> bool:
        """Whether it lies on this machine's disk and not in an object store."""
        return "://" not in self.uri

    def exists(self) -> bool:
        """Return whether anything was ever written."""
        return self.handle() is not None

    def version(self) -> int | None:
        """Return the newest version, or None if the table does not exist."""
        delta = self.handle()
        return None if delta is None else int(delta.version())

    def transaction_version(self, app_id: str) -> int | None:
        """Return the version that an application has committed last, or None."""
        delta = self.handle()
        version = None if delta is None else delta.transaction_version(app_id)
        return None if version is None else int(version)

    def scan(
        self,
        partitions: Sequence[tuple[str, str, object]] = (),
        *,
        version: int | None = None,
    ) -> pl.LazyFrame:
        """Return the rows with the contract's types; none if the table does not exist.

        Parameters
        ----------
        partitions
            Conditions on partition columns, such as ``("observed_date", ">=", "2008-05-21")`` or
            ``("vehicle_bucket", "=", 3)``; only matching files are read.
        version
            An earlier version of the table.
        """
        delta = self.handle()
        schema = polars_schema(self.contract)
        if delta is None:
            return pl.LazyFrame(schema=schema)
        if version is not None and version != delta.version():
            delta = self.handle_at(version)
        filters = [(name, operator, partition_text(value)) for name, operator, value in partitions]
        files = delta.file_uris(file_pruning_predicate=filters or None)
        if not files:
            return pl.LazyFrame(schema=schema)
        frame = pl.scan_delta(delta, use_pyarrow=False)
        for name, operator, value in partitions:
            frame = frame.filter(condition(self.contract.field(name), operator, value))
        held = frame.collect_schema()
        return frame.select(
            pl.col(name).cast(dtype) if name in held else pl.lit(None, dtype=dtype).alias(name)
            for name, dtype in schema.items()
        )

    def files(self, version: int | None = None) -> pl.DataFrame:
        """Return the files that the table consists of.

        Parameters
        ----------
        version
            An earlier version of the table.

        Returns
        -------
        polars.DataFrame
            A row per file: ``path``, the partition columns, ``written_at`` (compaction counts as
            writing), ``first_at`` and ``last_at`` of its ``observed_at`` (null where a file has no
            statistics), ``n_rows``. Times are UTC. Empty if the table does not exist.
        """
        names = self.contract.partition_by
        schema = {
            "path": pl.String(),
            **{name: polars_schema(self.contract)[name] for name in names},
            "written_at": pl.Datetime("us", "UTC"),
            "first_at": pl.Datetime("us", "UTC"),
            "last_at": pl.Datetime("us", "UTC"),
            "n_rows": pl.Int64(),
        }
        delta = self.handle() if version is None else self.handle_at(version)
        if delta is None:
            return pl.DataFrame(schema=schema)
        actions = pl.DataFrame(delta.get_add_actions(flatten=True)).with_columns(
            pl.col("modification_time").cast(pl.Datetime("ms")).dt.replace_time_zone("UTC")
        )
        held_as = (
            "path",
            *(f"partition.{name}" for name in names),
            *("modification_time", "min.observed_at", "max.observed_at", "num_records"),
        )
        return actions.select(
            (pl.col(held) if held in actions.columns else pl.lit(None)).cast(dtype).alias(name)
            for held, (name, dtype) in zip(held_as, schema.items(), strict=True)
        )

    def partition_values(self) -> pl.DataFrame:
        """Return the distinct combinations of partition values that have files."""
        return self.partition_times().drop("written_at")

    def partition_times(self) -> pl.DataFrame:
        """Return the partition values that have files, each with the time of its newest file.

        Returns
        -------
        polars.DataFrame
            The partition columns and ``written_at``; empty if the table has no partitions.
        """
        names = self.contract.partition_by
        if not names:
            return self.files().select("written_at").clear()
        return self.files().group_by(names).agg(pl.col("written_at").max()).sort(names)

    def append(
        self,
        frame: pl.DataFrame,
        *,
        transactions: Mapping[str, int] = _NONE,
        committed: Mapping[str, int | None] = _NONE,
    ) -> int:
        """Add rows in one commit and return the new version.

        Parameters
        ----------
        frame
            Rows; checked against the contract.
        transactions
            Next version per application id, committed together with the rows. Each must be above
            what the table holds.
        committed
            What the caller believes the table holds per application id (None: nothing yet). The
            rows were chosen by it, so if the table holds anything else they are not written.

        Raises
        ------
        ContractViolation
            If the frame does not conform.
        OffsetRegression
            If a transaction version is not above the committed one, or the committed one is not
            what the caller believes.
        TableConflict
            If someone else committed to the table meanwhile.
        """
        return self._write(frame, mode="append", transactions=transactions, committed=committed)

    def replace(self, frame: pl.DataFrame, where: Mapping[str, Sequence[object]]) -> int:
        """Put the rows in the place of all that match, in one commit; return the new version.

        Parameters
        ----------
        frame
            New rows; all must match `where`. May be empty.
        where
            Values per column; rows in which every named column has one of its values go. An empty
            mapping replaces the whole table.
        """
        if not self.exists():
            return self._write(frame, mode="append")
        conditions = [
            f"{name} IN ({', '.join(sql_literal(value) for value in values)})"
            for name, values in where.items()
        ]
        return self._write(frame, mode="overwrite", predicate=" AND ".join(conditions) or None)

    def handle(self) -> DeltaTable | None:
        """Return the Delta table at its newest version, or None if nothing was ever written.

        For upkeep; rows go through `scan`, `append` and `replace`.
        """
        if self._delta is not None:
            self._delta.update_incremental()
            self._refuse_newer(self._delta)
            return self._delta
        try:
            delta = DeltaTable(self.uri, storage_options=self._options or None)
        except TableNotFoundError:
            return None
        self._refuse_newer(delta)
        self._delta = delta
        return delta

    def handle_at(self, version: int) -> DeltaTable:
        """Return the Delta table as it was at a version."""
        return DeltaTable(self.uri, version=version, storage_options=self._options or None)

    def _refuse_newer(self, delta: DeltaTable) -> None:
        held = delta.metadata().name or ""
        name, _, version = held.partition("/")
        if name != self.contract.name or int(version or 0) > self.contract.version:
            message = (
                f"table {self.uri} holds {held or 'no contract'}, this version of Clearway knows "
                f"{self.contract.identifier}: upgrade Clearway, or choose another data folder"
            )
            raise TableConflict(message)

    def _write(
        self,
        frame: pl.DataFrame,
        *,
        mode: str,
        predicate: str | None = None,
        transactions: Mapping[str, int] = _NONE,
        committed: Mapping[str, int | None] = _NONE,
    ) -> int:
        rows = _to_delta(conform(frame, self.contract), self.contract)
        delta = self.handle() or self._create()
        self._add_new_columns(delta)
        rows = _with_later_columns(rows, delta)
        self._refuse_regression(delta, transactions, committed)
        properties = CommitProperties(
            app_transactions=[Transaction(app_id, v) for app_id, v in transactions.items()],
            max_commit_retries=0 if transactions else 15,
        )
        try:
            write_deltalake(
                delta,
                rows,
                mode=mode,
                predicate=predicate,
                commit_properties=properties,
                post_commithook_properties=KEEPS_LOG,
            )
        except CommitFailedError as error:
            message = (
                f"{self.contract.name}: another process changed the table during this commit "
                f"({error}); nothing of it was written. Run the command again."
            )
            raise TableConflict(message) from error
        except DeltaError as error:
            message = (
                f"{self.contract.name}: the table did not take the rows ({error}); nothing of "
                "them was written. Run the command again; if it stays, look at the disk."
            )
            raise TableConflict(message) from error
        version = int(delta.version())
        if version % _CHECKPOINT_EVERY == _CHECKPOINT_EVERY - 1:
            delta.create_checkpoint()
        return version

    def _refuse_regression(
        self,
        delta: DeltaTable,
        transactions: Mapping[str, int],
        committed: Mapping[str, int | None],
    ) -> None:
        for app_id, next_version in transactions.items():
            held = delta.transaction_version(app_id)
            believed = committed.get(app_id, held)
            if believed != held:
                message = (
                    f"{self.contract.name}: {app_id} should have committed {believed}, but the "
                    f"table holds {held}; nothing was written. Is a second process ingesting the "
                    "same partitions? Stop one and start the other again."
                )
                raise OffsetRegression(message)
            if held is not None and next_version <= held:
                message = (
                    f"{self.contract.name}: {app_id} has committed {held}, {next_version} would go "
                    "back. Is a second process ingesting the same partitions? Stop one."
                )
                raise OffsetRegression(message)

    def _add_new_columns(self, delta: DeltaTable) -> None:
        """Give an older table the nullable columns that its contract has got since."""
        held = {field.name for field in delta.schema().fields}
        if held.issuperset(self.contract.columns):
            return
        wanted = Schema.from_arrow(_empty(self.contract).to_arrow().schema)
        missing = [field for field in wanted.fields if field.name not in held]
        delta.alter.add_columns(missing, post_commithook_properties=KEEPS_LOG)
        delta.update_incremental()

    def _create(self) -> DeltaTable:
        configuration: dict[str, str | None] = {}
        if self.contract.expires:
            held = [name for name in _STATISTICS_COLUMNS if name in self.contract.columns]
            configuration["delta.dataSkippingStatsColumns"] = ",".join(held)
        if self.is_local:
            Path(self.uri).mkdir(parents=True, exist_ok=True)
        self._delta = DeltaTable.create(
            self.uri,
            schema=_empty(self.contract).to_arrow().schema,
            mode="ignore",
            name=self.contract.identifier,
            description=self.contract.description,
            partition_by=list(self.contract.partition_by) or None,
            configuration=configuration,
            storage_options=self._options or None,
        )
        return self._delta


def _empty(contract: Contract) -> pl.DataFrame:
    return _to_delta(pl.DataFrame(schema=polars_schema(contract)), contract)


def _with_later_columns(rows: pl.DataFrame, delta: DeltaTable) -> pl.DataFrame:
    """Return the rows with the columns that a newer Clearway added, empty: going back works."""
    held = {field.name for field in delta.schema().fields}
    if held.issubset(rows.columns):
        return rows
    table = pl.scan_delta(delta, use_pyarrow=False).collect_schema()
    return rows.with_columns(
        pl.lit(None, dtype=table[name]).alias(name) for name in held.difference(rows.columns)
    )


def _to_delta(frame: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    unsigned = [field.name for field in contract.fields if field.dtype is DataType.UINT64]
    try:
        return frame.with_columns(pl.col(unsigned).cast(pl.Int64))
    except pl.exceptions.PolarsError as error:
        message = f"{contract.identifier}: the lake holds whole numbers below 2**63: {error}"
        raise ContractViolation(message) from error
