"""Jobs forked from one warm process behave as if each had been started for itself."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xsim_lib.workflow import warm

ASK = [sys.executable, "-m", "xsim_lib.workflow.warm", "ask"]


@pytest.fixture(scope="module")
def server():
    """A warm process that has imported nothing yet: what it imports is not what is tested here."""
    with warm.started(modules=()):
        yield os.environ[warm.ADDRESS]


def asked(*arguments, **options):
    return subprocess.run(
        [*ASK, *arguments], capture_output=True, text=True, check=False, **options
    )


def test_a_job_writes_to_the_output_of_who_asked_and_has_its_exit_code(server):
    done = asked("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "A reproducible companion" in done.stdout
    wrong = asked("models", "--profile", "nope")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("xsim: profile: ")


def test_a_job_has_the_folder_and_the_variables_of_who_asked(server, tmp_path):
    """A folder that does not exist is the quickest thing that shows both."""
    done = asked("data", cwd=tmp_path, env={**os.environ, "XSIM_DATA": "not/there"})
    assert done.returncode == 2
    assert "XSIM_DATA: expected an existing folder" in done.stderr
    assert str(tmp_path) in done.stderr


def test_without_a_warm_process_the_job_runs_here():
    environment = {k: v for k, v in os.environ.items() if k != warm.ADDRESS}
    assert asked("models", "--profile", "nope", env=environment).returncode == 2


def test_the_warm_process_ends_with_the_build_even_if_that_is_killed(tmp_path):
    script = (
        "import os, time\nfrom xsim_lib.workflow import warm\n"
        "with warm.started(()):\n    print(os.environ['XSIM_WARM'], flush=True)\n    time.sleep(60)\n"
    )
    build = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    address = build.stdout.readline().strip()
    assert Path(address).exists()
    build.send_signal(signal.SIGKILL)
    build.wait()
    for _ in range(100):
        if not Path(address).parent.exists():  # the last thing it does
            return
        time.sleep(0.1)
    raise AssertionError("still there after ten seconds")
