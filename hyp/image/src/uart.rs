//! PL011, for last words only: polled output, no input, no interrupts.

use core::fmt;

/// Physical address of the UART of QEMU's `virt`.
pub(crate) const BASE: u64 = 0x0900_0000;
/// Length of its registers.
pub(crate) const BYTES: u64 = 0x1000;

const DR: u64 = 0x00;
const FR: u64 = 0x18;
const CR: u64 = 0x30;

const FR_TXFF: u32 = 1 << 5;
const CR_UARTEN_TXE: u32 = 1 << 8 | 1;

/// Turns the transmitter on.
pub(crate) fn enable() {
    write(CR, CR_UARTEN_TXE);
}

/// The UART as a place for text.
pub(crate) struct Uart;

impl fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while read(FR) & FR_TXFF != 0 {}
            write(DR, u32::from(byte));
        }
        Ok(())
    }
}

fn read(offset: u64) -> u32 {
    // SAFETY: a register of the UART, mapped as device memory at its physical
    // address (before the MMU is on, everything is); reading it disturbs nobody.
    unsafe { ((BASE + offset) as *const u32).read_volatile() }
}

fn write(offset: u64, value: u32) {
    // SAFETY: as for `read`; nothing else uses the UART.
    unsafe { ((BASE + offset) as *mut u32).write_volatile(value) }
}
