"""What all tests share: one thread, builds outside the sources, a browser if there is one."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# Before torch or NumPy is imported: two workers with two threads each are slower than two with one.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
if "XSIM_BUILD" not in os.environ:  # `make test` names a folder that it can keep between runs
    _folder = tempfile.mkdtemp(prefix="xsim-test-")
    os.environ["XSIM_BUILD"] = _folder
    os.environ.setdefault("XSIM_CACHE", str(Path(_folder) / "cache"))

# A shared machine can be slow for a second; that is no failure.
settings.register_profile("xsim", deadline=None)
settings.load_profile("xsim")


def pytest_unconfigure(config):
    folder = globals().get("_folder")
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).parents[1]
