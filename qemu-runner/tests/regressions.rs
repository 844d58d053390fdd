//! Every regression on the emulated machine: it agrees with the host and the
//! walker, and its tables, read out of the machine's RAM, are the snapshot that
//! the host's tables have.

use fuzz::host::Engine;
use fuzz::lockstep::Lockstep;
use fuzz::{Sequence, dump};
use qemu_runner::cpu::{self, Cpu};
use qemu_runner::host::{self, Emulated};
use qemu_runner::image::Image;
use qemu_runner::machine::Boot;
use qemu_runner::plan::{self, Reason};
use qemu_runner::qemu::Qemu;
use qemu_runner::{build, deviations, input, witness, workspace};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// As many as there must be at least on the machine: fewer were lost.
const AT_LEAST: usize = 110;

const TIMEOUT: Duration = Duration::from_secs(60);

fn directory() -> PathBuf {
    workspace::root()
        .expect("tests run in the workspace")
        .join("corpora/regressions")
}

/// The regressions that the machine can run, by CPU model.
fn regressions() -> BTreeMap<Cpu, Vec<(String, Sequence)>> {
    let mut groups: BTreeMap<Cpu, Vec<_>> = BTreeMap::new();
    for entry in directory().read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "s2") {
            continue;
        }
        let sequence = input::read(&path).unwrap();
        match plan::not_runnable(&sequence.machine) {
            None => groups
                .entry(Cpu::for_machine(&sequence.machine))
                .or_default()
                .push((name(&path), sequence)),
            Some(reason) => println!("{}: {reason}", name(&path)),
        }
    }
    groups
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

#[test]
fn machine_agrees_and_has_the_hosts_snapshot() {
    let qemu = Qemu::find(TIMEOUT).unwrap();
    let image = Image::open(&build::image().unwrap()).unwrap();
    let groups = regressions();
    let count: usize = groups.values().map(Vec::len).sum();
    assert!(
        count >= AT_LEAST,
        "only {count} regressions in {}",
        directory().display()
    );
    let mut failures = Vec::new();
    for (cpu, group) in groups {
        let mut boot = Boot::start(&qemu, &image, cpu).unwrap();
        // Once more backwards: what a sequence leaves must not reach the next.
        for (name, sequence) in group.iter().chain(group.iter().rev()) {
            if let Err(failure) = replay(&mut boot, &qemu, name, sequence) {
                failures.push(format!("{name} on {}: {failure}", cpu.name()));
                boot = Boot::start(&qemu, &image, cpu).unwrap();
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {count}:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn replay(boot: &mut Boot, qemu: &Qemu, name: &str, sequence: &Sequence) -> Result<(), String> {
    let mut lockstep = Lockstep::new();
    let run = lockstep
        .run(sequence)
        .map_err(|verdict| verdict.to_string())?;
    if let Some(feature) = cpu::missing(&sequence.machine, boot.description()) {
        println!("{name}: {}", Reason::Lacks(feature));
        return Ok(());
    }
    let mut engine = Engine::new();
    let emulated = Emulated {
        description: boot.description(),
        version: qemu.version,
    };
    let host = host::run(&mut engine, sequence, emulated);
    if let Some(deviation) = deviations::of_run(&host.events, qemu.version) {
        println!("{name}: {}", Reason::Refused(deviation.name));
        return Ok(());
    }
    let witnessed = witness::witness(&engine, &host, boot, sequence);
    let compared = witnessed.map_err(|failed| format!("{failed:?}"))?;
    compared.map_err(|difference| difference.to_string())?;
    // Answers and registers were found equal; the tables come from the machine.
    let shown = dump::snapshot(sequence, run, boot.ram());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(directory().join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, shown));
    Ok(())
}
