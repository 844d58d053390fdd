//! Something to do when the process exits, by whichever way calls `exit`: fuzzers
//! end their process inside a function that never returns.

use std::sync::OnceLock;

static ACTION: OnceLock<fn()> = OnceLock::new();

/// Has `action` called at exit. Of several, the first.
pub(crate) fn at_exit(action: fn()) {
    if ACTION.set(action).is_ok() {
        // SAFETY: `run` is a function without arguments that never unwinds: a
        // panic in an `extern "C"` function aborts.
        let status = unsafe { libc::atexit(run) };
        assert_eq!(
            status, 0,
            "the C library has no room for a function to call at exit"
        );
    }
}

extern "C" fn run() {
    if let Some(action) = ACTION.get() {
        action();
    }
}
