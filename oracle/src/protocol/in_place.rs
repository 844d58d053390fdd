//! What an operation may change in place (G4 of the contract): from one valid
//! descriptor to another without invalid between.
//!
//! It leaves out what the architecture allows: see `bbm`.

use crate::ledger::Live;
use crate::operation::{Action, Operation};
use crate::walk::Entry;

/// Access flag, permissions (S2AP, at stage 1 AP), XN, and DBM.
const FLAGS: u64 = 1 << 10 | 0b11 << 6 | 0b11 << 53 | 1 << 51;

/// The changes in place that one operation may make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InPlace {
    /// Permissions, access flag and dirty state of a leaf.
    pub flags: bool,
    /// A block and a table that map alike may take each other's place.
    pub sizes: bool,
}

impl InPlace {
    /// G4, for an operation on a machine with that FEAT_BBM level.
    pub fn of(operation: &Operation, bbm: u8) -> InPlace {
        let flags = match operation {
            Operation::Protect { .. } | Operation::Relax { .. } | Operation::MakeYoung { .. } => {
                true
            }
            Operation::Range { action, .. } => {
                matches!(action, Action::WriteProtect | Action::ClearYoung)
            }
            _ => false,
        };
        let splits = match operation {
            Operation::Map { .. }
            | Operation::Unmap { .. }
            | Operation::Protect { .. }
            | Operation::Annotate { .. } => true,
            Operation::Range { action, .. } => matches!(action, Action::Split | Action::Coalesce),
            _ => false,
        };
        InPlace {
            flags,
            sizes: splits && bbm >= 2,
        }
    }

    /// Whether a valid descriptor may have been replaced as `live` says. That a block
    /// and a table map alike is not looked at here.
    pub(super) fn allows(self, was: Entry, live: &Live) -> bool {
        match (was, live.entry) {
            (Entry::Leaf { .. }, Entry::Leaf { .. }) => {
                self.flags && (live.old ^ live.descriptor) & !FLAGS == 0
            }
            (Entry::Leaf { .. }, Entry::Table { .. })
            | (Entry::Table { .. }, Entry::Leaf { .. }) => self.sizes,
            _ => false,
        }
    }
}
