//! `cargo run -p oracle --example check_vectors -- FILE…`: asks the walker every query
//! of the given vector files.
//!
//! One line for each disagreement, and last `N passed, N failed`. Exit status 0 where
//! all agree, 1 where some do not, 2 for wrong usage or malformed input.

mod format;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if files.is_empty() {
        eprintln!("usage: check_vectors FILE...");
        return ExitCode::from(2);
    }
    let (mut passed, mut failed) = (0, 0);
    for file in &files {
        match check(file) {
            Err(sentence) => {
                eprintln!("{sentence}");
                return ExitCode::from(2);
            }
            Ok(report) => {
                for disagreement in &report.disagreements {
                    println!("{}: {disagreement}", file.display());
                }
                passed += report.passed;
                failed += report.disagreements.len();
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    ExitCode::from(u8::from(failed != 0))
}

fn check(file: &Path) -> Result<format::Report, String> {
    // A device may have no end, and a pipe no writer.
    if file.exists() && !file.is_file() {
        return Err(format!("{}: is not a regular file", file.display()));
    }
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("{}: cannot be read: {error}", file.display()))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    format::check(&name, &text)
        .map_err(|error| format!("{}:{}: {}", file.display(), error.line, error.what))
}
