//! What an operation may change in place (G4 of the contract): from one valid
//! descriptor to another without invalid between.
//!
//! It leaves out what the architecture alone allows: see `bbm`.

use super::bbm::{self, Valid};
use crate::descriptor::{ACCESS_FLAG, ATTRIBUTES, CONTIGUOUS, MODIFIER};
use crate::ledger::{Format, Live, Tables};
use crate::operation::{Action, Operation};
use crate::walk::Entry;

/// Permissions (S2AP, XN), access flag and dirty state.
const FLAGS: u64 = 0b11 << 6 | 0b11 << 53 | ACCESS_FLAG | MODIFIER;

/// Bits 58:55, which no TLB holds.
const SOFTWARE: u64 = 0b1111 << 55;

/// What a block and the parts of it need not share: it is young if one of them is, and
/// the contiguous bit says nothing of one leaf.
const RESIZED: u64 = ACCESS_FLAG | CONTIGUOUS;

/// The changes in place that one operation may make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InPlace {
    /// Permissions, access flag, dirty state and software bits of a leaf.
    pub flags: bool,
    /// A table may take the place of a block that maps alike (BBM level 2).
    pub splits: bool,
    /// A block may take the place of a table that maps alike (BBM level 2).
    pub coalesces: bool,
    /// The contiguous bit (BBM level 2).
    pub contiguous: bool,
}

impl InPlace {
    /// G4, for an operation on a machine with that FEAT_BBM level.
    pub fn of(operation: &Operation, bbm: u8) -> InPlace {
        let range = match operation {
            Operation::Range { action, .. } => Some(*action),
            _ => None,
        };
        let flags = matches!(
            operation,
            Operation::Protect { .. } | Operation::Relax { .. } | Operation::MakeYoung { .. }
        ) || matches!(range, Some(Action::WriteProtect | Action::ClearYoung));
        let splits = matches!(
            operation,
            Operation::Map { .. }
                | Operation::Unmap { .. }
                | Operation::Protect { .. }
                | Operation::Annotate { .. }
        ) || range == Some(Action::Split);
        InPlace {
            flags,
            splits: splits && bbm >= 2,
            coalesces: range == Some(Action::Coalesce) && bbm >= 2,
            contiguous: bbm >= 2,
        }
    }

    /// The bits of a leaf that may change.
    fn changeable(self) -> u64 {
        let when = |allowed, bits| if allowed { bits } else { 0 };
        when(self.flags, FLAGS | SOFTWARE) | when(self.contiguous, CONTIGUOUS)
    }

    /// Whether the event may replace one valid descriptor by another. It has linked or
    /// unlinked the table already.
    pub(super) fn allows(self, live: &Live, tables: &Tables) -> bool {
        let (old, new, level) = (live.old, live.descriptor, live.place.level);
        match (tables.entry(level, old), live.entry) {
            (Entry::Leaf { .. }, Entry::Leaf { .. }) => (old ^ new) & !self.changeable() == 0,
            (Entry::Leaf { pa }, Entry::Table { next }) => {
                self.splits && maps_alike(next, level + 1, pa, old, tables)
            }
            (Entry::Table { next }, Entry::Leaf { pa }) => {
                self.coalesces && maps_alike(next, level + 1, pa, new, tables)
            }
            _ => false,
        }
    }

    /// Whether a descriptor that changed in place, and may be held yet, may meet a new
    /// one over the same addresses. That a table maps alike was found when it took a
    /// block's place, or lost its own.
    pub(super) fn may_meet(self, format: &Format, old: Valid, new: Valid) -> bool {
        match (old.entry(format), new.entry(format)) {
            (Entry::Leaf { .. }, Entry::Leaf { .. }) => {
                let changed = (old.descriptor ^ new.descriptor) & ATTRIBUTES;
                let mut ignored = self.changeable() | format.hardware_bits(old.descriptor);
                if old.place.level != new.place.level {
                    ignored |= RESIZED;
                }
                !bbm::is_moved(format, old, new) && changed & !ignored == 0
            }
            (Entry::Table { .. }, Entry::Table { .. }) => old.place != new.place,
            _ => true,
        }
    }
}

/// Whether a table of `level` at `page` maps all that a block with these attributes maps
/// to memory from `pa` on.
fn maps_alike(page: u64, level: i8, pa: u64, block: u64, tables: &Tables) -> bool {
    let Some(number) = tables.number(page) else {
        return false;
    };
    let (format, bytes) = (tables.format(), tables.format().entry_bytes(level));
    let ignored = RESIZED | format.hardware_bits(block);
    let mut entries = tables.contents(number).iter().zip(0..);
    entries.all(|(&descriptor, index)| {
        let wanted = pa.wrapping_add(index * bytes);
        match tables.entry(level, descriptor) {
            Entry::Invalid => false,
            Entry::Leaf { pa } => pa == wanted && (block ^ descriptor) & ATTRIBUTES & !ignored == 0,
            Entry::Table { next } => maps_alike(next, level + 1, wanted, block, tables),
        }
    })
}
