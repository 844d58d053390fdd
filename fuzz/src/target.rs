//! What a fuzz target does with an input, whichever fuzzer it came from: decode,
//! run in lockstep, and speak up where subject and oracle differ.
//!
//! State is kept over inputs: buffers, so that an input costs what it touches,
//! and counts, which are printed when the process exits.

mod artifact;
mod ending;
pub(crate) mod exit;
mod given;
mod shrunk;
mod summary;
mod work;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard, Once, PoisonError};
use std::{env, fmt, panic};

use crate::lockstep::{self, Lockstep};
use crate::wire::{self, WireError};

use artifact::Files;
pub use summary::Summary;
pub use work::{MOST_WORK, work};

/// Why an input was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// It is no sequence.
    Wire(WireError),
    /// Its maps may write more than `MOST_WORK` descriptors: this many.
    Work(u64),
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejected::Wire(error) => error.fmt(f),
            Rejected::Work(work) => write!(
                f,
                "up to {work} descriptors to write, of at most {MOST_WORK}"
            ),
        }
    }
}

impl std::error::Error for Rejected {}

struct Target {
    lockstep: Lockstep,
    summary: Summary,
}

static TARGET: LazyLock<Mutex<Target>> = LazyLock::new(|| {
    let lockstep = Lockstep::new();
    let summary = Summary::new(lockstep.legal_configurations());
    Mutex::new(Target { lockstep, summary })
});

/// The files that the fuzzer was started with, and of which nothing was said yet.
static GIVEN: LazyLock<Mutex<Vec<PathBuf>>> =
    LazyLock::new(|| Mutex::new(given::files(env::args_os())));

/// The input that is being run, for the report of a panic; empty between runs.
static RUNNING: Mutex<Vec<u8>> = Mutex::new(Vec::new());

static PREPARED: Once = Once::new();

/// Runs one input of the target `stage2_ops`.
///
/// # Errors
/// When the input is not run; it is of no use to a corpus then.
///
/// # Panics
/// At a divergence, after the verdict and the sequence are printed and written beside
/// the fuzzer's artifacts; the message is the same for all divergences of the same
/// class and rule. Panics of the
/// subject pass through, with the sequence printed before their message.
pub fn stage2_ops(input: &[u8]) -> Result<(), Rejected> {
    PREPARED.call_once(prepare);
    let sequence = wire::from_bytes(input).map_err(|error| undecoded(input, error))?;
    let mut target = locked(&TARGET);
    let Target { lockstep, summary } = &mut *target;
    let work = work(&sequence);
    if work > MOST_WORK {
        summary.count_unrun();
        return Err(Rejected::Work(work));
    }
    locked(&RUNNING).extend_from_slice(input);
    let diverged = lockstep.run(&sequence).err();
    locked(&RUNNING).clear();
    summary.count(lockstep.last());
    let Some(verdict) = diverged else {
        return Ok(());
    };
    let files = Files {
        verdict: &verdict,
        sequence: &sequence,
        input,
    };
    report(&files, &artifact::prefix(env::args_os()), summary)
}

/// Counts an input that is no sequence, and says so where it was given as a file.
#[cold]
fn undecoded(input: &[u8], error: WireError) -> Rejected {
    locked(&TARGET).summary.count_undecoded();
    eprint!("{}", given::told(&mut locked(&GIVEN), input, error));
    Rejected::Wire(error)
}

/// Prints a divergence, writes its files, and ends in the panic by which fuzzers know
/// it.
#[cold]
fn report(files: &Files<'_>, prefix: &OsStr, summary: &Summary) -> ! {
    let Files {
        verdict, sequence, ..
    } = files;
    let marked = lockstep::marked(sequence, verdict);
    let (text, written) = files.write(prefix);
    eprintln!("{verdict}\n{marked}");
    eprintln!("{}\n{written}", shrunk::shrunk(sequence));
    eprintln!("Replay it on the host and at EL2:");
    eprintln!("    cargo run -p qemu-runner -- replay {}", text.display());
    eprintln!("\nUp to here:\n{summary}");
    ending::end(verdict.finding.class, verdict.finding.rule)
}

/// Once in a process: the summary at its exit, the sequence at a panic.
fn prepare() {
    exit::at_exit(|| eprint!("{}", locked(&TARGET).summary));
    let next = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if let Ok(sequence) = wire::from_bytes(&locked(&RUNNING)) {
            eprintln!("A panic while this sequence was run:\n{sequence}");
        }
        next(info);
    }));
}

/// A lock whose data stays good where a panic was caught: counts and buffers.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    fn bytes(text: &str) -> Vec<u8> {
        wire::to_bytes(&text::parse(text).unwrap())
    }

    #[test]
    fn input_that_is_no_sequence_is_rejected() {
        let expected = WireError::Length {
            expected: 56,
            found: 1,
        };
        assert_eq!(stage2_ops(b"\n"), Err(Rejected::Wire(expected)));
    }

    #[test]
    fn input_that_asks_for_too_much_is_rejected() {
        let map = "map a ipa=0 pa=0x80000000 size=256M prot=rw- mem=normal pages\n";
        let input = bytes(&format!(
            "machine pool=0x48000000+1024\nvm a\n{}",
            map.repeat(5)
        ));
        assert_eq!(stage2_ops(&input), Err(Rejected::Work(5 << 16)));
    }

    #[test]
    fn input_on_which_all_agree_is_kept() {
        assert_eq!(stage2_ops(&bytes("machine\nvm a\nvm a\nfree b")), Ok(()));
    }

    #[test]
    fn divergence_ends_in_a_panic_that_names_class_and_rule() {
        let sequence = text::parse("machine\nvm a -> exists").unwrap();
        let mut lockstep = Lockstep::new();
        let verdict = lockstep.run(&sequence).unwrap_err();
        let summary = Summary::new(lockstep.legal_configurations());
        let files = Files {
            verdict: &verdict,
            sequence: &sequence,
            input: &wire::to_bytes(&sequence),
        };
        let directory = tempfile::tempdir().unwrap();
        let prefix = directory.path().join("");
        let reported = || report(&files, prefix.as_os_str(), &summary);
        let payload = panic::catch_unwind(reported).unwrap_err();
        let message = payload.downcast::<String>().unwrap();
        assert_eq!(*message, "stage2: return-value: expectation");
    }
}
