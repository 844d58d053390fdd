//! Pages that change hands: allocations, their failures, releases, and the top-up
//! of the page cache (section P).

use super::{Ledger, Place, Root, State, Work, next_nonzero};
use crate::model::Supply;
use crate::verdict::{Class, Finding};
use crate::walk::Entry;

/// What one operation took from the page source.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Purchase {
    /// Pages in the cache when the top-up was over, once it is.
    available: Option<u32>,
    failed: bool,
}

impl Purchase {
    /// The operation begins to use pages: the top-up is over.
    pub(super) fn close(&mut self, cached: u32) {
        self.available.get_or_insert(cached);
    }

    pub(super) fn supply(&self, cached: u32) -> Supply {
        Supply {
            available: self.available.unwrap_or(cached),
            root_failed: self.failed,
        }
    }
}

impl Ledger {
    /// What the page cache must hold after the top-up of this operation, at least.
    pub fn top_up_target(&self) -> u32 {
        match self.work {
            Work::Change { capacity } | Work::Build { capacity, .. } if !self.purchase.failed => {
                capacity
            }
            _ => 0,
        }
    }

    /// P2, for an operation that was not refused.
    ///
    /// # Errors
    /// The cache is short of its stated capacity without a reason.
    pub fn end_top_up(&self) -> Result<(), Finding> {
        let (available, capacity) = (self.supply().available, self.top_up_target());
        if available >= capacity {
            return Ok(());
        }
        let what = format!(
            "the page cache holds {available} pages after the top-up, its stated capacity is {capacity}, and no allocation failed"
        );
        Err(Finding::new(Class::ReturnValue, "P2", what))
    }

    pub(super) fn allocate(&mut self, page: u64, order: u8) -> Result<(), Finding> {
        self.may_allocate(order)?;
        let (first, last) = self.run(page, order, "hands out")?;
        for number in first..=last {
            let state = self.tables.state(number);
            if state != State::Free {
                let what = format!(
                    "the page source hands out {:#x}, which is {state}",
                    self.tables.address(number)
                );
                return Err(Finding::new(Class::UseAfterFree, "P4", what));
            }
            self.tables.take(number, first);
        }
        if let Work::Create { vm, .. } = self.work {
            self.make_root(vm, page, first, last);
        }
        Ok(())
    }

    fn make_root(&mut self, vm: usize, page: u64, first: usize, last: usize) {
        let format = *self.tables.format();
        let level = format.start_level().unwrap_or_default();
        let span = format.entry_bytes(level) * u64::from(format.entries_per_table());
        for (index, number) in (first..=last).enumerate() {
            let ipa = index as u64 * span;
            self.tables.make_root(number, Place { vm, level, ipa });
        }
        self.roots.push(Root {
            vm,
            base: page,
            first,
            last,
        });
    }

    /// P1 to P3, C3, F2: who may take how many pages when.
    fn may_allocate(&self, order: u8) -> Result<(), Finding> {
        let pages = format_args!("2^{order} page(s)").to_string();
        let finding = |class, rule, why: &str| {
            Err(Finding::new(
                class,
                rule,
                format!("{pages} taken from the page source, {why}"),
            ))
        };
        match self.work {
            Work::Create { vm, order: root } if self.root(vm).is_none() => match order.cmp(&root) {
                std::cmp::Ordering::Equal => Ok(()),
                std::cmp::Ordering::Less => finding(
                    Class::UseAfterFree,
                    "C3",
                    &format!("where the root needs 2^{root}"),
                ),
                std::cmp::Ordering::Greater => {
                    finding(Class::Leak, "C3", &format!("where the root needs 2^{root}"))
                }
            },
            Work::Create { .. } => finding(Class::Leak, "C3", "and the root is there already"),
            Work::Change { .. } | Work::Build { .. } if order != 0 => finding(
                Class::ReturnValue,
                "P2",
                "where the top-up takes single pages",
            ),
            Work::Change { .. } | Work::Build { .. } if self.purchase.available.is_some() => {
                finding(
                    Class::ReturnValue,
                    "P1",
                    "not before the operation but in the middle of it",
                )
            }
            Work::Change { capacity } | Work::Build { capacity, .. }
                if self.counts().cached >= capacity =>
            {
                finding(
                    Class::Leak,
                    "P2",
                    &format!("where the page cache holds its {capacity} already"),
                )
            }
            Work::Change { .. } | Work::Build { .. } => Ok(()),
            Work::Free { .. } => finding(Class::Leak, "F2", "which free does not need"),
            Work::Discard { .. } | Work::Other => {
                finding(Class::Leak, "P1", "by an operation that needs none")
            }
        }
    }

    pub(super) fn allocate_failed(&mut self, order: u8, injected: bool) -> Result<(), Finding> {
        self.purchase.failed = true;
        if injected {
            return Ok(());
        }
        match self.free_run(order) {
            None => Ok(()),
            Some(number) => {
                let what = format!(
                    "the allocation of 2^{order} page(s) failed, and those at {:#x} are free",
                    self.tables.address(number)
                );
                Err(Finding::new(Class::Leak, "P4", what))
            }
        }
    }

    /// The first naturally aligned run of free pages. Looks through the pool.
    fn free_run(&self, order: u8) -> Option<usize> {
        let length = 1usize.checked_shl(order.into())?;
        let bytes = self.tables.page_bytes().checked_mul(length as u64)?;
        if self.counts().free == 0 || self.tables.is_empty() {
            return None;
        }
        let base = self.tables.address(0).checked_next_multiple_of(bytes)?;
        let first = self.tables.number(base)?;
        let starts = (first..self.tables.len()).step_by(length);
        let fits = |&start: &usize| length <= self.tables.len() - start;
        let free = |number| self.tables.state(number) == State::Free;
        starts
            .take_while(fits)
            .find(|&start| (start..start + length).all(free))
    }

    pub(super) fn release(&mut self, page: u64, order: u8) -> Result<(), Finding> {
        self.purchase.close(self.counts().cached);
        let (first, last) = self.run(page, order, "takes back")?;
        let run = self.tables.run_of(first);
        for number in first..=last {
            self.may_release(number)?;
            if self.tables.state(number) == State::Built {
                self.built.discard(self.tables.place(number).vm);
            }
            if self.tables.run_of(number) != run {
                let what = format!(
                    "2^{order} page(s) at {page:#x} go back in one piece, and were not allocated in one"
                );
                return Err(Finding::new(Class::Leak, "G6", what));
            }
            self.tables.give_back(number);
        }
        let tables = &self.tables;
        let held = |number| tables.state(number) == State::Root;
        self.roots.retain(|root| (root.first..=root.last).any(held));
        Ok(())
    }

    fn may_release(&self, number: usize) -> Result<(), Finding> {
        let state = self.tables.state(number);
        let page = self.tables.address(number);
        let place = self.tables.place(number);
        let wrong = |why: &str| {
            let what = format!("the page at {page:#x} goes back to the page source {why}");
            Finding::new(Class::UseAfterFree, "G6", what)
        };
        match state {
            State::Cached | State::Unlinked => Ok(()),
            State::Built => match self.work {
                Work::Discard { vm } | Work::Free { vm } if vm == place.vm => Ok(()),
                _ => Err(wrong(&format!("while it is {state}")).of(place.vm)),
            },
            State::Free => Err(wrong("and is free already")),
            State::Linked { .. } => {
                Err(wrong(&format!("while it is {state}")).at(place.vm, place.ipa, 0))
            }
            State::Root => self
                .may_release_root(number, place)
                .map_err(|why| wrong(why).at(place.vm, place.ipa, 0)),
        }
    }

    /// F2, U8: a root goes with its VM, and empty.
    fn may_release_root(&self, number: usize, place: Place) -> Result<(), &'static str> {
        match self.work {
            Work::Free { vm } if vm == place.vm => {}
            _ => return Err("outside free of the VM whose root table it is"),
        }
        let contents = self.tables.contents(number);
        let mut from = 0;
        while let Some((index, descriptor)) = next_nonzero(contents, from) {
            if self.tables.entry(place.level, descriptor) != Entry::Invalid {
                return Err("while it is a root table with valid entries");
            }
            from = index + 1;
        }
        Ok(())
    }

    /// First and last page of an aligned run inside the pool.
    fn run(&self, page: u64, order: u8, verb: &str) -> Result<(usize, usize), Finding> {
        let wrong = |why: &str| {
            let what = format!("the page source {verb} 2^{order} page(s) at {page:#x}, {why}");
            Finding::new(Class::UseAfterFree, "P4", what)
        };
        let length = 1u64.checked_shl(order.into()).unwrap_or(0);
        let bytes = length.saturating_mul(self.tables.page_bytes());
        if bytes == 0 || !page.is_multiple_of(bytes) {
            return Err(wrong("not aligned to their size"));
        }
        let last = page.checked_add(bytes - 1);
        let last = last.and_then(|last| self.tables.number(last));
        let first = self.tables.number(page);
        first.zip(last).ok_or_else(|| wrong("outside the pool"))
    }
}
