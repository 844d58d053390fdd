//! `qemu-runner replay`: one verdict for each file.

use crate::colour;
use fuzz::Sequence;
use qemu_runner::error::Exit;
use qemu_runner::output::{print, shown, tell};
use qemu_runner::runner::{Judgement, Machine, Runner};
use qemu_runner::{input, json, report};
use std::io;
use std::path::{Path, PathBuf};

/// How verdicts are printed.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    /// For people.
    Text {
        /// With what was not compared, and why.
        verbose: bool,
    },
    /// One object a line.
    Json,
}

/// Judges each file and prints what it came to. A file that cannot be read does
/// not keep the others from their verdicts.
///
/// # Errors
/// What the system says where standard output cannot be written.
pub(crate) fn run(files: &[PathBuf], form: Form, mut runner: Runner) -> io::Result<Exit> {
    files.iter().try_fold(Exit::Agrees, |exit, file| {
        Ok(graver(exit, replay(file, form, &mut runner)?))
    })
}

fn replay(file: &Path, form: Form, runner: &mut Runner) -> io::Result<Exit> {
    let name = shown(file);
    // Programs get the name as it is.
    let raw_name = file.display().to_string();
    let sequence = match input::read(file) {
        Ok(sequence) => sequence,
        Err(error) => {
            tell(&error);
            if let Form::Json = form {
                print(&json::unreadable(&raw_name, &error))?;
            }
            return Ok(error.exit());
        }
    };
    let judgement = runner.judge(&name, &sequence);
    match form {
        Form::Text { verbose } => print_text(&name, &sequence, &judgement, verbose)?,
        Form::Json => print(&json::judgement(&raw_name, &judgement))?,
    }
    Ok(judgement.exit())
}

fn print_text(
    name: &str,
    sequence: &Sequence,
    judgement: &Judgement,
    verbose: bool,
) -> io::Result<()> {
    colour::print(&report::judgement(name, sequence, judgement))?;
    if let (true, Machine::Agrees(_, counts)) = (verbose, &judgement.machine) {
        print(&report::reasons(&counts.reasons))?;
    }
    Ok(())
}

/// The exit code of two things together: a divergence says more than that
/// something else could not be run, and wrong input more than failed surroundings.
pub(crate) fn graver(first: Exit, second: Exit) -> Exit {
    match (first, second) {
        (Exit::Agrees, other) | (other, Exit::Agrees) => other,
        (first, second) => first.min(second),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_divergence_outranks_everything() {
        for other in [Exit::Agrees, Exit::Input, Exit::Surroundings] {
            assert_eq!(graver(Exit::Diverges, other), Exit::Diverges);
            assert_eq!(graver(other, Exit::Diverges), Exit::Diverges);
        }
    }

    #[test]
    fn agreement_outranks_nothing() {
        assert_eq!(graver(Exit::Agrees, Exit::Surroundings), Exit::Surroundings);
        assert_eq!(graver(Exit::Surroundings, Exit::Input), Exit::Input);
    }
}
