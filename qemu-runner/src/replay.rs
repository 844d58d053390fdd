//! `qemu-runner replay`: one verdict for each file.

use qemu_runner::error::Exit;
use qemu_runner::runner::{Machine, Runner};
use qemu_runner::{input, report};
use std::path::{Path, PathBuf};

/// Judges each file and prints what it came to. A file that cannot be read does
/// not keep the others from their verdicts.
pub(crate) fn run(files: &[PathBuf], verbose: bool, mut runner: Runner) -> Exit {
    let exits = files.iter().map(|file| replay(file, verbose, &mut runner));
    exits.fold(Exit::Agrees, graver)
}

fn replay(file: &Path, verbose: bool, runner: &mut Runner) -> Exit {
    let sequence = match input::read(file) {
        Ok(sequence) => sequence,
        Err(error) => {
            eprintln!("{error}");
            return error.exit();
        }
    };
    let name = file.display().to_string();
    let judgement = runner.judge(&name, &sequence);
    print!("{}", report::judgement(&name, &sequence, &judgement));
    if let (true, Machine::Agrees(_, counts)) = (verbose, &judgement.machine) {
        print!("{}", report::reasons(&counts.reasons));
    }
    judgement.exit()
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
