//! Processes that the runner starts, and the signals that end it.
//!
//! SIGINT and SIGTERM: every process that was started is killed with its group,
//! and the runner exits with 130 or 143. Nothing else needs cleaning up, since
//! scratch files have no name. SIGPIPE ends the runner as it ends other commands,
//! and the kernel then ends what it has started.

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, SigSet, Signal, killpg, signal};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getpid, getppid};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Process groups that are alive, by their leader. A leader is reaped only while
/// this is locked, so that no number here can belong to somebody else.
static ALIVE: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Takes the signals over from here on. To be called once, before any other
/// thread is started: they are blocked in this thread and those that it starts.
///
/// # Errors
/// What the system says.
pub fn handle_signals() -> io::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    // SAFETY: the default action runs no code of ours.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl)? };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || wait(&signals))?;
    Ok(())
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

/// Starts a command in a process group of its own, with no signal blocked, to be
/// killed when the thread that starts it dies. To be ended by `end`.
///
/// # Errors
/// What the system says.
pub(crate) fn spawn(command: &mut Command) -> io::Result<Child> {
    let parent = getpid();
    command.process_group(0);
    // SAFETY: between fork and exec only system calls are made that are
    // async-signal-safe, on values of the closure's own; it does not allocate.
    unsafe { command.pre_exec(move || prepare_child(parent)) };
    let mut alive = alive();
    let child = command.spawn()?;
    alive.push(group_of(&child));
    Ok(child)
}

/// Runs a command to its end, and ends what it may have left running.
///
/// # Errors
/// What the system says.
pub(crate) fn run(command: &mut Command) -> io::Result<ExitStatus> {
    let mut child = spawn(command)?;
    let leader = group_of(&child);
    let ended = || waitid(Id::Pid(leader), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
    // Not collected by this, so that its number stays its own until `end`.
    while ended() == Err(Errno::EINTR) {}
    end(&mut child)
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

/// Kills the child's group, reaps the child and answers how it ended; safe to
/// repeat. A child that had ended before keeps its own status.
///
/// # Errors
/// What the system says to `wait`.
pub(crate) fn end(child: &mut Child) -> io::Result<ExitStatus> {
    let mut alive = alive();
    let group = group_of(child);
    if let Some(index) = alive.iter().position(|other| *other == group) {
        let _ = killpg(group, Signal::SIGKILL);
        alive.swap_remove(index);
    }
    child.wait()
}

fn group_of(child: &Child) -> Pid {
    // Linux's process numbers stay far below 2^31.
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))
}

fn alive() -> MutexGuard<'static, Vec<Pid>> {
    ALIVE.lock().unwrap_or_else(PoisonError::into_inner)
}
