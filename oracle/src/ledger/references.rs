//! Reference counts at rest, page by page (G9). It leaves out when they change: only
//! what they are once the operation is over has a meaning.

use super::{Ledger, State, Tables};
use crate::verdict::{Class, Finding};

impl Ledger {
    /// G9: the references that a page source counts to each page, given as physical
    /// address and count in any order, are the entries of that page, as a table, that are
    /// valid or hold a mark. A page that is no table has none, and a table that is left
    /// out counts as 0. The cost follows the tables in use.
    ///
    /// # Errors
    /// The first page whose count differs: too many keep it for ever, too few give it
    /// back while it is in use.
    pub fn references(&self, counts: impl Iterator<Item = (u64, u16)>) -> Result<(), Finding> {
        let tables = &self.tables;
        let last = tables.touched().iter().max();
        let mut seen = vec![false; last.map_or(0, |last| last + 1)];
        for (page, count) in counts {
            let number = tables.number(page);
            let Some(number) = number.filter(|&number| tables.address(number) == page) else {
                let what = format!("references are counted to {page:#x}, no page of the pool");
                return Err(Finding::new(Class::UseAfterFree, "G9", what));
            };
            if let Some(seen) = seen.get_mut(number) {
                *seen = true;
            }
            check(tables, number, count)?;
        }
        let left_out = |number: &&usize| !seen[**number];
        let mut left_out = tables.touched().iter().filter(left_out);
        left_out.try_for_each(|&number| check(tables, number, 0))
    }
}

fn check(tables: &Tables, number: usize, count: u16) -> Result<(), Finding> {
    let entries = counted_entries(tables, number);
    let class = match usize::from(count).cmp(&entries) {
        std::cmp::Ordering::Equal => return Ok(()),
        std::cmp::Ordering::Greater => Class::Leak,
        std::cmp::Ordering::Less => Class::UseAfterFree,
    };
    let state = tables.state(number);
    let what = format!(
        "{count} references are counted to the page at {:#x}, which is {state} with {entries} entries that are not zero",
        tables.address(number)
    );
    let finding = Finding::new(class, "G9", what);
    let finding = finding.differs("references", entries.to_string(), count.to_string());
    Err(match state {
        State::Free | State::Cached => finding,
        State::Root | State::Linked { .. } | State::Built | State::Unlinked => {
            let place = tables.place(number);
            finding.at(place.vm, place.ipa, 0)
        }
    })
}

/// Whatever is not zero: valid entries and marks.
fn counted_entries(tables: &Tables, number: usize) -> usize {
    match tables.state(number) {
        State::Root | State::Linked { .. } | State::Built => {
            let not_zero = |word: &&u64| **word != 0;
            tables.contents(number).iter().filter(not_zero).count()
        }
        State::Free | State::Cached | State::Unlinked => 0,
    }
}
