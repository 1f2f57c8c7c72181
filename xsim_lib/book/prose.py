"""The prose of a page, taken from the notebook as it is today: editing it must not measure anything again."""

from __future__ import annotations

from copy import copy

from nbformat import NotebookNode

__all__ = ["refreshed"]


def refreshed(executed: NotebookNode, source: NotebookNode) -> NotebookNode:
    """Return an executed notebook with the prose that its source has today.

    Parameters
    ----------
    executed : what papermill left behind; its code cells keep their outputs.
    source : the notebook that was executed, whose prose may have been edited, moved or deleted since.

    Raises
    ------
    ValueError : the code cells are others: then the notebook has to be executed again.
    """
    ran = [cell for cell in executed.cells if cell.cell_type == "code"]
    own = [cell for cell in source.cells if _is_own_code(cell)]
    if [c.source for c in ran if _is_own_code(c)] != [c.source for c in own]:
        raise ValueError(
            "executed: expected the code cells of the source, got others; execute the notebook again"
        )
    # The cell that papermill has set parameters in stays beside its neighbour.
    groups: list[list[NotebookNode]] = []
    for cell in ran:
        if not groups or (_is_own_code(cell) and any(map(_is_own_code, groups[-1]))):
            groups.append([])
        groups[-1].append(cell)
    left, cells = iter(groups), []
    for cell in source.cells:
        if cell.cell_type != "code":
            cells.append(cell)
        elif _is_own_code(cell):
            cells += next(left)
    page = copy(executed)
    page.cells = cells
    return page


def _is_own_code(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", [])
