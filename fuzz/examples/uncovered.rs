//! Which lines of `hyp` a fuzzing campaign did not reach, and which of them nobody has
//! given a reason for. Used by `.ci/coverage`.
//!
//! `cargo run -p fuzz --example uncovered -- LCOV`: LCOV is what `llvm-cov export
//! --format=lcov` writes. Reasons stand in `corpora/uncovered.txt`, one for each block of
//! lines without a reached one between them: a file below `hyp/src`, the text of the
//! block's first line, and why fuzzing does not reach it, with ` | ` between them. A
//! reason that nothing needs any more is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const SOURCES: &str = "hyp/src";
const REASONS: &str = "corpora/uncovered.txt";

/// Lines in a row that were not reached.
struct Block {
    file: String,
    /// Number and text of the first.
    number: usize,
    text: String,
    lines: usize,
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
    let (reached, missed) = blocks(&read(lcov)?, &root)?;
    if reached == 0 {
        return Err(format!(
            "no line of {SOURCES} was reached: is this the right file?"
        ));
    }
    let explains =
        |reason: &Reason, block: &Block| reason.file == block.file && reason.text == block.text;
    let is_explained = |block: &&Block| reasons.iter().any(|reason| explains(reason, block));
    let (explained, unexplained): (Vec<_>, Vec<_>) = missed.iter().partition(is_explained);
    for block in &unexplained {
        let Block {
            file,
            number,
            text,
            lines,
        } = block;
        println!("{SOURCES}/{file}:{number}: {lines} lines not reached: {text}");
    }
    for reason in &reasons {
        if !missed.iter().any(|block| explains(reason, block)) {
            println!(
                "{REASONS}: reached this time, or gone: {}: {}",
                reason.file, reason.text
            );
        }
    }
    let count = |blocks: &[&Block]| blocks.iter().map(|block| block.lines).sum::<usize>();
    println!(
        "{reached} lines of {SOURCES} reached; {} not, with a reason; {} not, without one",
        count(&explained),
        count(&unexplained)
    );
    Ok(unexplained.is_empty())
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
fn blocks(lcov: &str, root: &Path) -> Result<(usize, Vec<Block>), String> {
    let sources = root.join(SOURCES);
    let sources = sources
        .canonicalize()
        .map_err(|error| format!("{}: {error}", sources.display()))?;
    let mut reached = 0;
    let mut missed: Vec<Block> = Vec::new();
    let mut in_block = false;
    let mut current: Option<(String, Vec<String>)> = None;
    for record in lcov.lines() {
        if let Some(path) = record.strip_prefix("SF:") {
            current = source(&PathBuf::from(path), &sources)?;
            in_block = false;
        } else if let (Some(data), Some((file, text))) = (record.strip_prefix("DA:"), &current) {
            let (number, count) = data_line(data).ok_or_else(|| format!("not lcov: {record}"))?;
            if count > 0 {
                reached += 1;
                in_block = false;
                continue;
            }
            let line = number.checked_sub(1).and_then(|index| text.get(index));
            let line = line.ok_or_else(|| format!("{file} has no line {number} any more"))?;
            match missed.last_mut().filter(|_| in_block) {
                Some(block) => block.lines += 1,
                None => missed.push(Block {
                    file: file.clone(),
                    number,
                    text: line.trim().to_owned(),
                    lines: 1,
                }),
            }
            in_block = true;
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
