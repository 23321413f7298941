"""The colours of all charts, which people with colour blindness can distinguish (Okabe and Ito, 2008)."""

from __future__ import annotations

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#767676"
SERIES = [BLUE, ORANGE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", GREY, "#000000"]
"""One colour per series, for as many series as a chart can show readably."""
