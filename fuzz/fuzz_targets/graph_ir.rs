//! `cargo +nightly fuzz run graph_ir`
#![no_main]

#[path = "../src/graph_ir.rs"]
mod graph_ir;

libfuzzer_sys::fuzz_target!(|data: &[u8]| graph_ir::check(data));
