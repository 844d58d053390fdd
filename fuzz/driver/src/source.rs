//! The page source of a sequence: the default pool, which fails where it is told
//! to, logs each page that changes hands, and poisons what it takes back.

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
    page_bytes: u64,
    platform: &'a P,
    log: &'a L,
    /// Allocations that still succeed before one fails, or `NEVER`.
    succeeding: AtomicU32,
    lent: AtomicU32,
}

impl<'a, P: Testbed, L: Log> Source<'a, P, L> {
    pub(crate) fn new(
        machine: &Machine,
        platform: &'a P,
        log: &'a L,
        notes: &'a [PageInfo],
    ) -> Result<Source<'a, P, L>, LabError> {
        let page_bytes = machine.granule.bytes();
        let place = ops::MachineError::PoolPlace(machine.pool.base);
        let pool = Pool::new(
            Pa::new(machine.pool.base),
            page_bytes.trailing_zeros(),
            notes,
        )
        .map_err(|_| LabError::Machine(place))?;
        let (succeeding, lent) = (AtomicU32::new(NEVER), AtomicU32::new(0));
        Ok(Source {
            pool,
            page_bytes,
            platform,
            log,
            succeeding,
            lent,
        })
    }

    /// Plans the failure of one allocation, in place of any planned before.
    pub(crate) fn fail_after(&self, allocations: u16) {
        self.succeeding.store(u32::from(allocations), Relaxed);
    }

    /// Pages that are not free.
    pub(crate) fn lent(&self) -> u32 {
        self.lent.load(Relaxed)
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
        self.lent.fetch_add(1 << order, Relaxed);
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
        self.platform
            .fill(first, self.page_bytes << order, poison());
        self.lent.fetch_sub(1 << order, Relaxed);
        self.pool.release(first, order);
    }

    fn add_references(&self, page: Pa, count: u16) {
        self.pool.add_references(page, count);
    }

    fn drop_references(&self, page: Pa, count: u16) -> u16 {
        self.pool.drop_references(page, count)
    }

    fn references(&self, page: Pa) -> u16 {
        self.pool.references(page)
    }

    fn next(&self, page: Pa) -> Option<Pa> {
        self.pool.next(page)
    }

    fn set_next(&self, page: Pa, next: Option<Pa>) {
        self.pool.set_next(page, next);
    }
}
