//! The event log: records go straight into the mailbox.

use crate::convert::to_u32;
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};
use ops::mailbox::{CHECKSUM_START, EVENTS_AT, EVENTS_BYTES, extend_checksum};
use ops::wire::{RECORD_BYTES, encode_record};
use ops::{Event, Record};

const RECORDS: u32 = to_u32(EVENTS_BYTES / RECORD_BYTES);
const WORDS: usize = RECORD_BYTES / 8;

/// The log of one sequence on the boot CPU.
pub(crate) struct EventLog<'a> {
    area: &'a [AtomicU64],
    wanted: bool,
    count: Cell<u32>,
    checksum: Cell<u64>,
}

impl<'a> EventLog<'a> {
    /// An empty log in this mailbox; where it is not wanted, it counts only.
    pub(crate) fn new(mailbox: &'a [AtomicU64], wanted: bool) -> EventLog<'a> {
        let area = &mailbox[EVENTS_AT / 8..];
        EventLog {
            area,
            wanted,
            count: Cell::new(0),
            checksum: Cell::new(CHECKSUM_START),
        }
    }

    /// Events so far, those that are not in the mailbox included.
    pub(crate) fn count(&self) -> u32 {
        self.count.get()
    }

    /// Events in the mailbox.
    pub(crate) fn stored(&self) -> u32 {
        if self.wanted {
            self.count().min(RECORDS)
        } else {
            0
        }
    }

    /// Events that the mailbox had no room for.
    pub(crate) fn lost(&self) -> u32 {
        if self.wanted {
            self.count() - self.stored()
        } else {
            0
        }
    }

    /// Checksum of the events in the mailbox.
    pub(crate) fn checksum(&self) -> u64 {
        self.checksum.get()
    }

    fn store(&self, index: u32, event: Event) {
        let bytes = encode_record(&Record { cpu: 0, event });
        let (words, _) = bytes.as_chunks::<8>();
        let place = &self.area[index as usize * WORDS..][..WORDS];
        for (slot, word) in place.iter().zip(words) {
            slot.store(u64::from_le_bytes(*word), Ordering::Relaxed);
        }
        self.checksum
            .set(extend_checksum(self.checksum.get(), &bytes));
    }
}

impl driver::Log for EventLog<'_> {
    fn record(&self, event: Event) {
        let index = self.count.get();
        if self.wanted && index < RECORDS {
            self.store(index, event);
        }
        self.count.set(index.saturating_add(1));
    }
}
