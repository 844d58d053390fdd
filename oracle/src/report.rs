//! What `ESR_EL2`, `FAR_EL2`, `HPFAR_EL2` and `PAR_EL1` hold after a walk, UNKNOWN bits
//! included: AArch64.AbortSyndrome, AArch64.FaultSyndrome, AArch64.ReportException and
//! AArch64.EncodePAR (DDI 0487 K.a).
//!
//! Both exception levels are AArch64, External abort exceptions are not routed to EL3.
//! It leaves out what the walks leave out, and the features whose syndrome bits these
//! walks cannot set: FEAT_LS64, FEAT_THE, FEAT_S1POE, FEAT_S2POE, FEAT_GCS, FEAT_PFAR.

use crate::{stage1, walk};

/// A register as far as the architecture says what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Known {
    /// The known bits, and 0 for the others.
    pub value: u64,
    /// 1 for each known bit, 0 where it is UNKNOWN or IMPLEMENTATION DEFINED.
    pub mask: u64,
}

impl Known {
    /// Nothing is known.
    pub const UNKNOWN: Known = Known { value: 0, mask: 0 };

    pub(crate) const fn all(value: u64) -> Known {
        Known {
            value,
            mask: u64::MAX,
        }
    }

    pub(crate) const fn but(self, unknown: u64) -> Known {
        Known {
            value: self.value & !unknown,
            mask: self.mask & !unknown,
        }
    }

    /// Whether the register may hold `found`.
    pub const fn allows(&self, found: u64) -> bool {
        (found ^ self.value) & self.mask == 0
    }
}

/// The syndrome of an abort that is taken to EL2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Abort {
    /// `ESR_EL2`.
    pub esr: Known,
    /// `FAR_EL2`.
    pub far: Known,
    /// `HPFAR_EL2`.
    pub hpfar: Known,
}

/// What stage 2 does not know of the access that it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Virtual address of the access.
    pub va: u64,
    /// The address that stage 2 was asked for: on a stage-1 walk, the descriptor's.
    pub ipa: u64,
    /// The fault is on a stage-1 translation table walk, which was made for the access.
    pub walk: Option<Stage1Walk>,
    /// The instruction that makes a data access.
    pub instruction: Instruction,
}

/// What a stage-1 walk does with its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage1Walk {
    /// It reads the descriptor.
    Read,
    /// It updates access flag or dirty state.
    Update,
}

/// The instruction that makes a data access, as far as ISS describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Instruction {
    /// It is not told: ISV and what depends on it are not known.
    Untold,
    /// One without a syndrome: of several registers, with writeback, exclusive, atomic.
    NoSyndrome,
    /// A load or store of one general-purpose register without writeback.
    Transfer(Transfer),
}

/// A load or store of one general-purpose register (`LSInstructionSyndrome`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transfer {
    /// SAS: how much is accessed.
    pub size: Size,
    /// SSE: the value is sign-extended.
    pub sign_extend: bool,
    /// SRT: number of the register, of which bits 4:0 count.
    pub register: u8,
    /// SF: the register is a 64-bit one.
    pub sixty_four: bool,
    /// AR: the instruction has acquire or release semantics.
    pub acquire_release: bool,
}

/// The size of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    /// 1 byte.
    Byte,
    /// 2 bytes.
    Halfword,
    /// 4 bytes.
    Word,
    /// 8 bytes.
    Doubleword,
}

const EC_INSTRUCTION_LOWER: u64 = 0x20 << 26;
const EC_INSTRUCTION_SAME: u64 = 0x21 << 26;
const EC_DATA_LOWER: u64 = 0x24 << 26;
const EC_DATA_SAME: u64 = 0x25 << 26;
pub(crate) const IL: u64 = 1 << 25;
const ISV: u64 = 1 << 24;
/// ISV, SAS, SSE, SRT, SF and AR.
pub(crate) const ISV_GROUP: u64 = 0x7ff << 14;
const EA: u64 = 1 << 9;
const CM: u64 = 1 << 8;
const S1PTW: u64 = 1 << 7;
const WNR: u64 = 1 << 6;
/// FIPA and NS, which AArch64.ReportException leaves open together.
const HPFAR_FIELDS: u64 = 1 << 63 | 0xfff_ffff_ffff << 4;

/// What an access does that an exception reports.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fetch,
    Load,
    Store,
    AddressTranslation,
}

impl From<walk::Access> for Kind {
    fn from(access: walk::Access) -> Kind {
        match access {
            walk::Access::Execute { .. } => Kind::Fetch,
            walk::Access::Read => Kind::Load,
            walk::Access::Write => Kind::Store,
            walk::Access::AtRead | walk::Access::AtWrite => Kind::AddressTranslation,
        }
    }
}

impl From<stage1::Access> for Kind {
    fn from(access: stage1::Access) -> Kind {
        match access {
            stage1::Access::Execute => Kind::Fetch,
            stage1::Access::Read => Kind::Load,
            stage1::Access::Write => Kind::Store,
            stage1::Access::AtRead | stage1::Access::AtWrite => Kind::AddressTranslation,
        }
    }
}

impl Kind {
    /// AArch64.ExceptionClass, by whether the access is EL2's own. `AT S12E1*` and
    /// `AT S1E2*` are instructions of EL2.
    const fn class(self, of_el2: bool) -> u64 {
        match (self, of_el2) {
            (Kind::Fetch, false) => EC_INSTRUCTION_LOWER,
            (Kind::Fetch, true) => EC_INSTRUCTION_SAME,
            (Kind::Load | Kind::Store, false) => EC_DATA_LOWER,
            (Kind::Load | Kind::Store, true) | (Kind::AddressTranslation, _) => EC_DATA_SAME,
        }
    }

    /// CM and WnR of AArch64.FaultSyndrome, where the fault is not on a stage-1 walk.
    const fn direction(self) -> u64 {
        match self {
            Kind::Fetch | Kind::Load => 0,
            Kind::Store => WNR,
            Kind::AddressTranslation => CM | WNR,
        }
    }
}

/// The part of `ESR_EL2` that both stages report alike. EA is IMPLEMENTATION DEFINED.
fn esr(kind: Kind, of_el2: bool, fsc: u8, is_external: bool) -> Known {
    let esr = Known::all(kind.class(of_el2) | IL | kind.direction() | u64::from(fsc));
    esr.but(if is_external { EA } else { 0 })
}

/// The syndrome of a fault that stage 2 takes.
///
/// `None` where no exception is taken to EL2: a stage-1 fault of the guest, and a fault
/// of an `AT` instruction that [`par_s12e1`] reports.
pub fn stage2_abort(fault: &walk::Fault, access: walk::Access, origin: &Origin) -> Option<Abort> {
    let kind = Kind::from(access);
    let is_external = fault.kind == walk::FaultKind::ExternalAbort;
    // AArch64.AT
    let goes_to_par = kind == Kind::AddressTranslation && !is_external;
    if !fault.is_stage2() || goes_to_par {
        return None;
    }
    let common = esr(kind, false, fault.fsc(), is_external);
    let esr = match origin.walk {
        Some(walk) => on_stage1_walk(common, kind, walk),
        None if is_external || !matches!(kind, Kind::Load | Kind::Store) => common,
        None => with_instruction(common, origin.instruction),
    };
    Some(Abort {
        esr,
        far: Known::all(origin.va),
        hpfar: hpfar(fault.kind, origin),
    })
}

/// S1PTW. In AArch64.FaultSyndrome WnR is that of the access which made the walk; the
/// text of ISS asks for that of the walk. It is known where they agree.
fn on_stage1_walk(esr: Known, kind: Kind, walk: Stage1Walk) -> Known {
    let esr = Known {
        value: esr.value | S1PTW,
        ..esr
    };
    let agree = match kind {
        Kind::Fetch | Kind::AddressTranslation => true,
        Kind::Load => walk == Stage1Walk::Read,
        Kind::Store => walk == Stage1Walk::Update,
    };
    esr.but(if agree { 0 } else { WNR })
}

/// LSInstructionSyndrome
fn with_instruction(esr: Known, instruction: Instruction) -> Known {
    let Transfer {
        size,
        sign_extend,
        register,
        sixty_four,
        acquire_release,
    } = match instruction {
        Instruction::Untold => return esr.but(ISV_GROUP),
        Instruction::NoSyndrome => return esr,
        Instruction::Transfer(transfer) => transfer,
    };
    let fields = (size as u64) << 22
        | u64::from(sign_extend) << 21
        | u64::from(register & 0b1_1111) << 16
        | u64::from(sixty_four) << 15
        | u64::from(acquire_release) << 14;
    Known {
        value: esr.value | ISV | fields,
        ..esr
    }
}

/// IPAValid: elsewhere FIPA is UNKNOWN, after a Permission fault of an ordinary access
/// as well.
fn hpfar(kind: walk::FaultKind, origin: &Origin) -> Known {
    use walk::FaultKind::{AccessFlag, AddressSize, Permission, Translation};
    let is_valid = match kind {
        Translation | AddressSize | AccessFlag => true,
        Permission => origin.walk.is_some(),
        _ => false,
    };
    if is_valid {
        Known::all((origin.ipa >> 12 << 4) & HPFAR_FIELDS & !(1 << 63))
    } else {
        Known::all(0).but(HPFAR_FIELDS)
    }
}

/// The syndrome of a fault in EL2's own stage 1 at `va`.
///
/// `None` where no exception is taken: a fault of an `AT` instruction that [`par_s1e2`]
/// reports.
pub fn el2_abort(fault: &stage1::Fault, access: stage1::Access, va: u64) -> Option<Abort> {
    let kind = Kind::from(access);
    let is_external = fault.kind == stage1::FaultKind::ExternalAbort;
    // AArch64.AT
    if kind == Kind::AddressTranslation && !is_external {
        return None;
    }
    Some(Abort {
        // ISV is of stage-2 faults alone.
        esr: esr(kind, true, fault.fsc(), is_external),
        far: Known::all(va),
        hpfar: Known::all(0).but(HPFAR_FIELDS),
    })
}

/// `PAR_EL1` after `AT S12E1R` or `AT S12E1W` with stage 1 off. `None` where the answer
/// is left open.
pub fn par_s12e1(answer: &walk::Answer) -> Option<Known> {
    match answer {
        walk::Answer::Unpredictable(_) => None,
        walk::Answer::Translation(found) => {
            Some(par_success(found.pa, found.attributes, found.shareability))
        }
        // AArch64.AT: an exception is taken instead.
        walk::Answer::Fault(fault) if fault.kind == walk::FaultKind::ExternalAbort => {
            Some(Known::UNKNOWN)
        }
        walk::Answer::Fault(fault) => Some(par_fault(fault.fsc(), fault.is_stage2())),
    }
}

/// `PAR_EL1` after `AT S1E2R` or `AT S1E2W`. `None` where the answer is left open.
pub fn par_s1e2(answer: &stage1::Answer) -> Option<Known> {
    match answer {
        stage1::Answer::Unpredictable(_) => None,
        stage1::Answer::Translation(found) => {
            Some(par_success(found.pa, found.attributes, found.shareability))
        }
        // AArch64.AT: an exception is taken instead.
        stage1::Answer::Fault(fault) if fault.kind == stage1::FaultKind::ExternalAbort => {
            Some(Known::UNKNOWN)
        }
        stage1::Answer::Fault(fault) => Some(par_fault(fault.fsc(), false)),
    }
}

/// AArch64.EncodePAR for a success. NS is UNKNOWN in Non-secure state, bit 10 is
/// IMPLEMENTATION DEFINED, and bit 11 is 1, or an UNKNOWN NSE with FEAT_RME.
fn par_success(pa: u64, attributes: u8, shareability: u8) -> Known {
    let address = pa & 0x00ff_ffff_ffff_f000;
    let value = u64::from(attributes) << 56 | address | u64::from(shareability) << 7;
    Known::all(value).but(0b111 << 9)
}

/// AArch64.EncodePAR for a fault, none of whose are on a stage-1 walk: PTW is 0. Bits
/// 63:48 are IMPLEMENTATION DEFINED.
fn par_fault(fsc: u8, stage2: bool) -> Known {
    let value = 1 << 11 | u64::from(stage2) << 9 | u64::from(fsc) << 1 | 1;
    Known::all(value).but(0xffff << 48)
}
