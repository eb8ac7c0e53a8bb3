//! `cargo +nightly fuzz run kernel_ir`
#![no_main]

#[path = "../src/kernel_ir.rs"]
mod kernel_ir;

libfuzzer_sys::fuzz_target!(|data: &[u8]| kernel_ir::check(data));
