//! The steps of one walk, for a reader.

use super::{Access, Answer, Memory, Stage2};

/// One descriptor of a walk that ends in an `A`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Step<A = Answer> {
    /// Lookup level.
    pub level: i8,
    /// Physical address of the descriptor.
    pub at: u64,
    /// The descriptor; `None` where the read was aborted.
    pub descriptor: Option<u64>,
    /// What it decided.
    pub decision: Decision<A>,
}

/// What a step decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision<A = Answer> {
    /// The walk goes on in the table at this physical address.
    Table {
        /// Physical address of the table.
        next: u64,
    },
    /// The walk ends.
    End(A),
}

impl<A> Step<A> {
    /// The same step of a walk whose answers have another form.
    pub(crate) fn map<B>(self, answer: impl FnOnce(A) -> B) -> Step<B> {
        Step {
            level: self.level,
            at: self.at,
            descriptor: self.descriptor,
            decision: match self.decision {
                Decision::Table { next } => Decision::Table { next },
                Decision::End(end) => Decision::End(answer(end)),
            },
        }
    }
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
