//! `qemu-runner shrink`: the smallest sequence that diverges as a file's does.

use clap::Args;
use fuzz::{Sequence, shrink};
use qemu_runner::error::Exit;
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
pub(crate) fn run(request: &Request, mut runner: Runner) -> Exit {
    let reduced = match read(request) {
        Ok(sequence) => match shrink::divergence(&sequence, MOST_EVALUATIONS) {
            Some(reduced) => Ok((reduced.counts(&sequence), reduced.sequence)),
            None => {
                println!(
                    "{}: agrees on the host, so there is nothing to shrink",
                    request.file.display()
                );
                return Exit::Agrees;
            }
        },
        Err(what) => Err(what),
    };
    let written = reduced.and_then(|(counts, sequence)| {
        let output = request.output();
        write(&output, &sequence, request.force).map_err(|error| refused(&output, &error))?;
        Ok((counts, sequence, output))
    });
    match written {
        Ok((counts, sequence, output)) => {
            println!("{}: {counts}", request.file.display());
            let name = output.display().to_string();
            let judgement = runner.judge(&name, &sequence);
            print!("{}", report::judgement(&name, &sequence, &judgement));
            judgement.exit()
        }
        Err(what) => {
            eprintln!("{what}");
            Exit::Input
        }
    }
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
    let name = output.display();
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!("{name}: exists already; --force overwrites it, -o names another file")
        }
        _ => format!("{name}: cannot be written: {error}"),
    }
}
