//! Subtrees that are built before they are linked (section B).

use super::Effects;
use super::content::{Content, Stretch};
use super::legal::{Configuration, PAGE_LEVEL};
use super::space::Space;
use crate::operation::LeafContent;

/// A subtree that is not linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Built {
    /// What it maps once it is linked.
    leaves: Stretch,
    /// Level of the entry that will lead to it.
    level: i8,
    /// Its tables.
    pub(super) tables: u64,
}

impl Built {
    /// B2: what maps the whole entry of `level` at `ipa`, as `leaf` from its first byte.
    pub(super) fn new(
        configuration: &Configuration,
        ipa: u64,
        level: i8,
        leaf: LeafContent,
        pages_only: bool,
    ) -> Built {
        let fits = |level: &i8| !pages_only && configuration.leaf_supported(*level);
        let leaf_level = (level + 1..PAGE_LEVEL).find(fits).unwrap_or(PAGE_LEVEL);
        let bytes = configuration.entry_bytes(level);
        let of_level = |level: i8| bytes / configuration.table_bytes(level);
        Built {
            leaves: Stretch {
                ipa,
                bytes,
                level: leaf_level,
                content: Content::Leaf(leaf),
            },
            level,
            tables: (level + 1..=leaf_level).map(of_level).sum(),
        }
    }

    /// The page need, of which 65535 stands for more.
    pub(super) fn need(&self) -> u16 {
        u16::try_from(self.tables).unwrap_or(u16::MAX)
    }
}

impl Space {
    /// B3: whether it took place; not where no tables lead down to the entry.
    pub(super) fn link(&mut self, built: &Built, effects: &mut Effects) -> bool {
        let Stretch { ipa, .. } = built.leaves;
        if self.deepest_table(ipa) < built.level {
            return false;
        }
        let end = built.leaves.end();
        self.add_neighbours(ipa, end, effects);
        effects.edges.add_range(ipa, built.leaves.bytes);
        // By M13 one leaf takes the place of what is there, whatever its size.
        self.replace(ipa, end, None, &mut effects.dirty);
        self.replace(ipa, end, Some(built.leaves), &mut effects.dirty);
        true
    }
}
