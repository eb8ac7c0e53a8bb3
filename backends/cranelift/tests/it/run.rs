//! Runs one kernel in the interpreter and as machine code.

use weft_ir::loops::{Access, Array, Kernel, expand_math, interpret};
use weft_runtime::{Memory, Pool};

/// Buffers after the tasks `0 .. tasks`, from machine code on `pool`.
pub(crate) fn machine(kernel: &Kernel, args: &[Array], dims: &[i64], tasks: u64, pool: &Pool) -> Vec<Array> {
    let code = weft_cranelift::compile(kernel).unwrap();
    let mut args = args.to_vec();
    // bool is no plain-old-data type: bytes go in and out instead.
    let mut bytes: Vec<Vec<u8>> = args
        .iter()
        .map(|a| if let Array::Bool(v) = a { v.iter().map(|&b| u8::from(b)).collect() } else { Vec::new() })
        .collect();
    let mut memory = Memory::new();
    let mut regions = Vec::new();
    for ((array, bytes), buffer) in args.iter_mut().zip(&mut bytes).zip(&kernel.buffers) {
        let write = buffer.access == Access::Write;
        let id = match (array, write) {
            (Array::Bool(_), true) => memory.lend_mut(bytes),
            (Array::Bool(_), false) => memory.lend(bytes),
            (Array::I32(v), true) => memory.lend_mut(v),
            (Array::I32(v), false) => memory.lend(v),
            (Array::I64(v), true) => memory.lend_mut(v),
            (Array::I64(v), false) => memory.lend(v),
            (Array::F32(v), true) => memory.lend_mut(v),
            (Array::F32(v), false) => memory.lend(v),
            (Array::F64(v), true) => memory.lend_mut(v),
            (Array::F64(v), false) => memory.lend(v),
            (Array::Bf16(v), true) => memory.lend_mut(v),
            (Array::Bf16(v), false) => memory.lend(v),
        };
        regions.push(memory.whole(id));
    }
    pool.launch(&code, &mut memory, &regions, dims, tasks).unwrap();
    drop(memory);
    for (array, bytes) in args.iter_mut().zip(bytes) {
        if let Array::Bool(v) = array {
            assert!(bytes.iter().all(|&b| b < 2), "a stored bool is 0 or 1");
            *v = bytes.iter().map(|&b| b == 1).collect();
        }
    }
    args
}

/// Buffers after the tasks `0 .. tasks`, from the interpreter, with the backend's expansion of functions.
pub(crate) fn interpreted(kernel: &Kernel, args: &[Array], dims: &[i64], tasks: u64) -> Vec<Array> {
    let mut args = args.to_vec();
    interpret(&expand_math(kernel), &mut args, dims, 0..tasks.cast_signed(), 10_000_000).unwrap();
    args
}

/// Asserts that both give the same bits (all NaNs being one).
pub(crate) fn assert_agree(kernel: &Kernel, args: &[Array], dims: &[i64], tasks: u64, pool: &Pool) {
    let (a, b) = (interpreted(kernel, args, dims, tasks), machine(kernel, args, dims, tasks, pool));
    assert_same(kernel, &a, &b);
}

/// Asserts that two runs left the same bits in the buffers.
pub(crate) fn assert_same(kernel: &Kernel, a: &[Array], b: &[Array]) {
    for ((a, b), buffer) in a.iter().zip(b).zip(&kernel.buffers) {
        for i in 0..a.len() {
            let (x, y) = (a.get(i).unwrap(), b.get(i).unwrap());
            assert!(x.bits() == y.bits(), "{}[{i}]: {x:?} and {y:?}\n{kernel}", buffer.name);
        }
    }
}
