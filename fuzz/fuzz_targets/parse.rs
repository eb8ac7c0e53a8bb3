//! `cargo +nightly fuzz run parse`: arbitrary bytes through the parser, the formatter and the rendering of messages.
#![no_main]

#[path = "../src/parse.rs"]
mod parse;

libfuzzer_sys::fuzz_target!(|data: &[u8]| parse::check(data));
