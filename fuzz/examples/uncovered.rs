//! Which lines of `hyp` a fuzzing campaign did not reach, and which of them nobody has
//! given a reason for. Used by `.ci/coverage`.
//!
//! `cargo run -p fuzz --example uncovered -- LCOV`: LCOV is what `llvm-cov export
//! --format=lcov` writes. Reasons stand in `corpora/uncovered.txt`, a line each: a file
//! below `hyp/src`, the text of the source line, and why fuzzing cannot reach it, with
//! ` | ` between them. A reason that nothing needs any more is an error too.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const SOURCES: &str = "hyp/src";
const REASONS: &str = "corpora/uncovered.txt";

/// A line that was not reached.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    file: String,
    number: usize,
    text: String,
}

struct Reason {
    file: String,
    text: String,
}

fn main() -> ExitCode {
    let Some(lcov) = std::env::args_os().nth(1) else {
        eprintln!("usage: uncovered LCOV, a file that llvm-cov export --format=lcov has written");
        return ExitCode::from(2);
    };
    match report(Path::new(&lcov)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Prints what has no reason; whether there is nothing.
fn report(lcov: &Path) -> Result<bool, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let reasons = reasons(&read(&root.join(REASONS))?)?;
    let (reached, missed) = lines(&read(lcov)?, &root)?;
    if reached == 0 {
        return Err(format!(
            "no line of {SOURCES} was reached: is this the right file?"
        ));
    }
    let explains =
        |reason: &Reason, line: &Line| reason.file == line.file && reason.text == line.text;
    let unexplained: Vec<_> = missed
        .iter()
        .filter(|line| !reasons.iter().any(|reason| explains(reason, line)))
        .collect();
    let stale: Vec<_> = reasons
        .iter()
        .filter(|reason| !missed.iter().any(|line| explains(reason, line)))
        .collect();
    for line in &unexplained {
        println!(
            "{SOURCES}/{}:{}: not reached: {}",
            line.file, line.number, line.text
        );
    }
    for reason in &stale {
        println!(
            "{REASONS}: reached, or gone: {}: {}",
            reason.file, reason.text
        );
    }
    println!(
        "{reached} lines of {SOURCES} reached; {} not, of which {} without a reason",
        missed.len(),
        unexplained.len()
    );
    Ok(unexplained.is_empty() && stale.is_empty())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn reasons(text: &str) -> Result<Vec<Reason>, String> {
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut parts = line.splitn(3, " | ").map(str::to_owned);
            match (parts.next(), parts.next(), parts.next()) {
                (Some(file), Some(text), Some(_)) => Ok(Reason { file, text }),
                _ => Err(format!("{REASONS}: not FILE | LINE | REASON: {line}")),
            }
        })
        .collect()
}

/// How many lines of `hyp` were reached, and those that were not.
fn lines(lcov: &str, root: &Path) -> Result<(usize, BTreeSet<Line>), String> {
    let sources = root.join(SOURCES);
    let sources = sources
        .canonicalize()
        .map_err(|error| format!("{}: {error}", sources.display()))?;
    let mut reached = 0;
    let mut missed = BTreeSet::new();
    let mut current: Option<(String, Vec<String>)> = None;
    for record in lcov.lines() {
        if let Some(path) = record.strip_prefix("SF:") {
            current = source(&PathBuf::from(path), &sources)?;
        } else if let (Some(data), Some((file, text))) = (record.strip_prefix("DA:"), &current) {
            let (number, count) = data_line(data).ok_or_else(|| format!("not lcov: {record}"))?;
            let line = number.checked_sub(1).and_then(|index| text.get(index));
            match line {
                Some(_) if count > 0 => reached += 1,
                Some(line) => {
                    missed.insert(Line {
                        file: file.clone(),
                        number,
                        text: line.trim().to_owned(),
                    });
                }
                None => return Err(format!("{file} has no line {number}: it has changed since")),
            }
        }
    }
    Ok((reached, missed))
}

/// A file below `sources`, by its path there, and its lines.
fn source(path: &Path, sources: &Path) -> Result<Option<(String, Vec<String>)>, String> {
    let Ok(path) = path.canonicalize() else {
        return Ok(None);
    };
    let Ok(file) = path.strip_prefix(sources) else {
        return Ok(None);
    };
    let text = read(&path)?.lines().map(str::to_owned).collect();
    Ok(Some((file.display().to_string(), text)))
}

fn data_line(data: &str) -> Option<(usize, u64)> {
    let mut fields = data.split(',');
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
