"""Dagster's home: its folder, its configuration, the limit of the warehouse's pool, and who has it open."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import dagster as dg
from filelock import FileLock

from analytics_dagster.errors import HomeError
from analytics_dagster.process_identity import Liveness, Process
from analytics_dagster.settings import Settings, set_dagster_home, set_default_variable, variable_name
from analytics_dagster.warehouse import POOL

WORKSPACE = Path(__file__).with_name("workspace.yaml")
"""The workspace that the UI opens."""

CONFIGURATION = Path(__file__).with_name("dagster.yaml")
"""The configuration of a new home. Whoever changes it adds the SHA-256 of what it was to `EARLIER`."""

EARLIER = frozenset(
    {
        "cfdf8a25c02286cd3cda815e944f08387e9f8d1b50670a5058e6c8a186c1184d",
        "dd172adf0184351722d0fd343222dc027033993ffdc1289b72326f0f48013e0d",
        "991e3a470df8d11681705167fc13d10b8afe160915a313a7faa5e9d37a0803cb",
        "7b76b4b48210f0d445cfe1a0f3dbd64328cd493add1d738404c2437de1ace2e4",
        "717bd4dbbe6e6bf80345c678ab118fea12d65b043528c42753ef8197746bda3d",
    }
)
"""What the configuration was in earlier versions: where a home's is still one of these, nobody has changed it."""

_EVENT_LOG = "EVENT_LOG"
# Of a home that lay elsewhere; who keeps the logs in another place than a home's is left alone.
_BASE_DIR = re.compile(r'(?<=base_dir: )"[^"\n]*/history/runs"')
_EVENTS_AT_ONCE = "1000"


def prepare_home(settings: Settings) -> Path:
    """Make Dagster's home and its configuration where they are missing, and let Dagster find it; return its folder.

    A configuration that an earlier version has written, or this one before the home was moved, is renewed; one that
    somebody has changed, or that can't be written, is kept.
    """
    home = settings.home
    home.mkdir(parents=True, exist_ok=True)
    set_dagster_home(home)
    # The events that a run begins with, one for each asset and check, are written together.
    set_default_variable("DAGSTER_EVENT_BATCH_SIZE", _EVENTS_AT_ONCE)
    configuration = home / "dagster.yaml"
    if configuration.exists() and not os.access(home, os.W_OK):
        # It is somebody else's to configure: in a pod it is a ConfigMap.
        return home
    event_log = json.dumps(str(home / "history" / "runs"))
    # Of two processes that start in a new home at once the second fails where the first makes a table.
    with FileLock(home / "home.lock"):
        ours = CONFIGURATION.read_text(encoding="utf-8")
        if not configuration.exists() or _is_ours(configuration.read_text(encoding="utf-8"), ours):
            configuration.write_text(ours.replace(_EVENT_LOG, event_log), encoding="utf-8")
        if not (home / "history").exists():
            with dg.DagsterInstance.get() as instance:
                instance.event_log_storage.get_pool_limits()
    return home


def _is_ours(text: str, ours: str) -> bool:
    """Return whether a configuration is as this version or an earlier one writes it, wherever the home was then."""
    somewhere = _BASE_DIR.sub(_EVENT_LOG, text)
    return somewhere == ours or hashlib.sha256(somewhere.encode()).hexdigest() in EARLIER


def set_pool_limit(instance: dg.DagsterInstance, writers: int, *, replace: bool) -> None:
    """Write how many runs may use the warehouse at once, where nobody has said so yet.

    ``replace`` says that it was asked for by name, and replaces what is there.
    """
    storage = instance.event_log_storage
    known = {limit.name: limit for limit in storage.get_pool_limits()}.get(POOL)
    if known is None or known.from_default or (replace and known.limit != writers):
        storage.set_concurrency_slots(POOL, writers)


def lock_home(home: Path) -> None:
    """Record that this process opens the UI of a home, whose schedules and queue one process alone may work off.

    Raises `HomeError` that names the process which has it open already.
    """
    path = home / "dev_process"
    with FileLock(home / "home.lock"):
        other = Process.from_text(path.read_text(encoding="utf-8")) if path.exists() else None
        if other is not None and other.pid != os.getpid() and other.liveness is Liveness.ALIVE:
            raise HomeError(
                f"Dagster's home {home} is open already: `analytics-dagster dev` runs as {other}.",
                remedy=f"Use its UI, or end it first; or name another home by {variable_name('dagster_home')}.",
            )
        path.write_text(Process.current().to_text(), encoding="utf-8")
