//! What the bytes in table memory mean: a Stage-2 translation table walk by the
//! architecture's rules, as a pure function of registers, memory and address.
//!
//! Translation regime: Non-secure EL1&0, VMSAv8-64 at stage 2, `HCR_EL2.{E2H,TGE}`
//! = {0,0}, little-endian tables, 64-bit descriptors, direct permissions (D128 =
//! S2PIE = 0), stage 1 off: the IPA is the guest's address.
//!
//! The decisions are those of the Arm pseudocode `AArch64.S2Translate` (DDI 0487
//! K.a), and each function here names the pseudocode function that it answers for.
//! What the architecture leaves open is [`Answer::Unpredictable`].
//!
//! It leaves out: TLBs (`protocol`), Secure, Realm and Root states, FEAT_MTE,
//! FEAT_XS, FEAT_THE, FEAT_HAFT, unaligned accesses, atomics, cache maintenance by
//! address, and stage-1 walks.

mod answer;
mod attributes;
mod configuration;
mod leaf;
mod trace;
mod translate;

pub use answer::{Answer, Fault, FaultKind, Translation, Update, Why};
pub(crate) use attributes::Reported;
pub use configuration::Stage2;
pub(crate) use configuration::{Controls, start_level_is_inconsistent};
pub(crate) use leaf::{Fetches, Leaf, Permissions};
pub use trace::{Decision, Step, trace};

pub use crate::descriptor::Entry;

/// The registers that Stage-2 translation reads, as raw values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Registers {
    /// `VTCR_EL2`.
    pub vtcr: u64,
    /// `VTTBR_EL2`.
    pub vttbr: u64,
    /// `HCR_EL2`, of which VM, DC, RW, CD and FWB matter.
    pub hcr: u64,
}

/// Physical memory, as a table walker sees it.
pub trait Memory {
    /// The 8 bytes at `at`, a multiple of 8, as a little-endian number. `None` is a
    /// synchronous External abort.
    fn read(&self, at: u64) -> Option<u64>;

    /// Whether memory from `at` on, a multiple of 8, holds just these words. An
    /// implementation that compares them at once makes whole tables cheap.
    fn holds(&self, at: u64, words: &[u64]) -> bool {
        let mut at = Some(at);
        words.iter().all(|&word| {
            let here = at;
            at = at.and_then(|at| at.checked_add(8));
            here.is_some_and(|here| self.read(here) == Some(word))
        })
    }
}

/// An 8-byte access, aligned, or an instruction fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// A load at EL1 or EL0.
    Read,
    /// A store at EL1 or EL0.
    Write,
    /// An instruction fetch.
    Execute {
        /// At EL0, not EL1.
        el0: bool,
    },
    /// `AT S12E1R`.
    AtRead,
    /// `AT S12E1W`. It asks for write permission and never sets dirty state.
    AtWrite,
}
