//! EL2's exception vectors: what comes from the guest ends `guest::enter`,
//! everything else is the end of the machine.

use core::arch::global_asm;

/// What took the CPU out of the guest, by the vector that it came in through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// A synchronous exception: `ESR_EL2` says which.
    Synchronous,
    /// An interrupt.
    Interrupt,
    /// An `SError`, an `FIQ`, or anything from AArch32.
    Other,
}

impl Exit {
    /// From the number that a vector passes on.
    pub(crate) fn from_number(number: u64) -> Exit {
        match number {
            0 => Exit::Synchronous,
            1 => Exit::Interrupt,
            _ => Exit::Other,
        }
    }
}

// At EL2, `TPIDR_EL2` and `TPIDR_EL1` are free for the handler: the guest has no
// use for the latter, and the former holds the guest's frame only while the guest
// runs.
global_asm!(
    ".macro from_el2 offset",
    ".balign 0x80",
    "msr tpidr_el2, x0",
    "msr tpidr_el1, x1",
    "mov x1, #\\offset",
    "b image_fatal",
    ".endm",
    ".macro from_guest number",
    ".balign 0x80",
    "stp x0, x1, [sp, #-16]!",
    "mov x1, #\\number",
    "b image_guest_exit",
    ".endm",
    ".pushsection .text.vectors, \"ax\"",
    ".balign 0x800",
    ".global image_vectors",
    "image_vectors:",
    // Current EL with SP_EL0, current EL with SP_EL2.
    "from_el2 0x000",
    "from_el2 0x080",
    "from_el2 0x100",
    "from_el2 0x180",
    "from_el2 0x200",
    "from_el2 0x280",
    "from_el2 0x300",
    "from_el2 0x380",
    // Lower EL, AArch64, then AArch32.
    "from_guest 0",
    "from_guest 1",
    "from_guest 2",
    "from_guest 2",
    "from_guest 2",
    "from_guest 2",
    "from_guest 2",
    "from_guest 2",
    ".balign 0x80",
    // x0 is in TPIDR_EL2, x1 in TPIDR_EL1, the vector in x1. The stack may be what
    // failed: it is not touched.
    "image_fatal:",
    "adrp x0, image_ends",
    "add x0, x0, :lo12:image_ends",
    "msr far_el1, x2",
    "ldr x2, [x0]",
    "add x2, x2, #1",
    "str x2, [x0]",
    "cmp x2, #2",
    "b.eq image_exit",
    "b.hi {power_off}",
    "mov x2, sp",
    "ldr x0, =image_emergency_end",
    "mov sp, x0",
    "sub sp, sp, #(32 * 8)",
    "str x2, [sp, #(31 * 8)]",
    "mrs x2, far_el1",
    "stp x2, x3, [sp, #(2 * 8)]",
    "stp x4, x5, [sp, #(4 * 8)]",
    "stp x6, x7, [sp, #(6 * 8)]",
    "stp x8, x9, [sp, #(8 * 8)]",
    "stp x10, x11, [sp, #(10 * 8)]",
    "stp x12, x13, [sp, #(12 * 8)]",
    "stp x14, x15, [sp, #(14 * 8)]",
    "stp x16, x17, [sp, #(16 * 8)]",
    "stp x18, x19, [sp, #(18 * 8)]",
    "stp x20, x21, [sp, #(20 * 8)]",
    "stp x22, x23, [sp, #(22 * 8)]",
    "stp x24, x25, [sp, #(24 * 8)]",
    "stp x26, x27, [sp, #(26 * 8)]",
    "stp x28, x29, [sp, #(28 * 8)]",
    "str x30, [sp, #(30 * 8)]",
    "mrs x2, tpidr_el2",
    "mrs x3, tpidr_el1",
    "stp x2, x3, [sp]",
    "mov x0, sp",
    "b {unexpected}",
    ".ltorg",
    ".popsection",
    power_off = sym crate::fatal::power_off,
    unexpected = sym crate::fatal::unexpected_exception,
);
