//! The runner's side of the mailbox: hands requests over, waits for replies, and
//! takes nothing that it reads on trust. The layout is `ops::mailbox`'s.
//!
//! Left out: what to ask (`plan`) and what the answers mean (`compare`).

use crate::qemu::{Process, QemuError};
use crate::ram::{OutOfRam, Ram};
use ops::Record;
use ops::mailbox::{
    self, Description, DescriptionError, Probe, ReplyError, RequestError, StepReply,
};
use ops::wire::{self, RECORD_BYTES, WireError};
use std::io;
use std::time::{Duration, Instant};

/// How long to look at the mailbox without pause: an answer usually takes less.
const SPIN: Duration = Duration::from_millis(2);

/// Events for which the log has room.
const MOST_EVENTS: usize = mailbox::EVENTS_BYTES / RECORD_BYTES;

/// An answer of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// One for each step: the stub's operations, then the sequence's.
    pub steps: Vec<StepReply>,
    /// The events of all steps, in order, as far as the log had room.
    pub events: Vec<Record>,
    /// Events for which it had none.
    pub events_lost: u32,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failed {
    /// The process has ended.
    Ended,
    /// The deadline has passed.
    TimedOut,
    /// What stands in the mailbox is no answer to the request.
    Garbage(String),
    /// The image refused the request, which is this runner's mistake.
    Refused(RequestError),
    /// The host's own memory or descriptors fail.
    Host(io::Error),
}

impl Failed {
    /// The error that a person reads; ends the process.
    #[must_use]
    pub fn explain(self, process: Process, timeout: Duration, doing: &str) -> QemuError {
        match self {
            Failed::Ended => process.exited(doing),
            Failed::TimedOut => process.timed_out(timeout, doing),
            Failed::Garbage(what) => process.garbage(what, doing),
            Failed::Refused(error) => {
                process.garbage(format!("it refuses the request: {error}"), doing)
            }
            Failed::Host(error) => error.into(),
        }
    }
}

/// The mailbox of one boot, with the RAM that it is in.
pub struct Mailbox {
    ram: Ram,
    number: u64,
    area: Vec<u8>,
}

impl Mailbox {
    /// The mailbox in this RAM; nothing has been asked yet.
    #[must_use]
    pub fn new(ram: Ram) -> Mailbox {
        Mailbox {
            ram,
            number: 0,
            area: vec![0; mailbox::MAX_REQUEST_BYTES],
        }
    }

    /// The machine's whole RAM.
    #[must_use]
    pub fn ram(&self) -> &Ram {
        &self.ram
    }

    /// Waits until the image has booted and described the machine.
    ///
    /// # Errors
    /// `Failed`. A description that stays wrong until the deadline is `Garbage`
    /// where there is one at all.
    pub fn description(&self, process: &Process, timeout: Duration) -> Result<Description, Failed> {
        let mut last = Err(DescriptionError::Magic([0; 8]));
        let waited = wait(process, timeout, || {
            let mut bytes = [0; mailbox::DESCRIPTION_BYTES];
            self.read(mailbox::DESCRIPTION_AT, &mut bytes)?;
            last = mailbox::decode_description(&bytes);
            Ok(last.is_ok())
        });
        match (waited, last) {
            (Ok(()), Ok(description)) => Ok(description),
            (Err(Failed::TimedOut), Err(error)) if error != DescriptionError::Magic([0; 8]) => {
                Err(Failed::Garbage(error.to_string()))
            }
            (Err(failed), _) => Err(failed),
            (Ok(()), Err(error)) => Err(Failed::Garbage(error.to_string())),
        }
    }

    /// Has one sequence executed, given in its wire form with a probe for each of
    /// its operations.
    ///
    /// # Errors
    /// `Failed`; after any but `Refused` the machine is of no more use.
    pub fn execute(
        &mut self,
        process: &Process,
        timeout: Duration,
        sequence: &[u8],
        probes: &[Probe],
    ) -> Result<Answered, Failed> {
        self.number += 1;
        let bytes = mailbox::encode_request(self.number, true, sequence, probes, &mut self.area)
            .map_err(Failed::Refused)?;
        self.ram
            .copy_in(place(mailbox::REQUEST_AT), &self.area[..bytes])
            .map_err(outside)?;
        self.ram
            .store(place(mailbox::REQUEST_NUMBER_AT), self.number)
            .map_err(outside)?;
        wait(process, timeout, || {
            match self
                .ram
                .load(place(mailbox::REPLY_NUMBER_AT))
                .map_err(outside)?
            {
                number if number == self.number => Ok(true),
                number if number == self.number - 1 => Ok(false),
                number => Err(Failed::Garbage(format!(
                    "a reply to request {number}, where {} is open",
                    self.number
                ))),
            }
        })?;
        self.reply()
    }

    /// The index of the step that the image was working on when it was last heard
    /// of; `None` between requests.
    #[must_use]
    pub fn progress(&self) -> Option<u64> {
        self.ram
            .load(place(mailbox::PROGRESS_AT))
            .ok()
            .filter(|step| *step != u64::MAX)
    }

    fn reply(&self) -> Result<Answered, Failed> {
        let most = mailbox::REPLY_HEADER_BYTES + mailbox::MAX_STEPS * mailbox::STEP_BYTES;
        let mut area = vec![0; most];
        self.read(mailbox::REPLY_AT, &mut area)?;
        let (reply, records) = mailbox::decode_reply(&area).map_err(garbage)?;
        if reply.number != self.number {
            return Err(Failed::Garbage(format!(
                "the reply is to request {}, not {}",
                reply.number, self.number
            )));
        }
        reply.steps.map_err(Failed::Refused)?;
        let steps = records
            .iter()
            .map(mailbox::decode_step)
            .collect::<Result<Vec<_>, ReplyError>>()
            .map_err(garbage)?;
        check_count(&steps, reply.events, reply.events_lost)?;
        let events = self.events(reply.events, reply.events_checksum)?;
        Ok(Answered {
            steps,
            events,
            events_lost: reply.events_lost,
        })
    }

    fn events(&self, count: u32, checksum: u64) -> Result<Vec<Record>, Failed> {
        if count as usize > MOST_EVENTS {
            return Err(Failed::Garbage(format!(
                "{count} events do not fit the log"
            )));
        }
        let mut area = vec![0; count as usize * RECORD_BYTES];
        self.read(mailbox::EVENTS_AT, &mut area)?;
        if mailbox::checksum(&area) != checksum {
            return Err(Failed::Garbage(format!(
                "the checksum of {count} events is wrong"
            )));
        }
        let (records, _) = area.as_chunks::<RECORD_BYTES>();
        records
            .iter()
            .map(wire::decode_record)
            .collect::<Result<_, WireError>>()
            .map_err(garbage)
    }

    fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<(), Failed> {
        self.ram.copy_out(place(offset), bytes).map_err(outside)
    }
}

/// An image that logs too little must not pass for one that does little: the log
/// holds what the last step counts, and loses events only where it is full.
fn check_count(steps: &[StepReply], logged: u32, lost: u32) -> Result<(), Failed> {
    let counted = steps.last().map_or(0, |step| step.events);
    if u64::from(logged) + u64::from(lost) != u64::from(counted) {
        return Err(Failed::Garbage(format!(
            "{logged} events in the log and {lost} lost, where its steps count {counted}"
        )));
    }
    if lost > 0 && logged as usize != MOST_EVENTS {
        return Err(Failed::Garbage(format!(
            "{lost} events lost by a log that holds {logged} of {MOST_EVENTS}"
        )));
    }
    Ok(())
}

/// Waits until `done` answers true, without pause at first.
fn wait(
    process: &Process,
    timeout: Duration,
    mut done: impl FnMut() -> Result<bool, Failed>,
) -> Result<(), Failed> {
    let start = Instant::now();
    while !done()? {
        let waited = start.elapsed();
        if waited < SPIN {
            std::hint::spin_loop();
            continue;
        }
        let ended = process
            .has_ended_within(Duration::from_millis(1))
            .map_err(Failed::Host)?;
        if ended {
            // It may have answered just before.
            return if done()? { Ok(()) } else { Err(Failed::Ended) };
        }
        if waited >= timeout {
            return Err(Failed::TimedOut);
        }
    }
    Ok(())
}

/// The physical address of a place in the window.
fn place(offset: usize) -> u64 {
    mailbox::MAILBOX.base + offset as u64
}

/// The window lies in RAM, so this is not expected; it is no reason to panic.
fn outside(error: OutOfRam) -> Failed {
    Failed::Host(io::Error::other(error))
}

fn garbage(error: impl std::fmt::Display) -> Failed {
    Failed::Garbage(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops::Outcome;

    const FULL: u32 = 491_520;

    fn steps(events: u32) -> [StepReply; 2] {
        let step = StepReply::without_probe(Outcome::Done);
        [
            StepReply { events: 1, ..step },
            StepReply { events, ..step },
        ]
    }

    fn told(steps: &[StepReply], logged: u32, lost: u32) -> String {
        match check_count(steps, logged, lost) {
            Err(Failed::Garbage(what)) => what,
            other => panic!("expected garbage, got {other:?}"),
        }
    }

    #[test]
    fn a_log_that_holds_what_the_steps_count_is_an_answer() {
        check_count(&steps(7), 7, 0).unwrap();
        check_count(&[], 0, 0).unwrap();
        check_count(&steps(FULL + 5), FULL, 5).unwrap();
    }

    #[test]
    fn an_empty_or_short_log_is_garbage() {
        for logged in [0, 6, 8] {
            let what = told(&steps(7), logged, 0);
            assert!(what.ends_with("where its steps count 7"), "{what}");
        }
        told(&steps(u32::MAX), u32::MAX - 7, 0);
        told(&[], 1, 0);
    }

    #[test]
    fn events_are_lost_by_a_full_log_only() {
        let what = told(&steps(7), 3, 4);
        assert!(what.starts_with("4 events lost by a log"), "{what}");
    }
}
