//! The words for what is one of a few.

use ops::{AccessKind, Action, FaultKind, Granule, MemoryType, Refusal, Regime};

pub(super) fn granule_word(granule: Granule) -> &'static str {
    match granule {
        Granule::K4 => "4K",
        Granule::K16 => "16K",
        Granule::K64 => "64K",
    }
}

pub(super) fn regime_word(regime: Regime) -> &'static str {
    match regime {
        Regime::Stage2 => "stage2",
        Regime::El2 => "el2",
        Regime::Aarch32 => "aarch32",
        Regime::Aarch32Hyp => "aarch32-hyp",
    }
}

pub(super) fn memory_word(memory: MemoryType) -> &'static str {
    match memory {
        MemoryType::Normal => "normal",
        MemoryType::Device => "device",
        MemoryType::NonCacheable => "nc",
        MemoryType::DeviceStrict => "strict",
    }
}

pub(super) fn action_word(action: Action) -> &'static str {
    match action {
        Action::UnmapWhole => "unmap-whole",
        Action::WriteProtect => "write-protect",
        Action::Soften => "soften",
        Action::Revive => "revive",
        Action::Flush => "flush",
        Action::TestYoung => "test-young",
        Action::ClearYoung => "clear-young",
        Action::Coalesce => "coalesce",
        Action::Split => "split",
        Action::Destroy => "destroy",
    }
}

pub(super) fn access_word(kind: AccessKind) -> &'static str {
    match kind {
        AccessKind::Read => "read",
        AccessKind::Write => "write",
        AccessKind::Execute => "execute",
    }
}

pub(super) fn young_word(young: bool) -> &'static str {
    if young { "young" } else { "old" }
}

pub(super) fn dirty_word(dirty: bool) -> &'static str {
    if dirty { "dirty" } else { "clean" }
}

pub(super) fn walks_word(coherent: bool) -> &'static str {
    if coherent { "coherent" } else { "noncoherent" }
}

pub(super) fn refusal_word(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoVm => "no-vm",
        Refusal::Exists => "exists",
        Refusal::IllegalConfiguration => "illegal-configuration",
        Refusal::NoMemory => "no-memory",
        Refusal::Empty => "empty",
        Refusal::Misaligned => "misaligned",
        Refusal::Wraps => "wraps",
        Refusal::IpaRange => "ipa-range",
        Refusal::PaRange => "pa-range",
        Refusal::BadAttributes => "bad-attributes",
        Refusal::Denied => "denied",
        Refusal::Dying => "dying",
        Refusal::NotMapped => "not-mapped",
        Refusal::BadOwner => "bad-owner",
        Refusal::Busy => "busy",
        Refusal::BadLevel => "bad-level",
        Refusal::NothingBuilt => "nothing-built",
        Refusal::NoPath => "no-path",
        Refusal::Mapped => "mapped",
        Refusal::CutsBlock => "cuts-block",
        Refusal::NotHere => "not-here",
    }
}

pub(super) fn fault_word(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Translation => "translation",
        FaultKind::AddressSize => "address-size",
        FaultKind::AccessFlag => "access-flag",
        FaultKind::Permission => "permission",
        FaultKind::Stage1AddressSize => "stage1-address-size",
    }
}
