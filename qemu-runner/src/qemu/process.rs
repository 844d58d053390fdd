//! One emulator process: started in its own process group, watched by its pidfd,
//! and gone with everything that it started when the value is dropped, when the
//! runner ends for any reason, or when a signal ends it.
//!
//! Its logs are files in memory without a name, which `/proc` lets it open: a full
//! directory for temporary files does not turn what it says into nothing. They are
//! copied to a file with a name only when something went wrong.

use super::{Log, QemuError};
use crate::children::Group;
use crate::output::escaped;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// At most this much of each log is kept: a guest in a loop can print for ever.
const LOG_BYTES: u64 = 1 << 20;

/// A running (or ended, but not yet dropped) emulator.
pub struct Process {
    group: Group,
    pidfd: OwnedFd,
    command: String,
    output: File,
    serial: File,
}

/// The path by which a child can open a file of this process that is open.
#[must_use]
pub(crate) fn path_of(file: &File) -> PathBuf {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into()
}

fn log_file() -> io::Result<File> {
    Ok(memfd_create(c"twofold-log", MFdFlags::MFD_CLOEXEC)?.into())
}

impl Process {
    /// Starts `program`; the serial port's option is added to `arguments`.
    ///
    /// # Errors
    /// `QemuError::Missing`, `QemuError::Scratch`.
    pub(super) fn start(
        program: &Path,
        mut arguments: Vec<OsString>,
    ) -> Result<Process, QemuError> {
        let serial = log_file()?;
        let path = path_of(&serial);
        arguments.extend(["-serial".into(), format!("file:{}", path.display()).into()]);
        Process::spawn(program, &arguments, serial)
    }

    /// Runs `program` to its end and answers what it printed, both outputs.
    ///
    /// # Errors
    /// `QemuError::Missing`, `QemuError::TimedOut`, `QemuError::Scratch`.
    pub(super) fn ask(
        program: &Path,
        arguments: &[&str],
        timeout: Duration,
    ) -> Result<String, QemuError> {
        let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
        let mut process = Process::spawn(program, &arguments, log_file()?)?;
        let deadline = Instant::now() + timeout;
        while !process.has_ended_within(deadline.saturating_duration_since(Instant::now()))? {
            if Instant::now() >= deadline {
                return Err(process.timed_out(timeout, "asked for its version"));
            }
        }
        Ok(text(&mut process.output)?)
    }

    fn spawn(program: &Path, arguments: &[OsString], serial: File) -> Result<Process, QemuError> {
        let output = log_file()?;
        let mut command = Command::new(program);
        command.args(arguments);
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?);
        let missing = |source| QemuError::Missing {
            program: program.into(),
            source,
        };
        let mut group = Group::spawn(&mut command).map_err(missing)?;
        let pidfd = match pidfd_of(group.child()) {
            Ok(pidfd) => pidfd,
            Err(error) => {
                group.end()?;
                return Err(error.into());
            }
        };
        let command = format!("{command:?}");
        Ok(Process {
            group,
            pidfd,
            command,
            output,
            serial,
        })
    }

    /// The command line, quoted for a shell.
    #[must_use]
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Waits until the process ends, at most this long, and answers whether it
    /// has. Rounded up to a millisecond; zero only asks.
    ///
    /// # Errors
    /// What the system says to `poll`.
    pub fn has_ended_within(&self, time: Duration) -> io::Result<bool> {
        let milliseconds = time.as_micros().div_ceil(1000);
        let timeout = PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX);
        let mut descriptors = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut descriptors, timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The error for a process that has ended while `doing` something.
    #[must_use]
    pub fn exited(mut self, doing: &str) -> QemuError {
        let status = match self.group.end() {
            Ok(status) => status,
            Err(error) => return error.into(),
        };
        QemuError::Exited {
            status,
            doing: doing.into(),
            hint: self
                .hint()
                .map(|line| format!(": {line}"))
                .unwrap_or_default(),
            log: self.keep_log(Some(status)),
        }
    }

    /// The error for a process that gave no answer; it is killed.
    #[must_use]
    pub fn timed_out(mut self, after: Duration, doing: &str) -> QemuError {
        QemuError::TimedOut {
            after,
            doing: doing.into(),
            log: self.keep_log(None),
        }
    }

    /// The error for an answer that is none; the process is killed.
    #[must_use]
    pub fn garbage(mut self, what: String, doing: &str) -> QemuError {
        QemuError::Garbage {
            what,
            doing: doing.into(),
            log: self.keep_log(None),
        }
    }

    /// The last line that the guest has printed, otherwise the emulator's.
    fn hint(&mut self) -> Option<String> {
        [&mut self.serial, &mut self.output]
            .into_iter()
            .filter_map(|file| text(file).ok())
            .find_map(|text| {
                let said = |line: &&str| !line.trim().is_empty();
                text.lines().rev().find(said).map(shortened)
            })
    }

    /// Writes the log to a file that stays.
    fn keep_log(&mut self, status: Option<ExitStatus>) -> Log {
        match self.write_log(status) {
            Ok(path) => Log::Kept(path),
            Err(error) => Log::Lost(error),
        }
    }

    fn write_log(&mut self, status: Option<ExitStatus>) -> io::Result<PathBuf> {
        let output = text(&mut self.output)?;
        let serial = text(&mut self.serial)?;
        // Who reads it does so on a terminal.
        let (output, serial) = (escaped(&output), escaped(&serial));
        let mut file = tempfile::Builder::new()
            .prefix("twofold-qemu-")
            .suffix(".log")
            .tempfile()?;
        writeln!(file, "command: {}", self.command)?;
        match status {
            Some(status) => writeln!(file, "ended: {status}")?,
            None => writeln!(file, "ended: no, it was killed")?,
        }
        write!(
            file,
            "--- output ---\n{output}\n--- serial port ---\n{serial}\n"
        )?;
        let (_, path) = file.keep().map_err(|error| error.error)?;
        Ok(path)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it is not our child any more: nothing is left to do.
        let _ = self.group.end();
    }
}

fn pidfd_of(child: &Child) -> io::Result<OwnedFd> {
    // SAFETY: `pidfd_open` takes a process number and flags, and touches no
    // memory of ours. The child is not reaped, so the number is still its own.
    let result = unsafe { nix::libc::syscall(nix::libc::SYS_pidfd_open, child.id(), 0) };
    let descriptor = RawFd::try_from(Errno::result(result)?).map_err(io::Error::other)?;
    // SAFETY: the kernel has just opened it for us, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn text(file: &mut File) -> io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut bytes)?;
    // The serial port's line ends; other carriage returns are characters as all are.
    Ok(String::from_utf8_lossy(&bytes).replace("\r\n", "\n"))
}

/// A line short enough for a sentence, whatever was printed.
fn shortened(line: &str) -> String {
    line.trim().chars().take(160).collect()
}
