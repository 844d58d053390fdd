//! `qemu-runner shrink`: the smallest sequence that diverges as a file's does.

use clap::Args;
use fuzz::{Sequence, shrink};
use qemu_runner::error::Exit;
use qemu_runner::output::{print, shown, tell};
use qemu_runner::runner::Runner;
use qemu_runner::{input, report};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Evaluations after which it ends, whatever is left to try: a minute or two.
const MOST_EVALUATIONS: u32 = 1_000_000;

/// What is to be shrunk, and where to.
#[derive(Args)]
pub(crate) struct Request {
    /// `.s2` text, or an artifact or corpus file of the fuzzer
    file: PathBuf,
    /// Write the result here [default: FILE, ending in .min.s2]
    #[arg(short, long = "output", value_name = "OUT")]
    output: Option<PathBuf>,
    /// Overwrite OUT if it exists
    #[arg(long)]
    force: bool,
}

/// Shrinks, writes, and prints the verdict of what was written.
///
/// # Errors
/// What the system says where standard output cannot be written.
pub(crate) fn run(request: &Request, mut runner: Runner) -> io::Result<Exit> {
    let written = match shrunk(request) {
        Ok(written) => written,
        Err(what) => {
            tell(what);
            return Ok(Exit::Input);
        }
    };
    let file = shown(&request.file);
    let Some((counts, sequence)) = written else {
        print(&format!(
            "{file}: agrees on the host, so there is nothing to shrink\n"
        ))?;
        return Ok(Exit::Agrees);
    };
    print(&format!("{file}: {counts}\n"))?;
    let name = shown(&request.output());
    let judgement = runner.judge(&name, &sequence);
    print(&report::judgement(&name, &sequence, &judgement))?;
    Ok(judgement.exit())
}

/// The sequence that was found and written, with what it took; `None` where there is
/// nothing to shrink.
fn shrunk(request: &Request) -> Result<Option<(String, Sequence)>, String> {
    let sequence = read(request)?;
    let Some(reduced) = shrink::divergence(&sequence, MOST_EVALUATIONS) else {
        return Ok(None);
    };
    let output = request.output();
    write(&output, &reduced.sequence, request.force).map_err(|error| refused(&output, &error))?;
    Ok(Some((reduced.counts(&sequence), reduced.sequence)))
}

impl Request {
    fn output(&self) -> PathBuf {
        let beside = || self.file.with_extension("min.s2");
        self.output.clone().unwrap_or_else(beside)
    }
}

/// Reads the file, if the result will have a place.
fn read(request: &Request) -> Result<Sequence, String> {
    let output = request.output();
    if !request.force && output.symlink_metadata().is_ok() {
        return Err(refused(&output, &io::ErrorKind::AlreadyExists.into()));
    }
    input::read(&request.file).map_err(|error| error.to_string())
}

fn write(output: &Path, sequence: &Sequence, force: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    options
        .open(output)?
        .write_all(sequence.to_string().as_bytes())
}

fn refused(output: &Path, error: &io::Error) -> String {
    let name = shown(output);
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!("{name}: exists already; --force overwrites it, -o names another file")
        }
        _ => format!("{name}: cannot be written: {error}"),
    }
}
