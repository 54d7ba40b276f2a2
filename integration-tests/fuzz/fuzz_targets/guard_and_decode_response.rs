//! `guard_and_decode_response` of the protocol crate's fuzz targets.
#![no_main]

#[path = "../../../client/protocol/tests/targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::guard_and_decode_response(data));
