//! What is printed. Output that cannot be written is an error for the caller where
//! it is a verdict, and no reason to stop where it is a message.
//!
//! Left out: colours, which are the command line's.

use std::io::{self, Write};

/// Prints on standard output, and hands on at once: what is held back until the
/// process ends is lost in silence where it cannot be written.
///
/// # Errors
/// What the system says; how much was written before is unknown.
pub fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// Prints a line on standard error, as far as that is possible.
pub fn tell(line: impl std::fmt::Display) {
    let text = format!("{line}\n");
    // There is nowhere left to say so.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
