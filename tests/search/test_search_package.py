from __future__ import annotations

import subprocess
import sys

import pytest

import latbench.search


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, latbench.search; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_public_name_is_what_it_says_twice() -> None:
    assert latbench.search.__all__ == sorted(latbench.search._HOME)
    for _ in range(2):  # a submodule of the same name would hide the function after its import
        for name in latbench.search.__all__:
            assert getattr(latbench.search, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        latbench.search.nothing  # noqa: B018
