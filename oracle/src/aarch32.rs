//! Tables of an EL2 in AArch32 (Hyp mode): stage 2 of the Non-secure PL1&0 regime, and
//! Hyp mode's own stage 1, both in the VMSAv8-32 Long-descriptor format (DDI 0487 K.a,
//! G5.5).
//!
//! The walks are those of `walk` and `stage1` with other registers: the format is the 4K
//! one of VMSAv8-64 with tables at levels 1 to 3 and output addresses of 40 bits. These
//! differ:
//!
//! - A configuration or input address that no walk can use is a Translation fault at
//!   level 1, not 0.
//! - A stage-2 fetch needs read permission beside XN.
//! - `HSCTLR.EE` is the byte order of the tables of both stages.
//! - Hardware updates no descriptor; AF is software's. nT, DBM, GP and FWB do not exist:
//!   `VTCR`, `HTCR` and `HCR2` have no field for them.
//! - The machine's physical address size does not count: bits 47:40 of a base register
//!   or descriptor must be 0 (an Address size fault), and no size below 40 bits is
//!   checked.
//!
//! ARMv7 with the Large Physical Address Extension reads the same tables alike, but has
//! no Address size faults, HCR2, XNX and HPD: bits 47:40 are UNK/SBZP there.
//!
//! It leaves out: stage 1 of the guest, Secure state, TLBs, FEAT_XS, alignment faults.

mod byte_order;
pub mod report;
pub mod stage1;
pub mod stage2;

pub use stage1::Stage1;
pub use stage2::Stage2;

use crate::arch::Granule;
use crate::params::{State, WalkParams};

/// What the machine implements, as far as these tables need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// FEAT_XNX.
    pub xnx: bool,
    /// FEAT_AA32HPD, which brings `HTCR.HPD`.
    pub hpd: bool,
}

/// Size of every output address in bits.
const OUTPUT_BITS: u8 = 40;

/// Level of the largest tables and blocks.
const HIGHEST_LEVEL: i8 = 1;

/// The parameters of a walk through the Long-descriptor format.
fn long_descriptors(start_level: i8, input_bits: u8) -> WalkParams {
    WalkParams {
        granule: Granule::K4,
        start_level,
        input_bits,
        output_bits: OUTPUT_BITS,
        ds: false,
        lpa: false,
        hardware_access_flag: false,
        hardware_dirty_state: false,
        block_nt: false,
        unread_level: 1,
    }
}

/// The start of AArch32.S2Walk and AArch32.S1WalkLD: the root that `VTTBR` or `HTTBR`
/// holds. Bits 2:0 are neither address nor misalignment (DDI 0487 K.a, K1.1.15).
fn root(params: &WalkParams, register: u64) -> (State, u64) {
    params.root(register & 0x0000_ffff_ffff_fff8)
}
