"""What all tests share: one thread, builds outside the sources, a browser if there is one."""

import gc
import json
import os
import shlex
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from xsim_lib.workflow import warm

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


_open = ExitStack()


def pytest_configure(config):
    """Have the kernels of nbval forked from a process that has imported everything."""
    if getattr(config.option, "nbval_lax", False) and not config.option.collectonly:
        folder = Path(_open.enter_context(tempfile.TemporaryDirectory()))
        _open.enter_context(warm.started((*warm.PRELOAD, "ipykernel.kernelapp")))
        # Of the kernels alone: a test that starts a program, or a warm process of its own, finds none.
        address = os.environ.pop(warm.ADDRESS)
        _open.callback(os.environ.__setitem__, warm.ADDRESS, address)
        forked = [sys.executable, *shlex.split(warm.FORKED)[1:]]
        kernel = {
            "argv": [*forked, "kernel", "-f", "{connection_file}"],
            "env": {warm.ADDRESS: address},
            "display_name": "forked",
            "language": "python",
        }
        spec = folder / "kernels" / "forked" / "kernel.json"
        spec.parent.mkdir(parents=True)
        spec.write_text(json.dumps(kernel))
        os.environ["JUPYTER_PATH"] = str(folder)
        config.option.nbval_kernel_name = "forked"
        config.option.nbval_kernel_startup_timeout = 600  # the first one waits for the imports


# Pages that take half a minute or more at smoke: `make test-slow` executes them.
_LONG_PAGES = (
    "anc2022/paper_versus_code",
    "align2021/similarity_vs_gap",
    "emerging2020/fig5_contextual_transfer",
    "emerging2020/table1_ablations",
    "parafac2023/fig8_trees",
    "parafac2023/language_subsets",
    "parafac2023/low_resource",
    "parafac2023/recovery",
)


def pytest_collection_modifyitems(items):
    for item in items:
        if (
            item.path.suffix == ".ipynb"
            and "/".join(item.path.with_suffix("").parts[-2:]) in _LONG_PAGES
        ):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish(session):
    """What has been imported stays: no garbage collection needs to look through it again."""
    gc.freeze()


def pytest_unconfigure(config):
    _open.close()
    folder = globals().get("_folder")
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).parents[1]


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write tests/golden anew; say why in CHANGELOG.md",
    )


@pytest.fixture
def golden(pytestconfig):
    """What was written down in a file of tests/golden; with --update-golden, what is there now."""

    def written(name: str, now: str) -> str:
        path = Path(__file__).parent / "golden" / name
        if pytestconfig.getoption("--update-golden"):
            path.write_text(now, encoding="utf-8")
        return path.read_text(encoding="utf-8")

    return written


@pytest.fixture(autouse=True)
def _a_page_of_its_own():
    """A page is traced to the end of its process; a test is such a page."""
    yield
    if "xsim_lib.evidence.tracing" in sys.modules:
        from xsim_lib.evidence import tracing

        while tracing.watching():
            tracing.end()
