//! What `HSR`, `HDFAR`, `HIFAR` and `HPFAR` hold after an abort that is taken to Hyp
//! mode: AArch32.FaultSyndrome, AArch32.ReportHypEntry (DDI 0487 K.a).
//!
//! Both exception levels are AArch32, External abort exceptions are not routed to EL3.
//! It leaves out `PAR`.

use crate::report::{self, IL, ISV_GROUP, Instruction, Known, Origin};
use crate::{stage1, walk};

/// The syndrome of an abort that is taken to Hyp mode, in registers of 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Abort {
    /// `HSR`.
    pub hsr: Known,
    /// `HDFAR`.
    pub hdfar: Known,
    /// `HIFAR`.
    pub hifar: Known,
    /// `HPFAR`, which holds `IPA[39:12]` in bits 31:4.
    pub hpfar: Known,
}

/// SF, which describes no register of AArch32.
const SF: u64 = 1 << 15;
const WORD: u64 = 0xffff_ffff;

/// The register without what AArch64 has above 32 bits.
const fn word(register: Known) -> Known {
    Known {
        value: register.value & WORD,
        mask: register.mask | !WORD,
    }
}

fn abort(abort: report::Abort, is_fetch: bool) -> Abort {
    let far = word(abort.far);
    let other = Known::all(0).but(WORD);
    Abort {
        hsr: word(abort.esr),
        hdfar: if is_fetch { other } else { far },
        hifar: if is_fetch { far } else { other },
        hpfar: word(abort.hpfar),
    }
}

/// The syndrome of a fault that stage 2 takes. Bits 31:0 of `origin.va` count, and a
/// transfer is never one of a 64-bit register.
///
/// `None` where no exception is taken to Hyp mode: a stage-1 fault of the guest, and a
/// fault of an address translation instruction that `PAR` reports.
pub fn stage2_abort(fault: &walk::Fault, access: walk::Access, origin: &Origin) -> Option<Abort> {
    let common = report::stage2_abort(fault, access, origin)?;
    let is_fetch = matches!(access, walk::Access::Execute { .. });
    let mut abort = abort(common, is_fetch);
    abort.hsr.value &= !SF;
    let is_transfer = matches!(access, walk::Access::Read | walk::Access::Write);
    if is_transfer && origin.walk.is_none() {
        let unknown = if fault.kind == walk::FaultKind::ExternalAbort {
            // Without FEAT_RAS ISV is IMPLEMENTATION DEFINED there.
            ISV_GROUP | IL
        } else if origin.instruction == Instruction::NoSyndrome {
            0
        } else {
            // With ISV, IL is the size of the instruction, which is not told.
            IL
        };
        abort.hsr = abort.hsr.but(unknown);
    }
    Some(abort)
}

/// The syndrome of a fault in Hyp mode's own stage 1 at `va`.
///
/// `None` where no exception is taken: a fault of an address translation instruction
/// that `PAR` reports.
pub fn hyp_abort(fault: &stage1::Fault, access: stage1::Access, va: u32) -> Option<Abort> {
    let common = report::el2_abort(fault, access, va.into())?;
    Some(abort(common, access == stage1::Access::Execute))
}
