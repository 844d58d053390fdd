//! libFuzzer's glue for Stage-2 sequences; everything else is in the library.

#![no_main]

mod comparisons;

use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    fuzz::mutate::bytes(data, size, max_size, seed, fuzzer_mutate)
});

fuzz_target!(|data: &[u8]| -> Corpus {
    match fuzz::target::stage2_ops(data) {
        Ok(()) => Corpus::Keep,
        Err(_) => Corpus::Reject,
    }
});
