"""Whether the landing zone can be read, and the places for exports and reports be written."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from analytics_dagster.cli.doctor.finding import Finding, doubt, ill, well
from analytics_dagster.errors import FolderError
from analytics_dagster.settings import Settings, variable_name
from analytics_dagster.warehouse.folder import Folder
from analytics_dagster.warehouse.fsspec_errors import cause_of, remedy_of, shown

CHECK = "places"

_LONGEST = 20.0  # seconds

T = TypeVar("T")


def check_places(settings: Settings) -> Iterator[Finding]:
    """Yield how it stands with each of the three places; the drivers' own errors are told with their first line.

    To a bucket that is to be written, a small file is written and deleted again.
    """
    options = settings.landing_storage_options
    for name, field, url in (
        ("landing zone", "landing_url", settings.landing),
        ("exports", "outbound_url", settings.outbound),
        ("reports", "reports_url", settings.reports),
    ):
        is_local = "://" not in url or url.startswith("file://")
        yield _local(name, field, Path(url.removeprefix("file://"))) if is_local else _remote(name, field, url, options)


def _local(name: str, field: str, folder: Path) -> Finding:
    if folder.is_dir():
        if os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            return well(name, f"{folder} can be read and written.")
        return ill(name, f"{folder} can't be read and written by this user.", f"Give it the rights of {folder}.")
    if folder.exists():
        return ill(name, f"{folder} is no folder.", f"Name another by {variable_name(field)}.")
    above = next(parent for parent in folder.parents if parent.exists())
    if not os.access(above, os.W_OK):
        remedy = f"Make it, or name another by {variable_name(field)}."
        return ill(name, f"{folder} is not there, and {above} can't be written.", remedy)
    if field == "landing_url":
        # Ingestion reads what others deliver: it does not make the place for it.
        return doubt(name, f"{folder} is not there: needed as soon as a source lands files.", f"mkdir -p {folder}")
    return well(name, f"{folder} is made when something is written there.")


def _remote(name: str, field: str, url: str, options: Mapping[str, Any]) -> Finding:
    try:
        entries = within(_LONGEST, lambda: _list(url, options))
    except Exception as error:  # noqa: BLE001 - each fsspec driver has errors of its own
        said = f"{shown(url)} can't be reached: {cause_of(error, url, options)}"
        return ill(name, said, remedy_of(error, field))
    if field == "landing_url":
        return well(name, f"{shown(url)} can be listed ({entries} entries).")
    return _tried(name, Folder(url, options, field))


def _tried(name: str, folder: Folder) -> Finding:
    """Return whether a file can be written, read and deleted."""
    file = f".doctor-{uuid.uuid4().hex}"
    url = shown(folder.url)
    try:
        within(_LONGEST, lambda: folder.write(file, b"A file to try whether one can be written; it can be deleted.\n"))
    except (FolderError, TimeoutError) as error:
        return ill(name, *_said(error, url, folder.setting))
    try:
        within(_LONGEST, lambda: folder.delete(file))
    except (FolderError, TimeoutError) as error:
        said, _ = _said(error, url, folder.setting)
        remedy = f"Delete {file} there; give the right to delete too, or what is old is kept for ever."
        return doubt(name, f"{url} can be written; what was written for a try stays. {said}", remedy)
    return well(name, f"{url} can be read and written.")


def _said(error: FolderError | TimeoutError, url: str, setting: str) -> tuple[str, str]:
    if isinstance(error, FolderError):
        return error.problem, error.remedy
    return f"{url} can't be written: {error}", remedy_of(error, setting)


def _list(url: str, options: Mapping[str, Any]) -> int:
    import fsspec  # a tenth of a second that local folders do not need

    filesystem, root = fsspec.core.url_to_fs(url, **options)
    try:
        return len(filesystem.ls(root, detail=False))
    except FileNotFoundError:
        # Nothing lies there yet, which in a bucket is the same as a folder that is not there.
        filesystem.ls(str(root).lstrip("/").split("/", 1)[0], detail=False)
        return 0


def within(seconds: float, action: Callable[[], T]) -> T:
    """Return what an action returns, or raise what it raises; TimeoutError if it takes longer.

    Drivers of object stores try for minutes, and take no limit that holds for all of them.
    """
    answers: list[T] = []
    errors: list[BaseException] = []

    def act() -> None:
        try:
            answers.append(action())
        except BaseException as error:  # noqa: BLE001 - raised again, by who waits
            errors.append(error)

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not answers:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return answers[0]
