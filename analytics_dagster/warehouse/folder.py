"""A folder or bucket for results, with atomic writes."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analytics_dagster.errors import FolderError
from analytics_dagster.settings import Settings, variable_name
from analytics_dagster.warehouse.fsspec_errors import cause_of, remedy_of, shown


@dataclass(frozen=True)
class Folder:
    """A local folder, or any fsspec URL with its options (which may hold secrets: never print them).

    ``setting`` is the field of the settings with the URL, for errors; ``web_url`` is its address in a browser, if any.
    """

    url: str
    storage_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    setting: str = "reports_url"
    web_url: str | None = None

    def __truediv__(self, name: str) -> Folder:
        """Return a subfolder."""
        web_url = None if self.web_url is None else f"{self.web_url.rstrip('/')}/{name}"
        return Folder(f"{self.url.rstrip('/')}/{name}", self.storage_options, self.setting, web_url)

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine."""
        return "://" not in self.url or self.url.startswith("file://")

    def path(self, name: str) -> str:
        """Return the address of a file: an absolute path, or a URL."""
        return str(self._local / name) if self.is_local else f"{self.url.rstrip('/')}/{name}"

    def link(self, name: str) -> str:
        """Return the URL of a file, for a browser or for `dagster/uri`."""
        if self.web_url is not None:
            return f"{self.web_url.rstrip('/')}/{name}"
        return (self._local / name).as_uri() if self.is_local else self.path(name)

    def write(self, name: str, data: bytes) -> bool:
        """Write a file atomically, unless it has these bytes already; return whether it was written.

        A local file is renamed within the folder; an object store shows only complete objects. An object has the
        content type of its name, so that a browser shows a page instead of downloading it. Raises `FolderError`.
        """
        with self._raising_folder_error("written"):
            filesystem, root = self._open()
            try:
                if filesystem.cat_file(f"{root}/{name}") == data:
                    return False
            except FileNotFoundError:
                pass
            if self.is_local:
                _write_and_rename(self._local / name, data)
            else:
                _upload(filesystem, f"{root}/{name}", data)
        return True

    def names(self) -> set[str]:
        """Return the relative paths of all files; raises `FolderError`."""
        with self._raising_folder_error("read"):
            filesystem, root = self._open()
            return {str(path)[len(root) + 1 :] for path in filesystem.find(root)}

    def delete(self, name: str) -> None:
        """Delete a file; raises `FolderError`."""
        with self._raising_folder_error("written"):
            filesystem, root = self._open()
            filesystem.rm_file(f"{root}/{name}")

    @contextmanager
    def _raising_folder_error(self, what: str) -> Iterator[None]:
        """Raise any error as a `FolderError` with the remedy."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - each fsspec driver has its own errors
            message = f"{shown(self.url)} can't be {what}: {cause_of(error, self.url, self.storage_options)}"
            remedy = f"Give this user write permission, or set another folder with {variable_name(self.setting)}."
            raise FolderError(message, remedy=remedy if self.is_local else remedy_of(error, self.setting)) from None

    @property
    def _local(self) -> Path:
        return Path(self.url.removeprefix("file://")).expanduser().resolve()

    def _open(self) -> tuple[Any, str]:
        """Return the file system, and the path of the folder in it."""
        from fsspec.core import url_to_fs  # not needed to load the definitions

        url, options = (str(self._local), {}) if self.is_local else (self.url, dict(self.storage_options))
        filesystem, root = url_to_fs(url, use_listings_cache=False, **options)
        return filesystem, str(root).rstrip("/")


def reports_folder(settings: Settings) -> Folder:
    """Return the folder of reports."""
    return Folder(settings.reports, settings.landing_storage_options, web_url=settings.reports_web_url)


def _upload(filesystem: Any, path: str, data: bytes) -> None:
    # File systems set the content type of an uploaded file, each in its own way, but not of bytes.
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder, Path(path).name)
        local.write_bytes(data)
        filesystem.put_file(str(local), path)


def _write_and_rename(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
