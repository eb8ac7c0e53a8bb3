//! `cargo +nightly fuzz run loop_ir`
#![no_main]

#[path = "../src/loop_ir.rs"]
mod loop_ir;

libfuzzer_sys::fuzz_target!(|data: &[u8]| loop_ir::check(data));
