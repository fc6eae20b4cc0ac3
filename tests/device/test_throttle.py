"""Against a copy of /sys/devices/system/cpu in a folder, written as Linux writes it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from latbench.device import ThrottleWatch
from latbench.device.cpu import SYSFS, clocks_mhz, cpu_profile, governor, turbo, usable_cpus

CPUS = range(4)  # two cores with two threads each, in one package


def write(root: Path, **files: object) -> None:
    for name, value in files.items():
        for n in CPUS:
            path = root / f"cpu{n}" / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(CPUS), raising=False)
    write(
        tmp_path,
        topology__physical_package_id=0,
        thermal_throttle__core_throttle_count=7,
        thermal_throttle__package_throttle_count=5,
        thermal_throttle__package_power_limit_count=0,
        cpufreq__scaling_cur_freq=3_000_000,
        cpufreq__scaling_max_freq=3_500_000,
        cpufreq__cpuinfo_max_freq=3_500_000,
        cpufreq__cpuinfo_min_freq=800_000,
        cpufreq__base_frequency=2_800_000,
        cpufreq__scaling_governor="performance",
    )
    for n in CPUS:
        (tmp_path / f"cpu{n}/topology/thread_siblings_list").write_text(f"{n % 2},{n % 2 + 2}\n")
    return tmp_path


def test_old_events_are_not_reported(root: Path) -> None:
    watch = ThrottleWatch(root=root)
    assert watch.sources == ("thermal_throttle", "cpufreq")
    assert watch.reasons() == []


def test_new_events_are_reported_once(root: Path) -> None:
    watch = ThrottleWatch(root=root)
    (root / "cpu1/thermal_throttle/core_throttle_count").write_text("8\n")
    assert watch.reasons() == ["CPU: thermal throttling of a core"]
    assert watch.reasons() == []
    write(root, thermal_throttle__package_throttle_count=6)
    write(root, thermal_throttle__package_power_limit_count=1)
    assert watch.reasons() == [
        "CPU: thermal throttling of the package",
        "CPU: package power limit",
    ]


def test_a_low_clock_is_reported_while_it_lasts(root: Path) -> None:
    watch = ThrottleWatch(root=root)
    write(root, cpufreq__scaling_cur_freq=1_200_000)
    for _ in range(2):
        assert watch.reasons() == ["CPU: at 1200 of 2800 MHz"]
    write(root, cpufreq__scaling_cur_freq=2_200_000)  # a lower turbo step or less is nothing
    assert watch.reasons() == []


def test_idle_cpus_do_not_count_beside_a_busy_one(root: Path) -> None:
    watch = ThrottleWatch(root=root)
    write(root, cpufreq__scaling_cur_freq=800_000)
    (root / "cpu3/cpufreq/scaling_cur_freq").write_text("3400000\n")
    assert watch.reasons() == []


def test_a_cpu_that_waits_for_a_gpu_may_clock_down(root: Path) -> None:
    write(root, cpufreq__scaling_cur_freq=800_000)
    watch = ThrottleWatch(cuda_device=0, root=root)
    assert "cpufreq" not in watch.sources
    write(root, thermal_throttle__package_throttle_count=6)
    assert "CPU: thermal throttling of the package" in watch.reasons()
    assert not [reason for reason in watch.reasons() if "MHz" in reason]


def test_clocks_that_the_operator_chose_are_no_throttling(root: Path) -> None:
    write(root, cpufreq__scaling_max_freq=1_500_000, cpufreq__scaling_cur_freq=1_500_000)
    assert ThrottleWatch(root=root).reasons() == []


def test_a_limit_that_falls_during_the_run_is(root: Path) -> None:
    watch = ThrottleWatch(root=root)
    write(root, cpufreq__scaling_max_freq=1_500_000, cpufreq__scaling_cur_freq=1_500_000)
    assert watch.reasons() == ["CPU: at 1500 of 2800 MHz"]


def test_without_a_base_clock_the_highest_is_the_reference(root: Path) -> None:
    for n in CPUS:
        (root / f"cpu{n}/cpufreq/base_frequency").unlink()
    write(root, cpufreq__scaling_cur_freq=2_500_000)
    assert ThrottleWatch(root=root).reasons() == ["CPU: at 2500 of 3500 MHz"]


def test_a_machine_that_tells_nothing_has_no_sources(tmp_path: Path) -> None:
    watch = ThrottleWatch(root=tmp_path)
    assert watch.sources == ()
    assert watch.reasons() == []


@pytest.mark.parametrize("text", ["", "not a number", "<unknown>"])
def test_files_that_make_no_sense_are_ignored(root: Path, text: str) -> None:
    watch = ThrottleWatch(root=root)
    write(root, thermal_throttle__core_throttle_count=text, cpufreq__scaling_cur_freq=text)
    assert watch.reasons() == []


def test_files_that_vanish_are_ignored(root: Path) -> None:
    watch = ThrottleWatch(root=root)
    for n in CPUS:
        (root / f"cpu{n}/thermal_throttle/core_throttle_count").unlink()
        (root / f"cpu{n}/cpufreq/scaling_cur_freq").unlink()
    assert watch.reasons() == []


def test_cores_and_packages_are_read_once(root: Path) -> None:
    """Two threads of a core show the same counter; on 128 CPUs each file counts."""
    watch = ThrottleWatch(root=root)
    counts = {message: len(files) for message, files in watch._counters.items()}
    assert counts == {
        "CPU: thermal throttling of a core": 2,
        "CPU: thermal throttling of the package": 1,
        "CPU: package power limit": 1,
    }


def test_asking_is_cheap(root: Path) -> None:
    watch = ThrottleWatch(root=root)
    fastest = 1.0
    for _ in range(50):
        start = time.perf_counter()
        watch.reasons()
        fastest = min(fastest, time.perf_counter() - start)
    assert fastest < 1e-3


def test_the_profile_of_the_cpu(root: Path) -> None:
    assert governor(root) == "performance"
    assert clocks_mhz(root) == {"min": 800, "max": 3500, "base": 2800, "limit": 3500}
    profile = cpu_profile(root)
    assert profile["cpu_clock_mhz"]["base"] == 2800
    assert profile["cores"] == len(CPUS)


def test_several_governors_are_all_named(root: Path) -> None:
    (root / "cpu2/cpufreq/scaling_governor").write_text("powersave\n")
    assert governor(root) == "performance/powersave"


@pytest.mark.parametrize(
    ("file", "value", "expected"),
    [
        ("intel_pstate/no_turbo", 0, "on"),
        ("intel_pstate/no_turbo", 1, "off"),
        ("cpufreq/boost", 1, "on"),
        ("cpufreq/boost", 0, "off"),
    ],
)
def test_turbo(root: Path, file: str, value: int, expected: str) -> None:
    assert turbo(root) == "unknown"
    (root / file).parent.mkdir()
    (root / file).write_text(f"{value}\n")
    assert turbo(root) == expected


def test_this_machine_answers() -> None:
    watch = ThrottleWatch()
    assert all(isinstance(reason, str) for reason in watch.reasons())
    assert usable_cpus()
    assert SYSFS.is_absolute()
