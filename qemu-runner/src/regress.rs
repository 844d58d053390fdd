//! `qemu-runner regress`: every sequence tracked under `corpora/`, as a table. What a
//! fuzzer found on this machine is left out unless its directory is named, and so
//! are the inputs of fuzz targets that take no sequences.

use crate::colour;
use crate::replay::graver;
use qemu_runner::compare::Counts;
use qemu_runner::cpu::Cpu;
use qemu_runner::error::{Error, Exit};
use qemu_runner::output::{print, shown, tell};
use qemu_runner::runner::{Judgement, Machine, Runner};
use qemu_runner::{input, report, workspace};
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// What one file came to.
enum Row {
    Judged(Judgement),
    Unreadable(Error),
}

/// How many files came to what.
#[derive(Default)]
struct Totals {
    agree: u64,
    diverge: u64,
    not_run: u64,
    machine: Counts,
}

/// Judges every sequence below the directory, prints a line for each, the verdict
/// of each divergence, and the totals last. Where the machine takes part, it is no
/// success that it ran none of them.
///
/// # Errors
/// What the system says where standard output cannot be written.
pub(crate) fn run(directory: Option<PathBuf>, mut runner: Runner) -> io::Result<Exit> {
    let (directory, listed) = match listed(directory) {
        Ok(listed) => listed,
        Err(what) => {
            tell(what);
            return Ok(Exit::Input);
        }
    };
    let rows = judge_all(&listed.files, &directory, &mut runner)?;
    let mut totals = Totals::default();
    let exit = rows
        .values()
        .fold(Exit::Agrees, |exit, row| graver(exit, totals.add(row)));
    print(&listed.left_out())?;
    print(&totals.text())?;
    if exit == Exit::Agrees && !runner.is_host_only() && totals.machine.is_empty() {
        tell("the machine was asked, and nothing was compared on it");
        return Ok(Exit::Surroundings);
    }
    Ok(exit)
}

/// The files to judge, and how many were left out.
#[derive(Default)]
struct Listed {
    files: Vec<PathBuf>,
    finds: usize,
    of_others: usize,
}

/// Lists a directory, which is the workspace's corpora unless one is named; or says
/// why there is nothing to judge.
fn listed(named: Option<PathBuf>) -> Result<(PathBuf, Listed), String> {
    let is_named = named.is_some();
    let directory = named
        .or_else(|| Some(workspace::root()?.join("corpora")))
        .ok_or("there is no corpora/ here or upwards: name a directory")?;
    let name = shown(&directory);
    let mut listed = Listed::default();
    collect(&directory, &mut listed.files)
        .map_err(|error| format!("{name}: cannot be listed: {error}"))?;
    if !is_named {
        listed.finds = take_out(&mut listed.files, is_find);
        let is_other = |file: &Path| is_of_another_target(file, &directory);
        listed.of_others = take_out(&mut listed.files, is_other);
    }
    if listed.files.is_empty() {
        return Err(format!("{name}: holds no sequence"));
    }
    listed.files.sort();
    Ok((directory, listed))
}

impl Listed {
    /// Lines about what was left out, where something was.
    fn left_out(&self) -> String {
        let mut text = String::new();
        if self.finds > 0 {
            text += &format!(
                "{} finds of the fuzzer left out: name their directory to run them\n",
                self.finds
            );
        }
        if self.of_others > 0 {
            text += &format!(
                "{} inputs left out: their fuzz targets take no sequences\n",
                self.of_others
            );
        }
        text
    }
}

/// Whether libFuzzer has named the file: 40 hexadecimal digits.
fn is_find(file: &Path) -> bool {
    let name = file.file_name().map(|name| name.as_encoded_bytes());
    name.is_some_and(|name| name.len() == 40 && name.iter().all(u8::is_ascii_hexdigit))
}

/// Whether the file is an input of a fuzz target that takes other things than
/// sequences.
fn is_of_another_target(file: &Path, corpora: &Path) -> bool {
    let fuzz = corpora.join("fuzz");
    file.starts_with(&fuzz) && !file.starts_with(fuzz.join("stage2_ops"))
}

/// Takes files out of a list, and answers how many.
fn take_out(files: &mut Vec<PathBuf>, which: impl Fn(&Path) -> bool) -> usize {
    let listed = files.len();
    files.retain(|file| !which(file));
    listed - files.len()
}

/// Judges the files grouped by CPU model, so that each is booted once, and prints
/// each as it is done.
fn judge_all<'a>(
    files: &'a [PathBuf],
    directory: &Path,
    runner: &mut Runner,
) -> io::Result<BTreeMap<&'a Path, Row>> {
    let mut rows = BTreeMap::new();
    let mut groups: BTreeMap<Cpu, Vec<_>> = BTreeMap::new();
    for file in files {
        match input::read(file) {
            Ok(sequence) => {
                let cpu = Cpu::for_machine(&sequence.machine);
                groups
                    .entry(cpu)
                    .or_default()
                    .push((file.as_path(), sequence));
            }
            Err(error) => {
                print(&format!("input error  {error}\n"))?;
                rows.insert(file.as_path(), Row::Unreadable(error));
            }
        }
    }
    for (file, sequence) in groups.into_values().flatten() {
        let name = shown(file.strip_prefix(directory).unwrap_or(file));
        progress(rows.len(), files.len(), &name);
        let judgement = runner.judge(&shown(file), &sequence);
        progress_clear();
        match judgement.exit() {
            Exit::Diverges => {
                let report = report::judgement(&shown(file), &sequence, &judgement);
                colour::print(&report)?;
            }
            _ => print(&line(&name, &judgement))?,
        }
        rows.insert(file, Row::Judged(judgement));
    }
    Ok(rows)
}

fn line(name: &str, judgement: &Judgement) -> String {
    match &judgement.machine {
        Machine::Agrees(cpu, counts) => {
            format!(
                "agrees       {name}  ({}: {})\n",
                cpu.name(),
                report::counts(counts)
            )
        }
        Machine::CannotRun(reason) => format!("host only    {name}  ({reason})\n"),
        Machine::Failed(what, _) => format!("not run      {name}  ({what})\n"),
        Machine::NotAsked => format!("host only    {name}\n"),
        Machine::Differs(..) => format!("diverges     {name}\n"),
    }
}

impl Totals {
    fn add(&mut self, row: &Row) -> Exit {
        let judgement = match row {
            Row::Unreadable(error) => {
                self.not_run += 1;
                return error.exit();
            }
            Row::Judged(judgement) => judgement,
        };
        match (&judgement.host, &judgement.machine) {
            (Err(_), _) | (_, Machine::Differs(..)) => self.diverge += 1,
            (Ok(_), Machine::Agrees(_, counts)) => {
                self.agree += 1;
                self.machine.add(counts);
            }
            (Ok(_), Machine::CannotRun(reason)) => {
                self.not_run += 1;
                *self.machine.reasons.entry(*reason).or_default() += 1;
            }
            (Ok(_), Machine::Failed(..)) => self.not_run += 1,
            (Ok(_), Machine::NotAsked) => self.agree += 1,
        }
        judgement.exit()
    }

    fn text(&self) -> String {
        let counts = report::counts(&self.machine);
        let reasons = report::reasons(&self.machine.reasons);
        format!(
            "\ncompared on the machine: {counts}\n{reasons}{} agree, {} diverge, {} not run\n",
            self.agree, self.diverge, self.not_run
        )
    }
}

/// Files with a sequence in them: `.s2` text, and a fuzzer's seeds, whose names
/// have no extension.
fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // Links are not followed: one could lead back.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&path, files)?;
        } else if kind.is_file() && path.extension().is_none_or(|extension| extension == "s2") {
            files.push(path);
        }
    }
    Ok(())
}

fn progress(done: usize, all: usize, name: &str) {
    let mut terminal = std::io::stderr();
    if terminal.is_terminal() {
        // Losing a line of progress is no reason to stop.
        let _ = write!(terminal, "\r\x1b[K{}/{all} {name}", done + 1);
    }
}

fn progress_clear() {
    let mut terminal = std::io::stderr();
    if terminal.is_terminal() {
        let _ = write!(terminal, "\r\x1b[K");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sequences_are_taken_from_what_is_tracked() {
        let place = |file: &str| Path::new("corpora").join(file);
        let is_other = |file| is_of_another_target(&place(file), Path::new("corpora"));
        assert!(is_other("fuzz/parse/comments") && is_other("fuzz/oracle_walk/stage1-4k"));
        assert!(!is_other("fuzz/stage2_ops/a") && !is_other("regressions/fuzz.s2"));
        let mut files = ["seeds/a.s2", "fuzz/parse/b"].map(place).to_vec();
        let other = |file: &Path| is_of_another_target(file, Path::new("corpora"));
        assert_eq!(take_out(&mut files, other), 1);
        assert_eq!(files, [place("seeds/a.s2")]);
        assert!(is_find(&place(
            "fuzz/stage2_ops/0123456789abcdef0123456789abcdef01234567"
        )));
        assert!(!is_find(&place("fuzz/stage2_ops/hand-made")));
    }
}
