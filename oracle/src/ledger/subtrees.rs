//! Subtrees that are built in one operation and linked or discarded in another
//! (section B): which pages belong to one, and that none of them is forgotten.

use super::{Ledger, State, Work};
use crate::verdict::{Class, Finding};

/// What one operation did to them.
#[derive(Clone, Debug, Default)]
pub(super) struct Subtrees {
    /// Pages of the cache that build stored to, by number, some more than once.
    filled: Vec<usize>,
    /// A VM of which a page was linked.
    linked: Option<usize>,
    /// A VM of which a page went back.
    discarded: Option<usize>,
}

impl Subtrees {
    pub(super) fn begin(&mut self) {
        self.filled.clear();
        (self.linked, self.discarded) = (None, None);
    }

    pub(super) fn link(&mut self, vm: Option<usize>) {
        self.linked = self.linked.or(vm);
    }

    pub(super) fn discard(&mut self, vm: usize) {
        self.discarded = Some(vm);
    }
}

impl Ledger {
    /// A store to a page that walkers cannot reach.
    pub(super) fn fill(&mut self, number: usize) {
        if let Work::Build { .. } = self.work
            && self.tables.state(number) == State::Cached
            && self.built.filled.last() != Some(&number)
        {
            self.built.filled.push(number);
        }
    }

    /// The operation is over: what build filled is a subtree, and where a page of one
    /// left, all of it did (B3, B4).
    pub(super) fn end_of_subtrees(&mut self) -> Result<(), Finding> {
        if let Work::Build { vm, .. } = self.work {
            for index in 0..self.built.filled.len() {
                let number = self.built.filled[index];
                if self.tables.state(number) == State::Cached && !self.tables.is_zero(number) {
                    self.tables.make_built(number, vm);
                }
            }
        }
        match (self.built.linked, self.built.discarded, self.work) {
            (Some(vm), ..) => self.nothing_is_built(vm, "B3", "a table that was built is linked"),
            (_, Some(vm), _) => self.nothing_is_built(vm, "B4", "a table that was built went back"),
            (.., Work::Free { vm }) if self.root(vm).is_none() => {
                self.nothing_is_built(vm, "B4", "the VM is gone")
            }
            _ => Ok(()),
        }
    }

    fn nothing_is_built(&self, vm: usize, rule: &'static str, why: &str) -> Result<(), Finding> {
        let built = |&&number: &&usize| {
            let of_vm = self.tables.place(number).vm == vm;
            of_vm && self.tables.state(number) == State::Built
        };
        match self.tables.touched().iter().find(built) {
            None => Ok(()),
            Some(&number) => {
                let page = self.tables.address(number);
                let what = format!("{why}, and the one that was built at {page:#x} is left");
                Err(Finding::new(Class::Leak, rule, what).of(vm))
            }
        }
    }
}
