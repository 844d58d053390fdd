//! libFuzzer's glue for hostile bytes; everything else is in the library. Comparisons
//! are reported to libFuzzer here: they tell it the words of the formats.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz::hostile::parse(data);
});
