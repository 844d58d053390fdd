//! System registers: access by name, and what EL2 holds while sequences run.

/// Reads a system register. Those that are named here have no side effects.
macro_rules! read {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: an `MRS` of a register that exists at EL2 changes nothing.
        unsafe {
            core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nomem, nostack, preserves_flags));
        }
        value
    }};
}

/// Writes a system register; the effect waits for an `ISB`. To be called within
/// `unsafe`, with a reason why the effect is sound.
macro_rules! write {
    ($name:literal, $value:expr) => {
        core::arch::asm!(concat!("msr ", $name, ", {}"), in(reg) u64::from($value), options(nostack, preserves_flags))
    };
}

pub(crate) use {read, write};

/// VM, SWIO; FMO, IMO, AMO: interrupts of the guest come to EL2; TSC: no `smc` of
/// a guest that went astray reaches the firmware; RW: EL1 is AArch64.
const HCR_EL2: u64 = 1 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 19 | 1 << 31;

/// FWB: the memory types of Stage-2 are those of FEAT_S2FWB. RES0 without it.
const HCR_EL2_FWB: u64 = 1 << 46;

/// EL1 may read counter and timer.
const CNTHCTL_EL2: u64 = 3;

/// RES1 bits only: floating point does not trap, SVE and SME do.
const CPTR_EL2: u64 = 0x33ff;

/// `VTCR_EL2` of no VM: its RES1 bit.
const VTCR_EL2_NONE: u64 = 1 << 31;

/// Sets what governs the guest and no sequence changes.
pub(crate) fn set_up_el2() {
    let (midr, mpidr) = (read!("midr_el1"), read!("mpidr_el1"));
    // SAFETY: these affect execution at EL1 and EL0 only, where nothing runs yet.
    unsafe {
        write!("hcr_el2", HCR_EL2);
        write!("cnthctl_el2", CNTHCTL_EL2);
        write!("cntvoff_el2", 0_u64);
        write!("cptr_el2", CPTR_EL2);
        write!("hstr_el2", 0_u64);
        write!("vpidr_el2", midr);
        write!("vmpidr_el2", mpidr);
    }
    forget_guests();
}

/// Chooses how Stage-2 descriptors tell memory types. To be called while no VM is
/// loaded and nothing of any is in the TLB.
pub(crate) fn set_forced_write_back(is_used: bool) {
    let forced = if is_used { HCR_EL2_FWB } else { 0 };
    // SAFETY: affects translations of EL1 and EL0 only.
    unsafe {
        write!("hcr_el2", HCR_EL2 | forced);
        core::arch::asm!("isb", options(nostack, preserves_flags));
    }
}

/// Leaves no VM loaded and nothing of any VM in the TLB.
pub(crate) fn forget_guests() {
    // SAFETY: concerns the translation regime of EL1 and EL0 only.
    unsafe {
        write!("vttbr_el2", 0_u64);
        write!("vtcr_el2", VTCR_EL2_NONE);
        core::arch::asm!(
            "dsb ishst",
            "tlbi alle1is",
            "dsb ish",
            "isb",
            options(nostack, preserves_flags)
        );
    }
}
