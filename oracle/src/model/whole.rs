//! Operations on whole entries (section W), on one leaf (section Y), and what a guest's
//! access does to a leaf (section H), on one address space.

use super::Effects;
use super::content::Content;
use super::space::Space;
use crate::operation::{AccessKind, Execute, LeafContent, MemoryType, Prot};

impl Space {
    /// W2: every leaf and mark that `[from, to)` overlaps goes.
    pub(super) fn unmap_whole(&mut self, from: u64, to: u64, effects: &mut Effects) {
        self.add_ends(from, to, effects);
        let configuration = self.configuration;
        self.change(from, to, |old| {
            effects.dirty.gone(old, &configuration);
            None
        });
    }

    /// W3.
    pub(super) fn write_protect(&mut self, from: u64, to: u64, effects: &mut Effects) {
        self.add_ends(from, to, effects);
        self.set_prot(from, to, effects, |old, _| Prot {
            write: false,
            ..old
        });
    }

    /// W4.
    pub(super) fn soften(&mut self, from: u64, to: u64, effects: &mut Effects) {
        self.add_ends(from, to, effects);
        self.change(from, to, |old| {
            Some(match old.content {
                Content::Leaf(leaf) => Content::Softened(leaf),
                other => other,
            })
        });
    }

    /// W4.
    pub(super) fn revive(&mut self, from: u64, to: u64, effects: &mut Effects) {
        self.add_ends(from, to, effects);
        self.change(from, to, |old| {
            Some(match old.content {
                Content::Softened(leaf) => Content::Leaf(leaf),
                other => other,
            })
        });
    }

    /// W6: whether any leaf that `[from, to)` overlaps is young.
    pub(super) fn is_young(&self, from: u64, to: u64) -> bool {
        let old = &self.stretches[self.overlapping(from, to)];
        let mut leaves = old.iter().filter_map(|old| old.content.leaf());
        leaves.any(|leaf| leaf.young)
    }

    /// W6: none of the leaves that `[from, to)` overlaps is young any more.
    pub(super) fn clear_young(&mut self, from: u64, to: u64, effects: &mut Effects) {
        self.add_ends(from, to, effects);
        self.change_leaves(from, to, |leaf| leaf.young = false);
    }

    /// Y2: the leaf that covers `ipa`; its PA is that of the entry's first byte.
    pub(super) fn leaf(&self, ipa: u64) -> Option<LeafContent> {
        let (_, content) = self.covering(ipa)?.entry_at(ipa, &self.configuration);
        content.leaf()
    }

    /// Y3, for an IPA that a leaf covers.
    pub(super) fn make_young(&mut self, ipa: u64) {
        self.change_leaves(ipa, ipa + 1, |leaf| leaf.young = true);
    }

    /// Y4, for an IPA that a leaf covers. One that may not be written is clean.
    pub(super) fn relax(&mut self, ipa: u64, prot: Prot) {
        self.change_leaves(ipa, ipa + 1, |leaf| leaf.prot = sum(leaf.prot, prot));
    }

    /// H1 and H2, with `haf` and perhaps `hd`: what an access that the leaf permits
    /// leaves in it.
    pub(super) fn access(&mut self, ipa: u64, kind: AccessKind, hd: bool) {
        let permits = |leaf: &LeafContent| match kind {
            AccessKind::Read => leaf.prot.read,
            AccessKind::Write => leaf.prot.write,
            AccessKind::Execute => leaf.prot.execute.at_el1(),
        };
        self.change_leaves(ipa, ipa + 1, |leaf| {
            if permits(leaf) {
                leaf.young = true;
                leaf.dirty |= hd && kind == AccessKind::Write;
            }
        });
    }

    fn change_leaves(&mut self, from: u64, to: u64, change: impl Fn(&mut LeafContent)) {
        self.change(from, to, |old| {
            let mut content = old.content;
            if let Content::Leaf(leaf) = &mut content {
                change(leaf);
            }
            Some(content)
        });
    }

    /// Adds the ends of the entries that the ends of a range cut.
    pub(super) fn add_ends(&self, from: u64, to: u64, effects: &mut Effects) {
        self.add_neighbours(from, to, effects);
        self.add_block_edges(from, effects);
        self.add_block_edges(to - 1, effects);
    }
}

/// Y4: execution at EL1 and at EL0 add up to both.
pub(super) fn sum(one: Prot, two: Prot) -> Prot {
    let at = |execute: Execute| (execute.at_el1(), execute.at_el0());
    let ((a1, a0), (b1, b0)) = (at(one.execute), at(two.execute));
    let execute = match (a1 || b1, a0 || b0) {
        (true, true) => Execute::Both,
        (true, false) => Execute::El1,
        (false, true) => Execute::El0,
        (false, false) => Execute::Never,
    };
    Prot {
        read: one.read || two.read,
        write: one.write || two.write,
        execute,
    }
}

/// M7, Y4: memory that is never executed.
pub(super) fn is_device(memory: MemoryType) -> bool {
    matches!(memory, MemoryType::Device | MemoryType::DeviceStrict)
}
