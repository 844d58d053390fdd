//! The steps of one walk, for a reader.

use super::{Access, Answer, Memory, Stage2};

/// One descriptor of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// Lookup level.
    pub level: i8,
    /// Physical address of the descriptor.
    pub at: u64,
    /// The descriptor; `None` where the read was aborted.
    pub descriptor: Option<u64>,
    /// What it decided.
    pub decision: Decision,
}

/// What a step decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// The walk goes on in the table at this physical address.
    Table {
        /// Physical address of the table.
        next: u64,
    },
    /// The walk ends.
    End(Answer),
}

/// The steps of the walk that [`Stage2::translate`] makes, the last one with its
/// answer. There are none where no descriptor is read: `translate` alone has the
/// answer then.
pub fn trace<M: Memory + ?Sized>(
    stage2: &Stage2,
    memory: &M,
    ipa: u64,
    access: Access,
) -> Vec<Step> {
    let mut steps = Vec::new();
    stage2.walk(memory, ipa, access, |step| steps.push(step));
    steps
}
