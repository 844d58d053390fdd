//! The timer that takes the CPU back from a guest that went astray.
//!
//! `CNTHP` through GICv2, which `virt` has by default. Interrupts reach EL2 only
//! while the guest runs; EL2 itself keeps them masked.

use crate::registers::{read, write};
use core::arch::asm;
use ops::Window;

/// Distributor and CPU interface of `virt`.
pub(crate) const GIC: Window = Window {
    base: 0x0800_0000,
    bytes: 0x2_0000,
};

const GICD_CTLR: u64 = 0x000;
const GICD_ISENABLER0: u64 = 0x100;
const GICD_ICPIDR2: u64 = 0xfe8;
const GICC_CTLR: u64 = 0x1_0000;
const GICC_PMR: u64 = 0x1_0004;
const GICC_IAR: u64 = 0x1_000c;
const GICC_EOIR: u64 = 0x1_0010;

/// Interrupt number of `CNTHP`.
const TIMER: u32 = 26;
const TIMER_ENABLED: u64 = 1;

/// Periods of the timer in a second. The guest's code takes microseconds.
const PERIODS_A_SECOND: u64 = 20;

/// Lets the timer's interrupt through to this CPU. The timer is off.
pub(crate) fn set_up() {
    let architecture = gic_read(GICD_ICPIDR2) >> 4 & 0xf;
    assert!(architecture == 2, "the machine has no GICv2");
    stop();
    gic_write(GICD_ISENABLER0, 1 << TIMER);
    gic_write(GICD_CTLR, 1);
    gic_write(GICC_PMR, 0xff);
    gic_write(GICC_CTLR, 1);
}

/// Starts a period.
pub(crate) fn start() {
    let period = read!("cntfrq_el0") / PERIODS_A_SECOND;
    // SAFETY: the timer's only effect is an interrupt that `interrupted` takes.
    unsafe {
        write!("cnthp_tval_el2", period);
        write!("cnthp_ctl_el2", TIMER_ENABLED);
        asm!("isb", options(nostack, preserves_flags));
    }
}

/// Stops the timer.
pub(crate) fn stop() {
    // SAFETY: as for `start`; this takes the interrupt away.
    unsafe {
        write!("cnthp_ctl_el2", 0_u64);
        asm!("isb", options(nostack, preserves_flags));
    }
}

/// Takes the interrupt for which the guest was left and starts another period.
pub(crate) fn interrupted() {
    let number = gic_read(GICC_IAR);
    start();
    gic_write(GICC_EOIR, number);
}

fn gic_read(offset: u64) -> u32 {
    // SAFETY: a register of the GIC, mapped as device memory at its physical
    // address. Reading `GICC_IAR` acknowledges, which `interrupted` means to do.
    unsafe { ((GIC.base + offset) as *const u32).read_volatile() }
}

fn gic_write(offset: u64, value: u32) {
    // SAFETY: as for `gic_read`; nothing else uses the GIC.
    unsafe { ((GIC.base + offset) as *mut u32).write_volatile(value) }
}
