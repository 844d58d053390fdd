//! What a walk of EL2's stage 1 ends in.

use super::Access;
use crate::descriptor::Unusable;
use crate::walk::{self, Update, Why};

/// The end of one walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The access succeeds.
    Translation(Translation),
    /// The access faults.
    Fault(Fault),
    /// The architecture allows several answers; nothing can be compared with this one.
    Unpredictable(Why),
}

/// A successful translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Translation {
    /// Physical address of the byte, its low bits included.
    pub pa: u64,
    /// Level of the block or page descriptor; 0 where the MMU is off.
    pub level: i8,
    /// Bytes that the descriptor maps (the Contiguous bit does not widen it); the
    /// whole physical address space where the MMU is off.
    pub size: u64,
    /// Loads are permitted.
    pub read: bool,
    /// Stores are permitted, also where they would set dirty state first.
    pub write: bool,
    /// Fetches are permitted.
    pub execute: bool,
    /// The GP bit, which acts where FEAT_BTI is implemented.
    pub guarded: bool,
    /// Memory attributes of a data access in the form of `PAR_EL1.ATTR`.
    pub attributes: u8,
    /// Shareability of a data access in the form of `PAR_EL1.SH`.
    pub shareability: u8,
    /// The descriptor that hardware writes, where it changes one.
    pub update: Option<Update>,
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// Its kind.
    pub kind: FaultKind,
    /// The lookup level that is reported; faults of the configuration, of the address,
    /// and of the address size of the root report 0.
    pub level: i8,
    /// The access flag update that hardware may make beside a Permission fault, and
    /// need not (`AArch64.SettingAccessFlagPermitted`).
    pub permitted_update: Option<Update>,
}

/// Kinds of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Translation fault.
    Translation,
    /// Address size fault.
    AddressSize,
    /// Access flag fault.
    AccessFlag,
    /// Permission fault.
    Permission,
    /// Synchronous External abort on a translation table walk.
    ExternalAbort,
}

impl From<FaultKind> for walk::FaultKind {
    fn from(kind: FaultKind) -> walk::FaultKind {
        match kind {
            FaultKind::Translation => walk::FaultKind::Translation,
            FaultKind::AddressSize => walk::FaultKind::AddressSize,
            FaultKind::AccessFlag => walk::FaultKind::AccessFlag,
            FaultKind::Permission => walk::FaultKind::Permission,
            FaultKind::ExternalAbort => walk::FaultKind::ExternalAbort,
        }
    }
}

impl From<Answer> for walk::Answer {
    /// In the words of stage 2: what EL2 may fetch, EL1 and EL0 may, and the guarded
    /// page is not told.
    fn from(answer: Answer) -> walk::Answer {
        match answer {
            Answer::Translation(translation) => walk::Answer::Translation(walk::Translation {
                pa: translation.pa,
                level: translation.level,
                size: translation.size,
                read: translation.read,
                write: translation.write,
                execute_el1: translation.execute,
                execute_el0: translation.execute,
                attributes: translation.attributes,
                shareability: translation.shareability,
                update: translation.update,
            }),
            Answer::Fault(fault) => walk::Answer::Fault(walk::Fault {
                kind: fault.kind.into(),
                level: fault.level,
                permitted_update: fault.permitted_update,
            }),
            Answer::Unpredictable(why) => walk::Answer::Unpredictable(why),
        }
    }
}

impl From<walk::Access> for Access {
    fn from(access: walk::Access) -> Access {
        match access {
            walk::Access::Read => Access::Read,
            walk::Access::Write => Access::Write,
            walk::Access::Execute { .. } => Access::Execute,
            walk::Access::AtRead => Access::AtRead,
            walk::Access::AtWrite => Access::AtWrite,
        }
    }
}

impl Fault {
    pub(super) const fn new(kind: FaultKind, level: i8) -> Fault {
        Fault {
            kind,
            level,
            permitted_update: None,
        }
    }

    /// The fault status code: `PAR_EL1.FST` and `ESR_EL2.{DFSC,IFSC}`.
    pub fn fsc(&self) -> u8 {
        // EncodeLDFSC does not know stages.
        walk::Fault::new(self.kind.into(), self.level).fsc()
    }
}

impl Answer {
    pub(super) const fn fault(kind: FaultKind, level: i8) -> Answer {
        Answer::Fault(Fault::new(kind, level))
    }

    pub(super) const fn unusable(unusable: Unusable, level: i8) -> Answer {
        let kind = match unusable {
            Unusable::Open(why) => return Answer::Unpredictable(why),
            Unusable::AddressSize => FaultKind::AddressSize,
            Unusable::AccessFlag => FaultKind::AccessFlag,
            Unusable::ExternalAbort => FaultKind::ExternalAbort,
        };
        Answer::fault(kind, level)
    }
}
