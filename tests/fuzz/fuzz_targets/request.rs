#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| scrip_fuzz::fuzz::request(input));
