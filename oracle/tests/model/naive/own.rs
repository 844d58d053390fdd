//! Map and unmap in the hypervisor's own address space (E4, E5).

use std::collections::BTreeSet;

use oracle::operation::{LeafContent, Outcome, Refusal};

use super::{Entry, Held, Naive, plus};

impl Naive {
    pub(crate) fn map_own(
        &mut self,
        ipa: u64,
        leaf: LeafContent,
        size: u64,
        pages_only: bool,
        mut cache: u32,
    ) -> Outcome {
        let page = self.page();
        for offset in (0..size).step_by(page.try_into().unwrap()) {
            let (level, entry) = self.walk(ipa + offset, 3);
            if let Some(Entry::Held(old)) = entry
                && old.plus((ipa + offset) % self.entry(level)) != Held::Leaf(plus(leaf, offset))
            {
                return Outcome::Refused(Refusal::Mapped);
            }
        }
        let mut done = 0;
        while done < size {
            let (found, entry) = self.walk(ipa + done, 3);
            if entry.is_some() {
                let bytes = self.entry(found);
                done = (ipa + done) / bytes * bytes + bytes - ipa;
                continue;
            }
            let blocks: &[i8] = if pages_only { &[] } else { self.block_levels };
            let fits = |level: &&i8| {
                let bytes = self.entry(**level);
                **level >= found
                    && (ipa + done).is_multiple_of(bytes)
                    && (leaf.pa + done).is_multiple_of(bytes)
                    && size - done >= bytes
            };
            let level = *blocks.iter().find(fits).unwrap_or(&3);
            let need = (level - found).unsigned_abs();
            if u32::from(need) > cache {
                let need = need.into();
                return Outcome::NoPages { done, need };
            }
            cache -= u32::from(need);
            self.put(ipa + done, level, Some(Held::Leaf(plus(leaf, done))));
            done += self.entry(level);
        }
        Outcome::Done
    }

    pub(crate) fn unmap_own(&mut self, ipa: u64, size: u64) -> Outcome {
        let mut cuts = BTreeSet::new();
        for cut in [ipa, ipa + size] {
            self.splits_at(cut, |_| true, &mut cuts);
        }
        if !cuts.is_empty() {
            return Outcome::Refused(Refusal::CutsBlock);
        }
        self.each(ipa, size, |_| None);
        Outcome::Done
    }
}
