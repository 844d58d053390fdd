//! Judges sequences: on the host first, and then on the machine, which is booted
//! when it is first needed, and anew for another CPU model or after a failure.
//!
//! One machine at a time: its CPU polls, and with the runner that is two cores.

use crate::compare::{Counts, Difference};
use crate::cpu::{self, Cpu};
use crate::deviations;
use crate::error::{Error, Exit};
use crate::host::{self, Emulated, Run};
use crate::image::Image;
use crate::machine::Boot;
use crate::output::tell;
use crate::plan::{self, Reason};
use crate::qemu::{Qemu, QemuError, Version};
use crate::witness;
use fuzz::Sequence;
use fuzz::host::Engine;
use fuzz::lockstep::{self, Lockstep};
use oracle::verdict::Verdict;
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::time::Duration;

/// How sequences are to be judged.
#[derive(Clone, Debug)]
pub struct Options {
    /// Leave the machine out.
    pub host_only: bool,
    /// Boot this file, and build nothing.
    pub image: Option<PathBuf>,
    /// How long to wait for any one answer of the emulator.
    pub timeout: Duration,
    /// Print command lines on standard error.
    pub verbose: bool,
}

/// What the machine came to.
#[derive(Clone, Debug)]
pub enum Machine {
    /// It agrees with the host and the walker.
    Agrees(Cpu, Counts),
    /// It does not.
    Differs(Cpu, Box<Difference>),
    /// It cannot run the sequence.
    CannotRun(Reason),
    /// It gave no answer: the sentence for the user, and the exit code.
    Failed(String, Exit),
    /// It was not asked.
    NotAsked,
}

/// What diverged on the host.
#[derive(Clone, Debug)]
pub enum HostFailure {
    /// Subject and oracle.
    Verdict(Box<Verdict>),
    /// The subject, or the oracle, panicked with this message.
    Panicked(String),
}

/// What host and machine came to.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The oracle on the host's run.
    pub host: Result<lockstep::Counts, HostFailure>,
    /// The machine.
    pub machine: Machine,
}

impl Judgement {
    /// The exit code that this alone would give.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match (&self.host, &self.machine) {
            (Err(_), _) | (_, Machine::Differs(..)) => Exit::Diverges,
            (Ok(_), Machine::Failed(_, exit)) => *exit,
            (Ok(_), Machine::Agrees(..) | Machine::CannotRun(_) | Machine::NotAsked) => {
                Exit::Agrees
            }
        }
    }
}

/// Why the machine was not asked, or gave no answer.
#[derive(Debug)]
enum Unasked {
    /// The surroundings failed: the sentence for the user, and the exit code.
    Failed(String, Exit),
    /// The subject panicked in the run to compare with.
    Panicked(String),
}

/// Why there is nothing to compare the machine with.
enum Obstacle {
    /// The machine cannot run it.
    Reason(Reason),
    /// The subject panicked with this message.
    Panicked(String),
}

/// What has to be found once before anything boots.
struct Emulator {
    qemu: Qemu,
    image: Image,
}

/// Judges one sequence after another.
pub struct Runner {
    options: Options,
    lockstep: Lockstep,
    engine: Engine,
    /// Found when first needed. An error stays: the next sequence would meet it
    /// again, after as long a wait.
    emulator: Option<Result<Emulator, (String, Exit)>>,
    /// CPU models that did not boot. Trying for each sequence would take as long a
    /// wait each time.
    unbootable: BTreeMap<Cpu, (String, Exit)>,
    boot: Option<(Cpu, Boot)>,
}

impl Runner {
    /// A runner that has started nothing.
    #[must_use]
    pub fn new(options: Options) -> Runner {
        Runner {
            options,
            lockstep: Lockstep::new(),
            engine: Engine::new(),
            emulator: None,
            unbootable: BTreeMap::new(),
            boot: None,
        }
    }

    /// Whether the machine is left out.
    #[must_use]
    pub fn is_host_only(&self) -> bool {
        self.options.host_only
    }

    /// Judges a sequence; `name` is for messages.
    pub fn judge(&mut self, name: &str, sequence: &Sequence) -> Judgement {
        let host = self.ask_host(sequence);
        let machine = if self.options.host_only {
            Machine::NotAsked
        } else if let Some(reason) = plan::not_runnable(&sequence.machine) {
            Machine::CannotRun(reason)
        } else if matches!(host, Err(HostFailure::Panicked(_))) {
            // There is no run of the host's to compare with.
            Machine::NotAsked
        } else {
            let asked = comparable(sequence, &host);
            match self.ask_machine(name, &asked) {
                Ok(machine) => machine,
                Err(Unasked::Failed(what, exit)) => Machine::Failed(what, exit),
                Err(Unasked::Panicked(message)) => return panicked_again(host, message),
            }
        };
        Judgement { host, machine }
    }

    /// The version of the emulator, once a sequence has been judged on it.
    #[must_use]
    pub fn qemu(&self) -> Option<&Qemu> {
        self.emulator
            .as_ref()
            .and_then(|found| found.as_ref().ok())
            .map(|emulator| &emulator.qemu)
    }

    /// A panic is caught, so that the other files of a batch get their verdicts;
    /// its message is on standard error by then.
    fn ask_host(&mut self, sequence: &Sequence) -> Result<lockstep::Counts, HostFailure> {
        let lockstep = &mut self.lockstep;
        let run = AssertUnwindSafe(|| lockstep.run(sequence).map(|run| run.counts.clone()));
        match panic::catch_unwind(run) {
            Ok(judged) => judged.map_err(HostFailure::Verdict),
            Err(payload) => {
                // What it left half-done goes with it.
                self.lockstep = Lockstep::new();
                Err(HostFailure::Panicked(panic_message(&*payload)))
            }
        }
    }

    fn ask_machine(&mut self, name: &str, sequence: &Sequence) -> Result<Machine, Unasked> {
        let cpu = Cpu::for_machine(&sequence.machine);
        let failed = |(what, exit)| Unasked::Failed(what, exit);
        let (mut boot, version) = self.booted(cpu).map_err(failed)?;
        let host = match self.comparison(sequence, &boot, version) {
            Ok(host) => host,
            // The machine knows nothing of it.
            Err(Obstacle::Panicked(message)) => {
                self.boot = Some((cpu, boot));
                return Err(Unasked::Panicked(message));
            }
            Err(Obstacle::Reason(reason)) => {
                self.boot = Some((cpu, boot));
                return Ok(Machine::CannotRun(reason));
            }
        };
        let witnessed = witness::witness(&self.engine, &host, &mut boot, sequence);
        match witnessed {
            Ok(Ok(counts)) => {
                self.boot = Some((cpu, boot));
                Ok(Machine::Agrees(cpu, counts))
            }
            // The boot goes: what else it did is unknown.
            Ok(Err(difference)) => Ok(Machine::Differs(cpu, difference)),
            Err(failed) => {
                let error = Error::from(boot.explain(failed, name));
                Err(Unasked::Failed(error.to_string(), error.exit()))
            }
        }
    }

    /// The run with which the machine's is compared. A panic of the subject is caught;
    /// what else may panic is the runner's own mistake.
    fn comparison(
        &mut self,
        sequence: &Sequence,
        boot: &Boot,
        version: Version,
    ) -> Result<Run, Obstacle> {
        let description = boot.description();
        if let Some(feature) = cpu::missing(&sequence.machine, description) {
            return Err(Obstacle::Reason(Reason::Lacks(feature)));
        }
        let emulated = Emulated {
            description,
            version,
        };
        let engine = &mut self.engine;
        let run = AssertUnwindSafe(|| host::run(engine, sequence, emulated));
        let run = panic::catch_unwind(run).map_err(|payload| {
            // What it left half-done goes with it.
            self.engine = Engine::new();
            Obstacle::Panicked(panic_message(&*payload))
        })?;
        match deviations::of_run(&run.events, version) {
            Some(deviation) => Err(Obstacle::Reason(Reason::Refused(deviation.name))),
            None => Ok(run),
        }
    }

    /// The machine that runs already, if it has this CPU, otherwise a new one.
    fn booted(&mut self, cpu: Cpu) -> Result<(Boot, Version), (String, Exit)> {
        let running = self.boot.take();
        let options = &self.options;
        let found = self
            .emulator
            .get_or_insert_with(|| find(options).map_err(|error| told(&error)));
        let emulator = found.as_ref().map_err(Clone::clone)?;
        let version = emulator.qemu.version;
        match running {
            Some((model, boot)) if model == cpu => return Ok((boot, version)),
            // Ended before the next one starts.
            other => drop(other),
        }
        if let Some(failure) = self.unbootable.get(&cpu) {
            return Err(failure.clone());
        }
        match boot(emulator, cpu) {
            Ok(boot) => {
                if self.options.verbose {
                    tell(boot.command());
                }
                Ok((boot, version))
            }
            Err(error) => {
                let failure = told(&error.into());
                self.unbootable.insert(cpu, failure.clone());
                Err(failure)
            }
        }
    }
}

/// Boots, once more where the first time took too long: a busy host is slow, and a
/// failure costs all sequences of this CPU model.
fn boot(emulator: &Emulator, cpu: Cpu) -> Result<Boot, QemuError> {
    let start = || Boot::start(&emulator.qemu, &emulator.image, cpu);
    match start() {
        Err(error @ QemuError::TimedOut { .. }) => {
            tell(format_args!("{error}; booting once more"));
            start()
        }
        first => first,
    }
}

/// What the machine is asked: the sequence up to the operation at which the host
/// diverged. Behind it a faulty subject may do anything.
fn comparable(sequence: &Sequence, host: &Result<lockstep::Counts, HostFailure>) -> Sequence {
    let mut asked = sequence.clone();
    if let Err(HostFailure::Verdict(verdict)) = host
        && let Some(guilty) = &verdict.guilty
    {
        asked.steps.truncate(guilty.index);
    }
    asked
}

/// The judgement where the subject panicked in the host's second run: a divergence as
/// in the first, whose verdict stays if there is one.
fn panicked_again(host: Result<lockstep::Counts, HostFailure>, message: String) -> Judgement {
    let what = format!("the subject panicked when the host ran it again: {message}");
    Judgement {
        host: host.and(Err(HostFailure::Panicked(message))),
        machine: Machine::Failed(what, Exit::Diverges),
    }
}

fn find(options: &Options) -> Result<Emulator, Error> {
    let qemu = Qemu::find(options.timeout)?;
    let path = match &options.image {
        Some(path) => path.clone(),
        None => crate::build::image()?,
    };
    let image = Image::open(&path).map_err(|source| Error::Image { path, source })?;
    Ok(Emulator { qemu, image })
}

fn panic_message(payload: &dyn Any) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "without a message".into())
}

fn told(error: &Error) -> (String, Exit) {
    (error.to_string(), error.exit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qemu;
    use ops::mailbox::{self, Description};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    const DIVERGES: &str = "machine granule=4K pa=40 ipa=40 stub=0x1000\n\
        vm b\nvm c -> exists\nfree b\n";

    fn runner() -> Runner {
        Runner::new(Options {
            host_only: false,
            image: None,
            timeout: Duration::from_secs(10),
            verbose: false,
        })
    }

    #[test]
    fn the_machine_is_asked_up_to_the_guilty_operation() {
        let sequence = fuzz::text::parse(DIVERGES).unwrap();
        let host = runner().ask_host(&sequence);
        assert_eq!(comparable(&sequence, &host).steps, sequence.steps[..2]);
        let agrees = Ok(lockstep::Counts::default());
        assert_eq!(comparable(&sequence, &agrees), sequence);
    }

    /// An emulator that says what an image says once it has booted, and no more. It
    /// notes each start in the file `starts`, and fails on a Cortex-A57.
    fn silent_machine(directory: &Path) -> Emulator {
        let description = directory.join("description");
        let bytes = mailbox::encode_description(&Description {
            mmfr: [0x1122, 0, 0],
            isar0: 0,
            midr: 0,
            counter_hz: 1,
        });
        std::fs::write(&description, bytes).unwrap();
        let program = directory.join("qemu");
        let place = mailbox::MAILBOX.base - mailbox::RAM.base;
        let script = format!(
            "#!/bin/sh\n\
             for word in \"$@\"; do case $word in *mem-path=*) ram=${{word#*mem-path=}};; esac; done\n\
             echo >> {starts}\n\
             case $* in *-cpu\\ cortex-a57*) exit 5;; esac\n\
             dd if={} of=$ram bs=64 seek={} conv=notrunc status=none\n\
             exec sleep 1000\n",
            description.display(),
            place / 64,
            starts = directory.join("starts").display(),
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        Emulator {
            qemu: Qemu {
                program,
                version: qemu::OLDEST,
                timeout: Duration::from_secs(10),
            },
            image: Image {
                path: directory.join("image"),
            },
        }
    }

    fn starts(directory: &Path) -> usize {
        let starts = std::fs::read_to_string(directory.join("starts"));
        starts.unwrap().lines().count()
    }

    #[test]
    fn a_subject_that_panics_in_the_second_run_leaves_the_boot_to_the_next_sequence() {
        let directory = tempfile::tempdir().unwrap();
        let mut runner = runner();
        runner.emulator = Some(Ok(silent_machine(directory.path())));
        let mut sequence = fuzz::text::parse(DIVERGES).unwrap();
        // The host engine panics on a machine that no written form can state.
        sequence.machine.pool.pages = 0;
        for _ in 0..2 {
            let unasked = runner.ask_machine("a.s2", &sequence).unwrap_err();
            assert!(
                matches!(&unasked, Unasked::Panicked(message) if message.contains("PoolPages(0)")),
                "{unasked:?}"
            );
        }
        assert!(runner.boot.is_some());
        assert_eq!(starts(directory.path()), 1);
    }

    #[test]
    fn a_panic_in_the_second_run_diverges_as_one_in_the_first_does() {
        let agreed = Ok(lockstep::Counts::default());
        let judgement = panicked_again(agreed, "index".into());
        assert_eq!(judgement.exit(), Exit::Diverges);
        assert!(
            matches!(&judgement.host, Err(HostFailure::Panicked(message)) if message == "index")
        );
    }

    #[test]
    fn a_panic_in_the_second_run_hides_no_verdict() {
        let host = runner().ask_host(&fuzz::text::parse(DIVERGES).unwrap());
        let judgement = panicked_again(host, "index".into());
        assert_eq!(judgement.exit(), Exit::Diverges);
        assert!(matches!(judgement.host, Err(HostFailure::Verdict(_))));
        assert!(matches!(&judgement.machine, Machine::Failed(what, _) if what.ends_with("index")));
    }

    #[test]
    fn a_cpu_model_that_does_not_boot_leaves_the_others_alone() {
        let directory = tempfile::tempdir().unwrap();
        let mut runner = runner();
        runner.emulator = Some(Ok(silent_machine(directory.path())));
        let (what, exit) = runner.booted(Cpu::CortexA57).err().unwrap();
        assert!(what.contains("on cortex-a57"), "{what}");
        assert_eq!(exit, Exit::Surroundings);
        let (_, log) = what.split_once("its log is ").unwrap();
        std::fs::remove_file(log).unwrap();
        assert_eq!(runner.booted(Cpu::CortexA57).err(), Some((what, exit)));
        assert_eq!(starts(directory.path()), 1, "the failure was remembered");
        for cpu in [Cpu::CortexA76, Cpu::NeoverseN1, Cpu::Max] {
            assert!(runner.booted(cpu).is_ok(), "{cpu:?}");
        }
        assert_eq!(starts(directory.path()), 4);
    }
}
