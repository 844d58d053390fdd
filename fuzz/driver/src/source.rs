//! The page source of a sequence: the default pool, which fails where it is told
//! to, logs each page that changes hands, and poisons what it takes back. A subject
//! may be faulty: what it asks of pages that it does not have never reaches the pool.

use crate::loans::Loans;
use crate::{LabError, Log, Testbed};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use hyp::addr::Pa;
use hyp::pages::{PageInfo, PageSource, Pool};
use ops::{Event, Machine, poison};

/// No failure is planned.
const NEVER: u32 = u32::MAX;

/// The pool of a sequence.
#[derive(Debug)]
pub struct Source<'a, P, L> {
    pool: Pool<'a>,
    base: Pa,
    platform: &'a P,
    log: &'a L,
    /// Allocations that still succeed before one fails, or `NEVER`.
    succeeding: AtomicU32,
    loans: Loans,
}

impl<'a, P: Testbed, L: Log> Source<'a, P, L> {
    pub(crate) fn new(
        machine: &Machine,
        platform: &'a P,
        log: &'a L,
        notes: &'a [PageInfo],
    ) -> Result<Source<'a, P, L>, LabError> {
        let base = Pa::new(machine.pool.base);
        let page_shift = machine.granule.bytes().trailing_zeros();
        let place = ops::MachineError::PoolPlace(machine.pool.base);
        let pool = Pool::new(base, page_shift, notes).map_err(|_| LabError::Machine(place))?;
        Ok(Source {
            pool,
            base,
            platform,
            log,
            succeeding: AtomicU32::new(NEVER),
            loans: Loans::new(),
        })
    }

    /// Whether a page is on loan. Where not, it is a stray access of the subject,
    /// which the pool itself would answer by corrupting its lists.
    fn is_lent(&self, page: Pa) -> bool {
        let is_lent = self.loans.holds(self.number(page));
        if !is_lent {
            self.platform.stray(page);
        }
        is_lent
    }

    /// The number of a page of the pool; of others, a number that no page has.
    fn number(&self, page: Pa) -> usize {
        let bytes = page.raw().wrapping_sub(self.base.raw());
        let is_page = bytes.is_multiple_of(self.page_bytes());
        if is_page {
            usize::try_from(bytes / self.page_bytes()).unwrap_or(usize::MAX)
        } else {
            usize::MAX
        }
    }

    /// Plans the failure of one allocation, in place of any planned before.
    pub(crate) fn fail_after(&self, allocations: u16) {
        self.succeeding.store(u32::from(allocations), Relaxed);
    }

    /// Pages that are not free.
    pub(crate) fn lent(&self) -> u32 {
        self.loans.count()
    }

    /// Each page on loan, by physical address, and its references.
    pub(crate) fn references_by_page(&self) -> impl Iterator<Item = (u64, u16)> {
        self.loans.pages().map(|number| {
            let page = self.base.forward(number as u64 * self.page_bytes());
            (page.raw(), self.pool.references(page))
        })
    }

    /// Counts an allocation down, and says whether it is the one to fail.
    fn strikes(&self) -> bool {
        match self.succeeding.load(Relaxed) {
            NEVER => false,
            0 => {
                self.succeeding.store(NEVER, Relaxed);
                true
            }
            left => {
                self.succeeding.store(left - 1, Relaxed);
                false
            }
        }
    }
}

impl<P: Testbed, L: Log> PageSource for Source<'_, P, L> {
    fn page_bytes(&self) -> u64 {
        self.pool.page_bytes()
    }

    fn allocate(&self, order: u8) -> Option<Pa> {
        if self.strikes() {
            self.log.record(Event::AllocateFailed {
                order,
                injected: true,
            });
            return None;
        }
        let Some(page) = self.pool.allocate(order) else {
            self.log.record(Event::AllocateFailed {
                order,
                injected: false,
            });
            return None;
        };
        self.loans.begin(self.number(page), order);
        self.log.record(Event::Allocate {
            page: page.raw(),
            order,
        });
        Some(page)
    }

    fn release(&self, first: Pa, order: u8) {
        self.log.record(Event::Release {
            page: first.raw(),
            order,
        });
        // What is not on loan stays as it is: the event tells the oracle.
        if self.loans.end(self.number(first), order) {
            self.platform
                .fill(first, self.page_bytes() << order, poison());
            self.pool.release(first, order);
        }
    }

    fn add_references(&self, page: Pa, count: u16) {
        if self.is_lent(page) {
            self.pool.add_references(page, count);
        }
    }

    fn drop_references(&self, page: Pa, count: u16) {
        if self.is_lent(page) {
            self.pool.drop_references(page, count);
        }
    }

    fn references(&self, page: Pa) -> u16 {
        if self.is_lent(page) {
            self.pool.references(page)
        } else {
            0
        }
    }

    fn next(&self, page: Pa) -> Option<Pa> {
        if self.is_lent(page) {
            self.pool.next(page)
        } else {
            None
        }
    }

    fn set_next(&self, page: Pa, next: Option<Pa>) {
        let lent = |page: &Pa| self.is_lent(*page);
        if lent(&page) && next.as_ref().is_none_or(lent) {
            self.pool.set_next(page, next);
        }
    }
}
