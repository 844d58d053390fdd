//! libFuzzer's glue for the oracle against itself; everything else is in the library.

#![no_main]

mod comparisons;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::oracle_walk::run(data));
