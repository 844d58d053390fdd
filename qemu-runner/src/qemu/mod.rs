//! The emulator: which program it is, whether it can be used, and its process.
//!
//! Left out: what runs in it (`machine`) and its known deviations (`deviations`).

mod process;

pub use process::Process;
pub(crate) use process::path_of;

use crate::output::shown;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

/// The environment variable that names another emulator.
pub const PROGRAM_VARIABLE: &str = "TWOFOLD_QEMU";

const DEFAULT_PROGRAM: &str = "qemu-system-aarch64";

/// The oldest version that must work.
pub const OLDEST: Version = Version { major: 7, minor: 2 };

/// Why the emulator gives no answer. Where a log was kept, it holds the command,
/// standard error and the serial port's output.
#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    /// It cannot be started.
    #[error(
        "cannot start QEMU as `{}`: {source}; run ./setup.sh, or name it in {PROGRAM_VARIABLE}",
        shown(program)
    )]
    Missing {
        /// What was tried.
        program: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// `--version` does not answer as QEMU does.
    #[error(
        "`{} --version` does not answer as QEMU does (`{answer}`); {PROGRAM_VARIABLE} may name another program",
        shown(program)
    )]
    NotQemu {
        /// What was asked.
        program: PathBuf,
        /// The first line that came.
        answer: String,
    },
    /// The version is older than `OLDEST`.
    #[error(
        "`{}` is QEMU {found}, and {OLDEST} is the oldest that works; run ./setup.sh",
        shown(program)
    )]
    TooOld {
        /// Which program.
        program: PathBuf,
        /// Its version.
        found: Version,
    },
    /// It ended while an answer was awaited.
    #[error("QEMU ended ({status}) {doing}{hint}; its log {log}")]
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// What it was doing, as in "while booting the image".
        doing: String,
        /// The last line of its log, with `: ` before it, or nothing.
        hint: String,
        /// What became of the log.
        log: Log,
    },
    /// No answer came in time.
    #[error("QEMU gave no answer within {} ms {doing}; its log {log}", after.as_millis())]
    TimedOut {
        /// How long was waited.
        after: Duration,
        /// What it was doing.
        doing: String,
        /// What became of the log.
        log: Log,
    },
    /// What stands in the mailbox is not an answer.
    #[error("the image answered garbage {doing}: {what}; QEMU's log {log}")]
    Garbage {
        /// What is wrong with it.
        what: String,
        /// What it was doing.
        doing: String,
        /// What became of the log.
        log: Log,
    },
    /// The host has no room for the machine's RAM or the logs.
    #[error("cannot set up the emulator's memory or logs: {0}")]
    Scratch(#[from] std::io::Error),
}

/// What became of an emulator's log. Its text completes "its log ".
#[derive(Debug)]
pub enum Log {
    /// It is here.
    Kept(PathBuf),
    /// It could not be written: what the system says.
    Lost(std::io::Error),
}

impl std::fmt::Display for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Log::Kept(path) => write!(f, "is {}", shown(path)),
            Log::Lost(error) => write!(f, "cannot be kept: {error}"),
        }
    }
}

/// A version of QEMU, as far as behaviour goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// An emulator that can be used.
#[derive(Clone, Debug)]
pub struct Qemu {
    /// The program.
    pub program: PathBuf,
    /// Its version, at least `OLDEST`.
    pub version: Version,
    /// How long to wait for any one answer.
    pub timeout: Duration,
}

impl Qemu {
    /// Finds the emulator and asks it for its version, once for all boots.
    ///
    /// # Errors
    /// `Missing`, `NotQemu`, `TooOld`, `TimedOut`, `Scratch`.
    pub fn find(timeout: Duration) -> Result<Qemu, QemuError> {
        let named = std::env::var_os(PROGRAM_VARIABLE).filter(|name| !name.is_empty());
        let program = PathBuf::from(named.unwrap_or_else(|| DEFAULT_PROGRAM.into()));
        let answer = Process::ask(&program, &["--version"], timeout)?;
        let version = parse_version(&answer).ok_or_else(|| QemuError::NotQemu {
            program: program.clone(),
            answer: answer
                .lines()
                .next()
                .unwrap_or_default()
                .chars()
                .take(80)
                .collect(),
        })?;
        if version < OLDEST {
            return Err(QemuError::TooOld {
                program,
                found: version,
            });
        }
        Ok(Qemu {
            program,
            version,
            timeout,
        })
    }

    /// Starts a machine of one CPU that runs `image`, with `ram` as its memory.
    ///
    /// # Errors
    /// `Missing`, `Scratch`.
    pub fn boot(&self, cpu: &str, image: &Path, ram: &Path) -> Result<Process, QemuError> {
        let memory = format!(
            "memory-backend-file,id=ram,size=1G,share=on,mem-path={}",
            ram.display()
        );
        let arguments = [
            "-machine",
            "virt,virtualization=on,gic-version=2,memory-backend=ram",
            "-accel",
            "tcg,thread=single",
            "-cpu",
            cpu,
            "-smp",
            "1",
            "-m",
            "1G",
            "-object",
            &memory,
            "-nodefaults",
            "-nographic",
            "-no-reboot",
            "-semihosting-config",
            "enable=on,target=native",
        ];
        let mut arguments: Vec<_> = arguments.iter().map(Into::into).collect();
        arguments.extend(["-kernel".into(), image.as_os_str().to_owned()]);
        Process::start(&self.program, arguments)
    }
}

/// Reads the first line of `qemu-system-aarch64 --version`.
fn parse_version(answer: &str) -> Option<Version> {
    let numbers = answer.strip_prefix("QEMU emulator version ")?;
    let mut parts = numbers.split(|c: char| !c.is_ascii_digit());
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    Some(Version { major, minor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_of_debian_builds() {
        let parse = |text: &str| parse_version(text).map(|version| (version.major, version.minor));
        assert_eq!(
            parse("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\n"),
            Some((7, 2))
        );
        assert_eq!(parse("QEMU emulator version 10.0.2"), Some((10, 0)));
    }

    #[test]
    fn other_answers_are_no_version() {
        for text in [
            "",
            "GNU bash, version 5.2",
            "QEMU emulator version ",
            "QEMU emulator version x.y",
        ] {
            assert_eq!(parse_version(text), None, "{text:?}");
        }
    }

    #[test]
    fn versions_are_ordered_by_number() {
        assert!(
            Version {
                major: 10,
                minor: 0
            } > OLDEST
        );
        assert!(Version { major: 7, minor: 1 } < OLDEST);
    }
}
