//! Which physical memory one operation maintained in the caches, as far as barriers have
//! completed it (section K, W5).
//!
//! It leaves out which memory must be: that is for who knows the operation. The cleaning
//! of tables is in `lines`.

use std::ops::Range;

use crate::event::{Barrier, CacheOperation, Event, Record};

/// The smallest line: maintenance of a byte concerns this much at least.
const LINE: u64 = 64;

/// Addresses as ranges, ascending, none that touches the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<Range<u64>>);

impl Ranges {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds a range.
    pub(crate) fn add(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let first = self.0.partition_point(|old| old.end < range.start);
        let count = self.0[first..].partition_point(|old| old.start <= range.end);
        let joined = &self.0[first..first + count];
        let start = joined
            .first()
            .map_or(range.start, |old| old.start.min(range.start));
        let end = joined
            .last()
            .map_or(range.end, |old| old.end.max(range.end));
        self.0
            .splice(first..first + count, std::iter::once(start..end));
    }

    /// Whether all of a range is in it.
    pub(crate) fn covers(&self, range: &Range<u64>) -> bool {
        let first = self.0.partition_point(|old| old.end < range.end);
        let holds = |old: &Range<u64>| old.start <= range.start;
        range.is_empty() || self.0.get(first).is_some_and(holds)
    }

    /// The first range of it that is not wholly in another.
    pub(crate) fn first_beyond(&self, other: &Ranges) -> Option<&Range<u64>> {
        self.0.iter().find(|range| !other.covers(range))
    }
}

/// Maintenance that no barrier has completed.
#[derive(Clone, Debug)]
struct Open {
    by: u8,
    lines: Range<u64>,
    invalidates: bool,
}

/// What the operation maintained.
#[derive(Clone, Debug, Default)]
pub(crate) struct Maintenance {
    open: Vec<Open>,
    /// Cleaned, at least to the point of unification.
    cleaned: Ranges,
    /// Cleaned and invalidated to the point of coherency.
    flushed: Ranges,
    /// What was cleaned before the last invalidation of instruction caches, by whom that
    /// was, while it is not complete.
    fetches: Option<(u8, Ranges)>,
    /// What was cleaned before a complete invalidation of instruction caches.
    fetched: Ranges,
    /// A barrier has made the stores from before the operation visible.
    waited: bool,
    /// An invalidation of instruction caches behind such a barrier is complete.
    invalidated: bool,
    /// All that was maintained, complete or not.
    all: Ranges,
}

impl Maintenance {
    /// An operation starts.
    pub(crate) fn begin(&mut self) {
        self.open.clear();
        self.fetches = None;
        self.waited = false;
        self.invalidated = false;
        self.cleaned.clear();
        self.flushed.clear();
        self.fetched.clear();
        self.all.clear();
    }

    /// One event. `table` says whether an address belongs to table memory, whose cleaning
    /// for walkers is not looked at here.
    pub(crate) fn event(&mut self, record: &Record, table: impl Fn(u64) -> bool) {
        let by = record.cpu;
        match record.event {
            Event::Cache {
                operation,
                at,
                bytes,
            } if operation != CacheOperation::Cvac || !table(at) => {
                let end = at.saturating_add(bytes).checked_next_multiple_of(LINE);
                let lines = at & !(LINE - 1)..end.unwrap_or(u64::MAX);
                self.all.add(lines.clone());
                self.open.push(Open {
                    by,
                    lines,
                    invalidates: operation == CacheOperation::Civac,
                });
            }
            Event::InstructionCaches if self.waited => {
                self.fetches = Some((by, self.cleaned.clone()));
            }
            Event::Barrier(Barrier::DsbIsh) => self.complete(by),
            _ => {}
        }
    }

    fn complete(&mut self, by: u8) {
        for open in self.open.extract_if(.., |open| open.by == by) {
            self.cleaned.add(open.lines.clone());
            if open.invalidates {
                self.flushed.add(open.lines);
            }
        }
        if let Some((_, fetched)) = self.fetches.take_if(|(of, _)| *of == by) {
            self.fetched = fetched;
            self.invalidated = true;
        }
        self.waited = true;
    }

    /// K1: cleaned and invalidated to the point of coherency.
    pub(crate) fn is_flushed(&self, memory: &Range<u64>) -> bool {
        self.flushed.covers(memory)
    }

    /// K2, on a machine with CTR_EL0.IDC and DIC as given: fetches find what was stored.
    pub(crate) fn may_be_fetched(&self, memory: &Range<u64>, idc: bool, dic: bool) -> bool {
        match (idc, dic) {
            (true, true) => true,
            (true, false) => self.invalidated,
            (false, true) => self.cleaned.covers(memory),
            (false, false) => self.fetched.covers(memory),
        }
    }

    /// All memory that was maintained, complete or not, by whole lines.
    pub(crate) fn all(&self) -> &Ranges {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: u8 = 0;

    fn after(events: &[Event]) -> Maintenance {
        let mut maintenance = Maintenance::default();
        maintenance.begin();
        for &event in events {
            maintenance.event(&Record { cpu: CPU, event }, |_| false);
        }
        maintenance
    }

    fn cache(operation: CacheOperation, at: u64, bytes: u64) -> Event {
        Event::Cache {
            operation,
            at,
            bytes,
        }
    }

    const ISH: Event = Event::Barrier(Barrier::DsbIsh);
    const ISHST: Event = Event::Barrier(Barrier::DsbIshst);

    #[test]
    fn ranges_that_touch_are_one() {
        let mut ranges = Ranges::default();
        for start in [0, 128, 64, 512] {
            ranges.add(start..start + 64);
        }
        assert_eq!(ranges.0, [0..192, 512..576]);
        assert!(ranges.covers(&(64..192)));
        assert!(!ranges.covers(&(64..193)));
        assert!(!ranges.covers(&(192..512)));
        ranges.add(100..600);
        assert_eq!(ranges.0.len(), 1);
        assert!(ranges.covers(&(0..600)));
    }

    #[test]
    fn a_flush_is_complete_by_a_dsb_for_all_accesses() {
        let flush = cache(CacheOperation::Civac, 0x1000, 0x1000);
        assert!(!after(&[flush]).is_flushed(&(0x1000..0x2000)));
        assert!(!after(&[flush, ISHST]).is_flushed(&(0x1000..0x2000)));
        assert!(after(&[flush, ISH]).is_flushed(&(0x1000..0x2000)));
        assert!(!after(&[flush, ISH]).is_flushed(&(0x1000..0x2001)));
    }

    #[test]
    fn a_clean_is_no_flush() {
        let clean = cache(CacheOperation::Cvau, 0x1000, 0x1000);
        let maintenance = after(&[clean, ISH]);
        assert!(!maintenance.is_flushed(&(0x1000..0x2000)));
        assert!(maintenance.may_be_fetched(&(0x1000..0x2000), false, true));
    }

    #[test]
    fn instruction_caches_are_invalidated_after_the_clean_is_complete() {
        let clean = cache(CacheOperation::Cvau, 0x1000, 0x1000);
        let ic = Event::InstructionCaches;
        let fetched =
            |events: &[Event], idc, dic| after(events).may_be_fetched(&(0x1000..0x2000), idc, dic);
        assert!(fetched(&[clean, ISH, ic, ISH], false, false));
        assert!(!fetched(&[clean, ic, ISH], false, false));
        assert!(!fetched(&[clean, ISH, ic], false, false));
        assert!(!fetched(&[clean, ISH], false, false));
        assert!(fetched(&[ISH, ic, ISH], true, false));
        assert!(!fetched(&[ic, ISH], true, false));
        assert!(!fetched(&[ISH], true, false));
        assert!(fetched(&[], true, true));
    }

    #[test]
    fn a_line_holds_the_byte_that_is_named() {
        let line = cache(CacheOperation::Civac, 0x1010, 1);
        assert!(after(&[line, ISH]).is_flushed(&(0x1000..0x1040)));
    }
}
