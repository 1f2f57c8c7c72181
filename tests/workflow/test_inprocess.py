"""A page that runs in this process comes out as from a kernel process, so papermill and `xsim run` agree."""

import json
import os
import re
import sys

import nbformat
import papermill
import pytest

from xsim_lib.workflow import inprocess

CELLS = (
    "import os, sys, warnings\nprint('out', x)\nprint('err', file=sys.stderr)\nos.getcwd()",
    "import matplotlib.pyplot as plt\nplt.plot([1, x])\nprint('after')",
    "fig, ax = plt.subplots()\nax.plot([1, 2])\nfig",
    "import pandas as pd\nwide = pd.DataFrame({f'a rather long name {k}': [k] for k in range(12)})\nwide",
    "wide.style.hide(axis='index').set_uuid('table')",
    "from IPython.display import HTML, clear_output, display\nprint('gone')\nclear_output()\nprint('stays')\n"
    "shown = display(HTML('first'), display_id='h')\nshown.update(HTML('second'))",
    "from tqdm import tqdm\nfor _ in tqdm(range(3), bar_format='{n_fmt}'): pass",
    # A logger keeps the stream that it found: the next page of this process must get what it says.
    "import logging\nlog = logging.getLogger('page')\nlog.handlers or log.addHandler(logging.StreamHandler())\n"
    "log.warning('loud')",
    "print('a', end='')\nsys.stdout.write('b')\n_",
    "!echo from a shell",
    "%%html\n<b>bold</b>",
    "In[2][:6], __name__, plt.rcParams['figure.dpi'], plt.isinteractive()",
    "assert False, 'stop here'",
    "print('never')",
)


def ran(folder, engine):
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("x = 1", metadata={"tags": ["parameters"]}),
            *(nbformat.v4.new_code_cell(source) for source in CELLS),
        ]
    )
    notebook.metadata["kernelspec"] = {
        "name": "python3", "display_name": "Python 3", "language": "python",
    }  # fmt: skip
    folder.mkdir(exist_ok=True)
    nbformat.write(notebook, folder / "in.ipynb")
    with pytest.raises(papermill.PapermillExecutionError) as error:
        papermill.execute_notebook(
            folder / "in.ipynb",
            folder / "out.ipynb",
            parameters={"x": 3},
            engine_name=engine,
            kernel_name="python3",
            cwd=folder,
            progress_bar=False,
        )
    return nbformat.read(folder / "out.ipynb", 4), error.value


def _comparable(cell):
    """Outputs without what differs between two kernels: addresses, process ids, where a stream was cut."""
    found = []
    for output in json.loads(json.dumps(cell.get("outputs", []))):
        if found and output.get("name", "-") == found[-1].get("name"):
            found[-1]["text"] += output["text"]
        else:
            found.append(output)
    text = json.dumps(sorted(found, key=lambda output: output.get("name", "")))
    return re.sub(r"0x[0-9a-f]+|ipykernel_\d+", "", text).replace("\\r\\n", "\\n")


def test_a_page_comes_out_as_from_a_kernel_process_also_the_second_in_a_process(tmp_path):
    kernel, failed = ran(tmp_path / "pages", None)
    for _ in range(2):
        here, error = ran(tmp_path / "pages", inprocess.ENGINE)
        for number, (one, other) in enumerate(zip(kernel.cells, here.cells, strict=True)):
            assert _comparable(other) == _comparable(one), f"cell {number}: {one.source}"
            assert other.get("execution_count") == one.get("execution_count")
        assert (error.ename, error.evalue, error.exec_count) == (
            failed.ename, failed.evalue, failed.exec_count,
        )  # fmt: skip
        assert here.metadata.language_info == kernel.metadata.language_info


def test_nothing_of_this_process_is_changed(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("IPYTHONDIR", raising=False)
    before = (
        sys.stdout, sys.stderr, sys.excepthook, sys.modules["__main__"], list(sys.path), os.getcwd(), dict(os.environ),
    )  # fmt: skip
    ran(tmp_path / "pages", inprocess.ENGINE)
    after = (
        sys.stdout, sys.stderr, sys.excepthook, sys.modules["__main__"], list(sys.path), os.getcwd(), dict(os.environ),
    )  # fmt: skip
    assert after == before
    assert not (tmp_path / "home").exists(), "IPython keeps nothing in the home of the user"
