//! The end: an unexpected exception at EL2, or a panic, says what it knows on
//! PL011 and ends the machine with exit code 1. Whatever goes wrong on the way
//! ends it too.

use crate::registers::read;
use crate::uart::Uart;
use core::arch::{asm, global_asm};
use core::fmt::Write;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU64, Ordering};

/// General registers as the vector saved them.
#[repr(C)]
pub(crate) struct Frame {
    x: [u64; 31],
    sp: u64,
}

/// How often the end has begun. `exit` and the vectors count here, so that an
/// exception in the handler ends the machine instead of repeating itself.
#[unsafe(export_name = "image_ends")]
pub(crate) static ENDS: AtomicU64 = AtomicU64::new(0);

/// An exception at EL2 that nothing expects. `vector` is its offset in the table.
pub(crate) extern "C" fn unexpected_exception(frame: &Frame, vector: u64) -> ! {
    let mut uart = Uart;
    // The UART never answers an error.
    let _ = report(&mut uart, frame, vector);
    exit()
}

fn report(uart: &mut Uart, frame: &Frame, vector: u64) -> core::fmt::Result {
    writeln!(uart, "unexpected exception at EL2, vector {vector:#x}")?;
    writeln!(
        uart,
        "ESR_EL2 {:#018x} ELR_EL2 {:#018x}",
        read!("esr_el2"),
        read!("elr_el2")
    )?;
    writeln!(
        uart,
        "FAR_EL2 {:#018x} HPFAR_EL2 {:#018x}",
        read!("far_el2"),
        read!("hpfar_el2")
    )?;
    writeln!(
        uart,
        "SPSR_EL2 {:#018x} SP {:#018x}",
        read!("spsr_el2"),
        frame.sp
    )?;
    for (i, x) in frame.x.iter().enumerate() {
        let end = if i % 4 == 3 || i == 30 { "\n" } else { " " };
        write!(uart, "x{i:<2} {x:#018x}{end}")?;
    }
    Ok(())
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    if ENDS.load(Ordering::Relaxed) == 0 {
        ENDS.store(1, Ordering::Relaxed);
        let _ = writeln!(Uart, "{info}");
    }
    exit()
}

unsafe extern "C" {
    /// Ends the machine with exit code 1.
    fn image_exit() -> !;
}

fn exit() -> ! {
    // SAFETY: takes no arguments and does not return.
    unsafe { image_exit() }
}

/// Stops the machine by PSCI: where there is no semihosting, `exit` comes back
/// here through the vectors.
pub(crate) extern "C" fn power_off() -> ! {
    // SAFETY: PSCI SYSTEM_OFF does not return.
    unsafe {
        asm!("smc #0", "1: wfe", "b 1b", in("x0") 0x8400_0008_u64, options(noreturn));
    }
}

// Semihosting SYS_EXIT_EXTENDED with ADP_Stopped_ApplicationExit and code 1.
global_asm!(
    ".pushsection .text.exit, \"ax\"",
    ".global image_exit",
    "image_exit:",
    "mov w0, #0x20",
    "adr x1, 1f",
    "hlt #0xf000",
    "b {power_off}",
    ".balign 8",
    "1: .quad 0x20026, 1",
    ".popsection",
    power_off = sym power_off,
);
