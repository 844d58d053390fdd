//! The command line: arguments in, exit code out.

#![deny(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "they panic where nothing can be written: see `qemu_runner::output`"
)]

mod colour;
mod regress;
mod replay;
mod shrink;

use clap::{Args, Parser, Subcommand};
use qemu_runner::error::Exit;
use qemu_runner::output::{print, tell};
use qemu_runner::runner::{Options, Runner};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use replay::Form;

/// Replays sequences on the host and on an emulated Arm machine, and compares.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  qemu-runner replay corpora/regressions/unmap-splits-block-4t.s2
  qemu-runner replay fuzz/artifacts/stage2_ops/crash-*
  qemu-runner replay --host-only FILE
  qemu-runner shrink fuzz/artifacts/stage2_ops/crash-1 -o corpora/regressions/NAME.s2
  qemu-runner regress
  TWOFOLD_QEMU=/opt/qemu/bin/qemu-system-aarch64 qemu-runner regress

Exit codes: 0 everything agrees, 1 something diverges, 2 wrong usage or input,
3 the surroundings failed (QEMU is missing, died, or gave no answer); 128 and more
for what a signal ends, or a pipe that nobody reads.

Environment:
  TWOFOLD_QEMU             the emulator (otherwise qemu-system-aarch64 in PATH)
  TWOFOLD_IMAGE_TOOLCHAIN  who builds the image: rustup or debian";

/// The exit code where standard output is a pipe that nobody reads any more: what a
/// shell makes of SIGPIPE.
const CLOSED_PIPE: u8 = 128 + 13;

#[derive(Subcommand)]
enum Command {
    /// Run files on host and machine and print a verdict for each
    #[command(after_help = EXAMPLES)]
    Replay {
        /// `.s2` text, or an artifact or corpus file of the fuzzer
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Print one JSON object a line for each file (schema: docs/verdict.md)
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Find the smallest sequence that diverges as a file's does
    #[command(after_help = EXAMPLES)]
    Shrink {
        #[command(flatten)]
        request: shrink::Request,
        #[command(flatten)]
        common: Common,
    },
    /// Run everything tracked under corpora/ and print a table
    #[command(after_help = EXAMPLES)]
    Regress {
        /// Another directory than the workspace's corpora/
        directory: Option<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args)]
struct Common {
    /// Leave the emulated machine out
    #[arg(long)]
    host_only: bool,
    /// Boot this ELF file instead of building the image
    #[arg(long, value_name = "ELF")]
    image: Option<PathBuf>,
    /// Give up on the emulator after so many seconds without an answer
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    timeout: Duration,
    /// Show the emulator's command line, and what was not compared and why
    #[arg(short, long)]
    verbose: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "expected a number of seconds".to_string())?;
    let is_sensible = seconds > 0.0 && seconds <= 86_400.0;
    is_sensible
        .then(|| Duration::from_secs_f64(seconds))
        .ok_or_else(|| "expected more than 0 and at most 86400 seconds".to_string())
}

impl Common {
    fn runner(self) -> Runner {
        Runner::new(Options {
            host_only: self.host_only,
            image: self.image,
            timeout: self.timeout,
            verbose: self.verbose,
        })
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    if let Err(error) = qemu_runner::children::handle_signals() {
        tell(format_args!("cannot handle signals: {error}"));
        return code(Exit::Surroundings);
    }
    run(arguments.command).map_or_else(|error| unprinted(&error), code)
}

/// Does what was asked for.
///
/// # Errors
/// What the system says where standard output cannot be written.
fn run(command: Command) -> io::Result<Exit> {
    match command {
        Command::Replay {
            files,
            json,
            common,
        } => {
            let form = match json {
                true => Form::Json,
                false => Form::Text {
                    verbose: common.verbose,
                },
            };
            replay::run(&files, form, common.runner())
        }
        Command::Shrink { request, common } => shrink::run(&request, common.runner()),
        Command::Regress { directory, common } => regress::run(directory, common.runner()),
    }
}

/// Help that was asked for, on standard output; what is wrong with the arguments, on
/// standard error.
fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        tell(error.render().to_string().trim_end());
        return code(Exit::Input);
    }
    match print(&error.render().to_string()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => unprinted(&error),
    }
}

/// The end without output: a quiet one where its reader wants no more, as in
/// `qemu-runner regress | head`.
fn unprinted(error: &io::Error) -> ExitCode {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return ExitCode::from(CLOSED_PIPE);
    }
    tell(format_args!("standard output cannot be written: {error}"));
    code(Exit::Surroundings)
}

fn code(exit: Exit) -> ExitCode {
    ExitCode::from(exit as u8)
}
