//! Processes that the runner starts, and the signals that end it.
//!
//! Each command runs in a process group of its own, whose leader is a guardian: a
//! shell that waits for the runner's end of a pipe to close, and then kills the
//! group. So does all that a command has started end with the runner, whatever ends
//! the runner, SIGKILL too; the command itself, which the kernel kills, does so at
//! once. SIGINT, SIGTERM and SIGHUP end the runner with 130, 143 and 129. Nothing
//! else needs cleaning up, since scratch files have no name.
//!
//! Left out: a process that leaves its group (`setsid`). It is out of reach.

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, SigSet, Signal, killpg, signal};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getpid, getppid};
use std::io::{self, PipeWriter};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The guardian's program: `read` ends where the pipe does, and process 0 stands for
/// the shell's own group.
const GUARDIAN: &str = "read -r _; kill -KILL 0";

const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Process groups that are alive, by their leader. A leader is reaped only while
/// this is locked, so that no number here can belong to somebody else.
static ALIVE: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Takes the signals over from here on. To be called once, before any other
/// thread is started: they are blocked in this thread and those that it starts. A
/// signal that is ignored, as `nohup` has it, stays so.
///
/// # Errors
/// What the system says.
pub fn handle_signals() -> io::Result<()> {
    let mut signals = SigSet::empty();
    for signal in ENDING {
        if !is_ignored(signal)? {
            signals.add(signal);
        }
    }
    signals.thread_block()?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || wait(&signals))?;
    Ok(())
}

fn is_ignored(ending: Signal) -> io::Result<bool> {
    // SAFETY: the default action runs no code of ours.
    let before = unsafe { signal(ending, SigHandler::SigDfl)? };
    // SAFETY: it is the action that there was.
    unsafe { signal(ending, before)? };
    Ok(matches!(before, SigHandler::SigIgn))
}

fn wait(signals: &SigSet) {
    let Ok(caught) = signals.wait() else { return };
    // Held until the exit: nothing is started any more.
    let alive = alive();
    for group in alive.iter() {
        // The group may be gone already, which is what is wanted.
        let _ = killpg(*group, Signal::SIGKILL);
    }
    std::process::exit(128 + caught as i32);
}

/// A command that was started, with all that it starts in turn.
pub(crate) struct Group {
    guardian: Child,
    child: Child,
    /// Closes with the runner, which is what the guardian waits for.
    _lifeline: PipeWriter,
}

impl Group {
    /// Starts a command in a process group of its own, with no signal blocked, to be
    /// killed when the thread that starts it dies. To be ended by `end`.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Group> {
        let parent = getpid();
        let mut alive = alive();
        // First, so that the command has no moment without it.
        let (mut guardian, lifeline) = guardian().map_err(|error| {
            let what = format!("the shell that ends it with the runner cannot be started: {error}");
            io::Error::new(error.kind(), what)
        })?;
        let group = number_of(&guardian);
        command.process_group(group.as_raw());
        // SAFETY: between fork and exec only system calls are made that are
        // async-signal-safe, on values of the closure's own; it does not allocate.
        unsafe { command.pre_exec(move || prepare_child(parent)) };
        match command.spawn() {
            Ok(child) => {
                alive.push(group);
                Ok(Group {
                    guardian,
                    child,
                    _lifeline: lifeline,
                })
            }
            Err(error) => {
                guardian.kill()?;
                guardian.wait()?;
                Err(error)
            }
        }
    }

    /// The command's process, not yet reaped.
    pub(crate) fn child(&self) -> &Child {
        &self.child
    }

    /// Kills the group, reaps the command and answers how it ended; safe to
    /// repeat. A command that had ended before keeps its own status.
    ///
    /// # Errors
    /// What the system says to `wait`.
    pub(crate) fn end(&mut self) -> io::Result<ExitStatus> {
        let mut alive = alive();
        let group = number_of(&self.guardian);
        if let Some(index) = alive.iter().position(|other| *other == group) {
            let _ = killpg(group, Signal::SIGKILL);
            alive.swap_remove(index);
        }
        self.guardian.wait()?;
        self.child.wait()
    }
}

/// Runs a command to its end, and ends what it may have left running.
///
/// # Errors
/// What the system says.
pub(crate) fn run(command: &mut Command) -> io::Result<ExitStatus> {
    let mut group = Group::spawn(command)?;
    let child = number_of(&group.child);
    let ended = || waitid(Id::Pid(child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
    // Not collected by this, so that its number stays its own until `end`.
    while ended() == Err(Errno::EINTR) {}
    group.end()
}

fn guardian() -> io::Result<(Child, PipeWriter)> {
    let (reader, lifeline) = io::pipe()?;
    let guardian = Command::new("/bin/sh")
        .args(["-c", GUARDIAN, "twofold-guardian"])
        .stdin(reader)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    Ok((guardian, lifeline))
}

fn prepare_child(parent: Pid) -> io::Result<()> {
    SigSet::empty().thread_set_mask()?;
    set_pdeathsig(Signal::SIGKILL)?;
    // The parent may have died before the line above.
    if getppid() == parent {
        Ok(())
    } else {
        Err(Errno::ESRCH.into())
    }
}

fn number_of(child: &Child) -> Pid {
    // Linux's process numbers stay far below 2^31.
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))
}

fn alive() -> MutexGuard<'static, Vec<Pid>> {
    ALIVE.lock().unwrap_or_else(PoisonError::into_inner)
}
