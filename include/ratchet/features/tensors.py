"""safetensors files mapped into memory: a page is read when it is first used, and nothing is unpickled."""

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

    safetensors itself can map a file, but returns copies to NumPy. Raises SafetensorError for any other kind of file,
    and for a dtype that NumPy does not have.
    """
    with safe_open(path, framework="np"):  # checks the header: offsets in order, without gaps, within the file
        pass
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    header.pop("__metadata__", None)
    if odd := {each["dtype"] for each in header.values()} - set(KINDS):
        raise SafetensorError(f"its tensors have the unsupported dtypes {', '.join(sorted(odd))}")
    data = np.asarray(np.memmap(path, np.uint8, "c"))[8 + size :]
    return {
        name: data[slice(*each["data_offsets"])].view(KINDS[each["dtype"]]).reshape(each["shape"])
        for name, each in header.items()
    }


def release(array: np.ndarray[Any, Any]) -> None:
    """Return the memory of a mapped file to the system (madvise MADV_DONTNEED).

    Later use reads its pages from the file again, so what was written to the array is lost. An array that is not mapped
    stays as it is.
    """
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap):
        base.madvise(MADV_DONTNEED)
