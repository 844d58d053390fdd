//! EL2's own stage 1: a translation table walk by the architecture's rules, as a pure
//! function of registers, memory and address.
//!
//! Translation regime: Non-secure EL2 with `HCR_EL2.E2H` = 0, VMSAv8-64, 64-bit
//! descriptors, direct permissions (`TCR2_EL2` has no effect). The decisions are those
//! of the Arm pseudocode `AArch64.S1Translate` (DDI 0487 K.a), and each function here
//! names the pseudocode function that it answers for. What the two stages share is in
//! `params` and `descriptor`.
//!
//! It leaves out: TLBs (`protocol`), Secure, Realm and Root states, tag checks, FEAT_AIE,
//! FEAT_HAFT, FEAT_THE, unaligned accesses, atomics, and cache maintenance by address.

mod answer;
mod configuration;
mod leaf;
mod ranges;
mod trace;
mod translate;

pub use answer::{Answer, Fault, FaultKind, Translation};
pub(crate) use configuration::Controls;
pub use configuration::Stage1;
pub use ranges::{Meaning, Range, ranges, ranges_within};
pub use trace::trace;

pub use crate::descriptor::Entry;
pub use crate::walk::{Memory, Update, Why};

/// The registers that EL2's stage 1 reads, as raw values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Registers {
    /// `TCR_EL2`.
    pub tcr: u64,
    /// `TTBR0_EL2`.
    pub ttbr0: u64,
    /// `MAIR_EL2`.
    pub mair: u64,
    /// `SCTLR_EL2`, of which M, C, WXN and EE matter.
    pub sctlr: u64,
}

/// What the machine implements, for EL2's stage 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// What matters to both stages. FEAT_LPA2 and the 16K granule are those of stage 1
    /// (`ID_AA64MMFR0_EL1.TGRAN4` and `TGRAN16`); `xnx` and `fwb` do not count.
    pub both: crate::arch::Features,
    /// FEAT_LVA.
    pub lva: bool,
    /// FEAT_HPDS.
    pub hpds: bool,
    /// FEAT_PAuth, which brings `TCR_EL2.TBID`.
    pub pauth: bool,
    /// FEAT_XS, which defines more encodings in `MAIR_EL2`.
    pub xs: bool,
    /// FEAT_MTE2, which defines the encoding 0xf0 in `MAIR_EL2`.
    pub mte2: bool,
}

/// An 8-byte access at EL2, aligned, or an instruction fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
    /// An instruction fetch.
    Execute,
    /// `AT S1E2R`.
    AtRead,
    /// `AT S1E2W`. It asks for write permission and never sets dirty state.
    AtWrite,
}
