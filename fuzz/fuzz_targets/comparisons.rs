//! Takes libFuzzer's record of comparisons out of the way.
//!
//! cargo-fuzz has every comparison reported to libFuzzer, whose byte mutators guess
//! operands from them. Sequences are mutated by structure, so nothing here needs
//! that, and it took two thirds of the time. The linker puts these functions in the
//! place of libFuzzer's (see the package's `build.rs`); edge coverage stays.

// SAFETY: nothing else has this name; called as LLVM's instrumentation calls it.
#[unsafe(no_mangle)]
extern "C" fn __wrap___sanitizer_cov_trace_cmp1(_: u8, _: u8) {}

// SAFETY: nothing else has this name; called as LLVM's instrumentation calls it.
#[unsafe(no_mangle)]
extern "C" fn __wrap___sanitizer_cov_trace_cmp2(_: u16, _: u16) {}

// SAFETY: nothing else has this name; called as LLVM's instrumentation calls it.
#[unsafe(no_mangle)]
extern "C" fn __wrap___sanitizer_cov_trace_cmp4(_: u32, _: u32) {}

// SAFETY: nothing else has this name; called as LLVM's instrumentation calls it.
#[unsafe(no_mangle)]
extern "C" fn __wrap___sanitizer_cov_trace_cmp8(_: u64, _: u64) {}

// SAFETY: nothing else has this name; called as LLVM's instrumentation calls it.
#[unsafe(no_mangle)]
extern "C" fn __wrap___sanitizer_cov_trace_const_cmp1(_: u8, _: u8) {}

// SAFETY: nothing else has this name; called as LLVM's instrumentation calls it.
#[unsafe(no_mangle)]
extern "C" fn __wrap___sanitizer_cov_trace_const_cmp2(_: u16, _: u16) {}

// SAFETY: nothing else has this name; called as LLVM's instrumentation calls it.
#[unsafe(no_mangle)]
extern "C" fn __wrap___sanitizer_cov_trace_const_cmp4(_: u32, _: u32) {}

// SAFETY: nothing else has this name; called as LLVM's instrumentation calls it.
#[unsafe(no_mangle)]
extern "C" fn __wrap___sanitizer_cov_trace_const_cmp8(_: u64, _: u64) {}
