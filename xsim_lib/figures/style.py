"""One style and one palette for every figure."""

from matplotlib import rc_params_from_file
from matplotlib import style as styles

from xsim_lib.evidence.paths import LIBRARY

__all__ = ["COLOURS", "GREY", "use_style"]

_FILE = LIBRARY / "figures" / "xsim.mplstyle"
_CYCLE = rc_params_from_file(_FILE, use_default_template=False)["axes.prop_cycle"]
COLOURS = tuple(_CYCLE.by_key()["color"])
"""Ten colours that colour-blind readers tell apart, also known as "C0" to "C9"."""
GREY = "#808890"  # readable on white and on black


def use_style() -> None:
    """Set the house style for every figure that follows."""
    styles.use(_FILE)
