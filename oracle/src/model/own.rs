//! Map and unmap in the hypervisor's own address space (E4, E5): no live entry changes.

use super::Effects;
use super::change::{Wanted, alike};
use super::content::Stretch;
use super::space::Space;
use crate::operation::{Operation, Outcome, Refusal};

/// Section E: the operations that there are, on the one address space that there is.
pub(super) fn is_here(operation: &Operation) -> bool {
    let exists = matches!(
        operation,
        Operation::Create { .. }
            | Operation::Map { .. }
            | Operation::Unmap { .. }
            | Operation::Free { .. }
            | Operation::Access { .. }
            | Operation::Leaf { .. }
    );
    exists && operation.vm() == 0
}

impl Space {
    /// E4, M9 to M15, drawing on `available` pages.
    pub(super) fn put_own(
        &mut self,
        wanted: &Wanted,
        mut available: u32,
        effects: &mut Effects,
    ) -> Result<Outcome, Refusal> {
        if self.differs_from(wanted) {
            return Err(Refusal::Mapped);
        }
        self.add_neighbours(wanted.ipa, wanted.end(), effects);
        let mut at = wanted.ipa;
        while at < wanted.end() {
            if let Some(mapped) = self.covering(at) {
                at = mapped.end();
                continue;
            }
            // Something else is mapped below every table, so that no leaf takes its place.
            let table = self.deepest_table(at);
            let (level, alike_until) = alike(&self.configuration, wanted, at, table);
            let need = (level - table).unsigned_abs();
            let Some(left) = available.checked_sub(u32::from(need)) else {
                effects.edges.add_stop(at);
                return Ok(Outcome::NoPages {
                    done: at - wanted.ipa,
                    need: u16::from(need),
                });
            };
            available = left;
            let end = self.end_of_free_entries(at, level, alike_until);
            effects.edges.add(end);
            let new = Stretch {
                ipa: at,
                bytes: end - at,
                level,
                content: wanted.content_at(at),
            };
            self.replace(at, end, Some(new), &mut effects.dirty);
            at = end;
        }
        Ok(Outcome::Done)
    }

    /// Whether any address is mapped otherwise than asked for.
    fn differs_from(&self, wanted: &Wanted) -> bool {
        let mapped = &self.stretches[self.overlapping(wanted.ipa, wanted.end())];
        let differs = |stretch: &Stretch| {
            let first = stretch.ipa.max(wanted.ipa);
            !stretch
                .content_at(first)
                .serves_as(&wanted.content_at(first))
        };
        mapped.iter().any(differs)
    }

    /// How far entries of `level` in one table hold nothing, from one at `at` on.
    fn end_of_free_entries(&self, at: u64, level: i8, most: u64) -> u64 {
        let table_end = (at + 1).next_multiple_of(self.configuration.table_bytes(level));
        let next = self.stretches.get(self.first_ending_after(at));
        let bytes = self.configuration.entry_bytes(level);
        let free = next.map_or(u64::MAX, |next| next.ipa / bytes * bytes);
        most.min(table_end).min(free)
    }

    /// E5: whether an end of the range lies in the middle of a block.
    pub(super) fn cuts_a_block(&self, from: u64, to: u64) -> bool {
        [from, to].into_iter().any(|cut| {
            let block = self.covering(cut);
            block.is_some_and(|block| {
                !cut.is_multiple_of(self.configuration.entry_bytes(block.level))
            })
        })
    }
}
