"""Checks that the landing zone can be read, and that exports and reports can be written."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any, TypeVar

from analytics_dagster.cli.doctor.result import Check, CheckResult
from analytics_dagster.errors import FolderError
from analytics_dagster.settings import Settings, variable_name
from analytics_dagster.warehouse.folder import Folder
from analytics_dagster.warehouse.fsspec_errors import cause_of, remedy_of, shown

CHECK = Check("storage locations")

TIMEOUT = 20.0  # seconds
TEST_TEXT = "A test by analytics-dagster doctor; it can be deleted.\n"

T = TypeVar("T")


def check_locations(settings: Settings) -> Iterator[CheckResult]:
    """Yield the result of each location; to a bucket for exports or reports, a test file is written and deleted."""
    options = settings.landing_storage_options
    for name, field, url in (
        ("landing zone", "landing_url", settings.landing),
        ("exports", "outbound_url", settings.outbound),
        ("reports", "reports_url", settings.reports),
    ):
        check = Check(name)
        if "://" in url and not url.startswith("file://"):
            yield _remote(check, field, url, options)
        else:
            yield _local(check, field, Path(url.removeprefix("file://")))


def _local(check: Check, field: str, folder: Path) -> CheckResult:
    if folder.is_dir():
        if os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            return check.ok(f"{folder} can be read and written.")
        return check.error(f"This user can't read and write {folder}.", f"Grant rights on {folder}.")
    if folder.exists():
        return check.error(f"{folder} is not a folder.", f"Set {variable_name(field)} to another.")
    parent = next(parent for parent in folder.parents if parent.exists())
    if not os.access(parent, os.W_OK):
        remedy = f"Create it, or set {variable_name(field)} to another folder."
        return check.error(f"{folder} does not exist, and {parent} can't be written.", remedy)
    if field == "landing_url":
        # Ingestion does not create it: other systems deliver the files.
        message = f"{folder} does not exist; it is needed as soon as a dbt source declares `landing`."
        return check.warning(message, f"mkdir -p {folder}")
    return check.ok(f"{folder} is created when something is written.")


def _remote(check: Check, field: str, url: str, options: Mapping[str, Any]) -> CheckResult:
    try:
        entries = within(TIMEOUT, lambda: _count_entries(url, options))
    except Exception as error:  # noqa: BLE001 - each fsspec driver has errors of its own
        message = f"{shown(url)} can't be reached: {cause_of(error, url, options)}"
        return check.error(message, remedy_of(error, field))
    if field == "landing_url":
        return check.ok(f"{shown(url)} can be listed ({entries} entries).")
    folder, file = Folder(url, options, field), f".doctor-{uuid.uuid4().hex}"
    return check_write(
        check,
        shown(url),
        write=lambda: folder.write(file, TEST_TEXT.encode()),
        delete=lambda: folder.delete(file),
        remedy=lambda error: remedy_of(error, field),
    )


def check_write(
    check: Check,
    location: str,
    *,
    write: Callable[[], object],
    delete: Callable[[], object],
    remedy: Callable[[Exception], str],
) -> CheckResult:
    """Return whether a test file can be written and deleted; ``remedy`` returns that of an error."""

    def explain(error: Exception) -> tuple[str, str]:
        if isinstance(error, FolderError):
            return error.problem, error.remedy
        return f"{location} can't be written: {cause_of(error, '', {})}", remedy(error)

    try:
        within(TIMEOUT, write)
    except Exception as error:  # noqa: BLE001 - each driver has errors of its own
        return check.error(*explain(error))
    try:
        within(TIMEOUT, delete)
    except Exception as error:  # noqa: BLE001 - each driver has errors of its own
        message = f"{location} can be written, but the test file can't be deleted: {explain(error)[0]}"
        return check.warning(message, "Grant the right to delete; otherwise old files are kept forever.")
    return check.ok(f"{location} can be written.")


def _count_entries(url: str, options: Mapping[str, Any]) -> int:
    import fsspec  # 0.1 s that local folders do not need

    filesystem, root = fsspec.core.url_to_fs(url, **options)
    try:
        return len(filesystem.ls(root, detail=False))
    except FileNotFoundError:
        # A bucket has no folders: an empty one looks like a missing one.
        filesystem.ls(str(root).lstrip("/").split("/", 1)[0], detail=False)
        return 0


def within(seconds: float, action: Callable[[], T]) -> T:
    """Return what an action returns, or raise what it raises; `TimeoutError` if it takes longer.

    Drivers of object stores retry for minutes, and have no common setting for a timeout.
    """
    future: Future[T] = Future()

    def act() -> None:
        try:
            future.set_result(action())
        except BaseException as error:  # noqa: BLE001 - raised again by `result`
            future.set_exception(error)

    threading.Thread(target=act, daemon=True).start()
    if not wait([future], seconds).done:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return future.result()
