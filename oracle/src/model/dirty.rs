//! What an operation must tell the dirty log (H3).

use super::content::Stretch;
use super::legal::Configuration;

/// Leaves of equal size that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Leaves {
    ipa: u64,
    bytes: u64,
    leaf_bytes: u64,
}

/// The dirty leaves that one operation took away, or took the permission to write from.
#[derive(Clone, Debug, Default)]
pub(super) struct Dirty {
    leaves: Vec<Leaves>,
}

impl Dirty {
    pub(super) fn clear(&mut self) {
        self.leaves.clear();
    }

    /// The leaves of a stretch go, or may not be written any more.
    pub(super) fn gone(&mut self, stretch: &Stretch, configuration: &Configuration) {
        if stretch.content.is_dirty() && stretch.bytes != 0 {
            self.leaves.push(Leaves {
                ipa: stretch.ipa,
                bytes: stretch.bytes,
                leaf_bytes: configuration.entry_bytes(stretch.level),
            });
        }
    }

    /// First IPA and bytes of each leaf, ascending: operations go through their range
    /// in ascending order.
    pub(super) fn leaves(&self) -> impl Iterator<Item = (u64, u64)> {
        self.leaves.iter().flat_map(|leaves| {
            let count = leaves.bytes / leaves.leaf_bytes;
            (0..count).map(|n| (leaves.ipa + n * leaves.leaf_bytes, leaves.leaf_bytes))
        })
    }
}
