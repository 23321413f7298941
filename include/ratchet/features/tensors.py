"""safetensors files, mapped into memory: nothing is read before it is looked at, and nothing is ever unpickled."""

from __future__ import annotations

import json
from mmap import MADV_DONTNEED, mmap
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

KINDS = {
    "F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip


def mapped(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The tensors of a file by name. Writing to one changes this process's copy of a page, never the file.

    safetensors itself can map a file, but gives NumPy copies. Raises SafetensorError for any other kind of file.
    """
    with safe_open(path, framework="np"):  # checks the header: offsets in order, without gaps, within the file
        pass
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    header.pop("__metadata__", None)
    if odd := {each["dtype"] for each in header.values()} - set(KINDS):
        raise SafetensorError(f"it holds numbers of the kinds {', '.join(sorted(odd))}")
    data = np.asarray(np.memmap(path, np.uint8, "c"))[8 + size :]
    return {
        name: data[slice(*each["data_offsets"])].view(KINDS[each["dtype"]]).reshape(each["shape"])
        for name, each in header.items()
    }


def let_go(array: np.ndarray[Any, Any]) -> None:
    """Give the memory of a mapped file back: its pages are read again if somebody looks, and forget what was written.

    An array that is not mapped stays as it is.
    """
    holder: Any = array
    while isinstance(holder, np.ndarray):
        holder = holder.base
    if isinstance(holder, mmap):
        holder.madvise(MADV_DONTNEED)
