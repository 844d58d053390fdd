//! Link arguments of the fuzz targets: `fuzz_targets/comparisons.rs` stands in for
//! libFuzzer's functions of the same names. It leaves alone everything else.

use std::env;

/// The targets that do without libFuzzer's record of comparisons. `parse` has it: it
/// learns the words of the formats from them.
const TARGETS: [&str; 2] = ["oracle_walk", "stage2_ops"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_linux = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    if !is_linux || env::var_os("CARGO_FEATURE_LIBFUZZER").is_none() {
        return;
    }
    for target in TARGETS {
        for kind in ["cmp", "const_cmp"] {
            for bytes in [1, 2, 4, 8] {
                let name = format!("__sanitizer_cov_trace_{kind}{bytes}");
                println!("cargo::rustc-link-arg-bin={target}=-Wl,--wrap={name}");
            }
        }
    }
}
