"""What is installed from this repository: a gateway alone, and the wheel of the whole."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
NEVER_ON_A_GATEWAY = ("polars", "pandas", "numpy", "h3", "deltalake", "typer", "rich")
MAX_INSTALL_MB = 60
DOCKERFILES = ("Dockerfile", "edge/Dockerfile")


def copied_paths(dockerfile: str) -> list[str]:
    """Return what a Dockerfile copies from the repository."""
    text = (REPOSITORY / dockerfile).read_text(encoding="utf-8")
    lines = re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
    assert lines, f"{dockerfile} copies nothing"
    return [source for line in lines for source in line.split()[:-1]]


def copy_like(dockerfile: str, folder: Path) -> Path:
    """Copy what the Dockerfile copies, and nothing else."""
    folder.mkdir()
    for source in copied_paths(dockerfile):
        path = REPOSITORY / source
        assert path.exists(), f"{dockerfile} copies {source}, which does not exist"
        if path.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(path, folder / source, ignore=ignored)
        else:
            shutil.copy(path, folder / source)
    return folder


def run(*command: str | Path, cwd: Path) -> str:
    clean = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("CLEARWAY", "PYTHONPATH", "VIRTUAL"))
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the programs of an environment that holds what edge/Dockerfile installs."""
    folder = tmp_path_factory.mktemp("gateway")
    source = copy_like("edge/Dockerfile", folder / "source")
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    programs = folder / "venv" / "bin"
    if not can_fetch(programs, folder):
        pytest.skip("no package index can be reached from here")
    install = ("-m", "pip", "install", "--quiet", "--constraint", "constraints.txt", ".[edge]")
    run(programs / "python", *install, cwd=source)
    shutil.rmtree(source)
    return programs


def can_fetch(programs: Path, folder: Path) -> bool:
    """Return whether pip reaches an index; a fault of ours must not look like a missing network."""
    command = [
        str(programs / "python"), "-m", "pip", "download", "--quiet", "--no-deps", "--dest",
        str(folder / "probe"), "--retries", "1", "--timeout", "15", "pyserial",
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_gateway_installs_without_any_heavy_package(gateway: Path, tmp_path: Path) -> None:
    listed = run(gateway / "python", "-m", "pip", "list", "--format", "json", cwd=tmp_path)
    installed = {package["name"].lower() for package in json.loads(listed)}

    assert "clearway" in installed
    assert installed.isdisjoint({*NEVER_ON_A_GATEWAY, "pyarrow"})
    assert "replay" in run(gateway / "clearway-gateway", "--help", cwd=tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_gateway_alone_replays_a_file_and_drafts_settings(gateway: Path, tmp_path: Path) -> None:
    (tmp_path / "air.csv").write_text(
        "sensor,sensor_model,observed_at,lon_deg,lat_deg,pm2_5_cf1_a_ugm3,pm2_5_cf1_b_ugm3,"
        "pm2_5_ugm3,no2_ppb,humidity_pct,temperature_c\n"
        "a,reference,2026-01-15T07:00:00+07:00,100.6,12.9,,,31.5,,,\n"
        "a,reference,2026-01-15T07:01:00+07:00,100.6,12.9,,,30.5,,,\n"
        "a,reference,not a time,100.6,12.9,,,30.5,,,\n",
        encoding="utf-8",
    )
    program = gateway / "clearway-gateway"

    told = run(
        program, "replay", "air.csv", "--profile", "demo_city_air", "--data-dir", "d", "--json",
        cwd=tmp_path,
    )  # fmt: skip
    run(program, "init", "gw.toml", cwd=tmp_path)
    run(program, "check", "--settings", "gw.toml", cwd=tmp_path)

    account = json.loads(told)
    assert (account["read"], account["delivered"]) == (3, 2)
    assert sum(account["dropped"].values()) == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_gateway_takes_sixty_megabytes_at_most_beyond_python(gateway: Path) -> None:
    (packages,) = gateway.parent.glob("lib/python3*/site-packages")
    sizes: Counter[str] = Counter()
    for file in packages.rglob("*"):
        name = file.relative_to(packages).parts[0].split(".")[0]
        if file.is_file() and name not in {"pip", "setuptools", "_distutils_hack", "pkg_resources"}:
            sizes[name] += file.stat().st_size
    largest = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in sizes.most_common(5))
    total_mb = sum(sizes.values()) / 1e6
    print(f"{total_mb:.1f} MB; largest: {largest}")  # noqa: T201 -- the figure of the README

    assert total_mb <= MAX_INSTALL_MB, largest


def wanted_on(machine: str) -> list[str]:
    """Return what `clearway[edge]` needs on a machine, with the versions of constraints.txt."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = [Requirement(text) for text in project["optional-dependencies"]["edge"]]
    pinned = {
        canonicalize_name(line.split("==")[0]): line.split("==")[1]
        for line in (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line and not line.startswith("#")
    }
    environment = {"platform_machine": machine, "sys_platform": "linux"}
    found = [
        need for need in needs if need.marker is None or need.marker.evaluate(dict(environment))
    ]
    return [f"{need.name}=={pinned[canonicalize_name(need.name)]}" for need in found]


PIS = (("aarch64", "311"), ("aarch64", "312"), ("aarch64", "313"), ("armv7l", "311"))


@pytest.fixture(scope="module")
def wheels_for(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], list[str]]:
    """Return which wheels pip finds for each machine and Python; it mostly waits, so all at once.

    The glibc of Debian 12, which Raspberry Pi OS is made of, takes wheels up to 2.36.
    """
    folder = tmp_path_factory.mktemp("wheels")
    if not can_fetch(Path(sys.executable).parent, folder):
        pytest.skip("no package index can be reached from here")
    with ThreadPoolExecutor(len(PIS)) as pool:
        return dict(zip(PIS, pool.map(lambda pi: found_for(*pi, folder), PIS), strict=True))


def found_for(machine: str, python: str, folder: Path) -> list[str]:
    """Return the file names of the wheels that a gateway gets there."""
    platforms = [f"manylinux2014_{machine}"] + [
        f"manylinux_2_{minor}_{machine}" for minor in (17, 24, 28, 31, 34, 35, 36)
    ]
    options = [part for name in platforms for part in ("--platform", name)]
    report = folder / f"{machine}-{python}.json"
    run(
        sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed",
        "--target", folder / "nothing", "--report", report, "--only-binary=:all:",
        "--implementation", "cp", "--python-version", python, *options, *wanted_on(machine),
        cwd=folder,
    )  # fmt: skip
    parts = json.loads(report.read_text(encoding="utf-8"))["install"]
    return [part["download_info"]["url"].rpartition("/")[2] for part in parts]


@pytest.mark.slow
@pytest.mark.parametrize(("machine", "python"), PIS)
def test_every_part_of_a_gateway_has_a_wheel_for_a_pi(
    machine: str, python: str, wheels_for: dict[tuple[str, str], list[str]]
) -> None:
    wheels = wheels_for[machine, python]

    assert len(wheels) >= len(wanted_on(machine))
    assert all(f"_{machine}." in wheel or "-none-any." in wheel for wheel in wheels), wheels
    if machine == "armv7l":
        assert not any(wheel.startswith("cryptography") for wheel in wheels)


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_every_path_that_an_image_copies_exists(dockerfile: str) -> None:
    assert [s for s in copied_paths(dockerfile) if not (REPOSITORY / s).exists()] == []


@pytest.mark.slow
def test_wheel_of_the_image_holds_what_runs_beside_the_code(tmp_path: Path) -> None:
    source = copy_like("Dockerfile", tmp_path / "source")
    run(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
        "--wheel-dir", tmp_path, source,
        cwd=tmp_path,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("clearway-*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())

    for folder, pattern, place in (
        ("edge/profiles", "*.toml", "clearway_edge/profiles"),
        ("edge/clearway_edge/settings/samples", "*.toml", "clearway_edge/settings/samples"),
        ("edge/clearway_edge/page/files", "*", "clearway_edge/page/files"),
        ("dags", "*.py", "clearway_cli/dags"),
        ("cities/clearway_cities", "**/*", "clearway_cities"),
        ("serving/clearway_serving/static", "**/*", "clearway_serving/static"),
        ("models/clearway_models", "**/*.toml", "clearway_models"),
        ("transforms/clearway_transforms", "**/*.toml", "clearway_transforms"),
    ):
        base = REPOSITORY / folder
        files = [f for f in base.glob(pattern) if f.is_file() and "__pycache__" not in f.parts]
        assert files, folder
        missing = [
            f.name for f in files if f"{place}/{f.relative_to(base).as_posix()}" not in inside
        ]
        assert missing == [], folder
    assert not any("__pycache__" in name or name.startswith("tests/") for name in inside)
