"""The processor's prefetch instruction, for kernels that read an array in an order that no hardware predicts."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic


@intrinsic
def prefetch(_typing: Any, array: Any, index: Any) -> Any:
    """Start to load `array[index]`, counted in the flattened array, into the cache while the kernel goes on.

    Compiles to LLVM's `llvm.prefetch`: for a read, to be kept near, of data. It never faults.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        instruction = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")  # type: ignore[no-untyped-call]
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        builder.call(instruction, [address, number(0), number(3), number(1)])  # read, high locality, data
        return context.get_dummy_value()

    return types.void(array, index), generate
