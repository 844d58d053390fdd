//! Guest accesses: by EL1 itself, or by `AT` on its behalf.

use crate::registers::{read, write};
use crate::vectors::Exit;
use crate::{stamps, stub, watchdog};
use core::arch::{asm, global_asm};
use ops::mailbox::{Answer, HVC_COMPLETED, HVC_EXCEPTION, StepReply};
use ops::{AccessKind, Window};

/// The guest's registers, loaded when it is entered and stored when it is left.
#[repr(C)]
struct Frame {
    x: [u64; 4],
    elr: u64,
    spsr: u64,
    esr: u64,
    far: u64,
    hpfar: u64,
}

/// EL1 with its own stack pointer, everything masked.
const SPSR_EL1H: u64 = 0x3c5;
/// RES1 bits: stage 1 off, no alignment checks.
const SCTLR_EL1: u64 = 0x30d0_0800;

const EC_HVC64: u64 = 0x16;
const EC_INSTRUCTION_ABORT: u64 = 0x20;
const EC_DATA_ABORT: u64 = 0x24;

/// Periods of the watchdog that a guest may see before it counts as stuck. The
/// first may have begun long ago, and one may pass while the emulator sleeps.
const PERIODS: u32 = 4;

/// One access to try.
pub(crate) struct Access {
    /// Where.
    pub(crate) ipa: u64,
    /// How.
    pub(crate) kind: AccessKind,
    /// What is stored, or the physical address of the stamp to be fetched.
    pub(crate) value: u64,
}

/// Tries an access by running the stub, mapped at `stub_ipa`, under the VM that
/// is loaded. `memory` is the guest's.
pub(crate) fn access(access: &Access, stub_ipa: u64, memory: Window, step: &mut StepReply) {
    if access.kind == AccessKind::Execute {
        stamps::refresh(access.value, memory);
    }
    let kind = match access.kind {
        AccessKind::Read => stub::LOAD,
        AccessKind::Write => stub::STORE,
        AccessKind::Execute => stub::FETCH,
    };
    let x = [access.ipa, kind, access.value, 0];
    let mut frame = Frame {
        x,
        elr: stub_ipa,
        spsr: SPSR_EL1H,
        esr: 0,
        far: 0,
        hpfar: 0,
    };
    set_up_el1(stub_ipa);
    let exit = run(&mut frame);
    describe(exit, &frame, access.kind, step);
}

/// Translates on behalf of EL1, without an access.
pub(crate) fn translate(access: &Access, step: &mut StepReply) {
    turn_stage_1_off();
    // SAFETY: `AT` changes `PAR_EL1` only; nothing else uses it.
    unsafe {
        match access.kind {
            AccessKind::Write => {
                asm!("at s12e1w, {}", in(reg) access.ipa, options(nostack, preserves_flags));
            }
            AccessKind::Read | AccessKind::Execute => {
                asm!("at s12e1r, {}", in(reg) access.ipa, options(nostack, preserves_flags));
            }
        }
        asm!("isb", options(nostack, preserves_flags));
    }
    step.answer = Answer::Translated;
    step.par = read!("par_el1");
}

/// For each probe anew: a guest that went astray may have changed it.
fn turn_stage_1_off() {
    // SAFETY: affects EL1 and EL0 only, where nothing of the image runs.
    unsafe {
        write!("sctlr_el1", SCTLR_EL1);
        asm!("isb", options(nostack, preserves_flags));
    }
}

fn set_up_el1(stub_ipa: u64) {
    turn_stage_1_off();
    // SAFETY: as for `turn_stage_1_off`; the two syndrome registers of EL2 have
    // no effect.
    unsafe {
        write!("vbar_el1", stub_ipa.wrapping_add(stub::VECTORS));
        write!("cpacr_el1", 0_u64);
        write!("hpfar_el2", 0_u64);
        write!("far_el2", 0_u64);
        asm!("isb", options(nostack, preserves_flags));
    }
}

/// Runs the guest until it comes back or its time is over.
fn run(frame: &mut Frame) -> Exit {
    for _ in 0..PERIODS {
        // A subject's tables may be wrong: the runner asks only for accesses that they, as
        // they are, lead into guest memory.
        // SAFETY: so the guest reaches nothing of Rust's, and `frame` is whole and
        // outlives the call.
        let exit = Exit::from_number(unsafe { image_guest_enter(frame) });
        if exit != Exit::Interrupt {
            return exit;
        }
        watchdog::interrupted();
    }
    Exit::Interrupt
}

fn describe(exit: Exit, frame: &Frame, kind: AccessKind, step: &mut StepReply) {
    let (class, immediate) = (frame.esr >> 26, frame.esr & 0xffff);
    step.elr = frame.elr;
    if exit == Exit::Interrupt {
        step.answer = Answer::Stuck;
        return;
    }
    if exit == Exit::Synchronous && class == EC_HVC64 && immediate == u64::from(HVC_EXCEPTION) {
        step.answer = Answer::GuestException;
        (step.esr, step.far, step.elr) = (read!("esr_el1"), read!("far_el1"), read!("elr_el1"));
        return;
    }
    if exit == Exit::Synchronous && class == EC_HVC64 && completes(kind, immediate) {
        step.answer = Answer::Completed;
        step.value = if kind == AccessKind::Execute {
            immediate
        } else {
            frame.x[2]
        };
        return;
    }
    let reached = frame.x[3] == 1;
    step.answer = match class {
        EC_INSTRUCTION_ABORT | EC_DATA_ABORT if exit == Exit::Synchronous && reached => {
            Answer::Stage2Abort
        }
        EC_INSTRUCTION_ABORT if exit == Exit::Synchronous => Answer::NotReached,
        _ => Answer::Other,
    };
    (step.esr, step.far, step.hpfar) = (frame.esr, frame.far, frame.hpfar);
}

/// Whether this `hvc` ends an access of this kind. A fetch that lands in the stub
/// itself may end in the stub's own.
fn completes(kind: AccessKind, immediate: u64) -> bool {
    kind == AccessKind::Execute || immediate == u64::from(HVC_COMPLETED)
}

unsafe extern "C" {
    /// Enters EL1 with the registers of the frame and comes back, with the number
    /// of an `Exit`, when an exception is taken from there.
    fn image_guest_enter(frame: *mut Frame) -> u64;
}

global_asm!(
    ".pushsection .text.guest, \"ax\"",
    ".global image_guest_enter",
    "image_guest_enter:",
    "stp x29, x30, [sp, #-96]!",
    "stp x19, x20, [sp, #16]",
    "stp x21, x22, [sp, #32]",
    "stp x23, x24, [sp, #48]",
    "stp x25, x26, [sp, #64]",
    "stp x27, x28, [sp, #80]",
    "msr tpidr_el2, x0",
    "ldp x1, x2, [x0, #32]",
    "msr elr_el2, x1",
    "msr spsr_el2, x2",
    "ldp x2, x3, [x0, #16]",
    "ldp x0, x1, [x0]",
    // Nothing of EL2 is left in the guest's registers.
    ".irp n, 4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30",
    "mov x\\n, xzr",
    ".endr",
    "eret",
    "dsb nsh",
    "isb",
    // From the vectors: the guest's x0 and x1 are on the stack, x1 is the exit.
    ".global image_guest_exit",
    "image_guest_exit:",
    "mrs x0, tpidr_el2",
    "stp x2, x3, [x0, #16]",
    "ldp x2, x3, [sp], #16",
    "stp x2, x3, [x0]",
    "mrs x2, elr_el2",
    "mrs x3, spsr_el2",
    "stp x2, x3, [x0, #32]",
    "mrs x2, esr_el2",
    "mrs x3, far_el2",
    "stp x2, x3, [x0, #48]",
    "mrs x2, hpfar_el2",
    "str x2, [x0, #64]",
    "mov x0, x1",
    "ldp x19, x20, [sp, #16]",
    "ldp x21, x22, [sp, #32]",
    "ldp x23, x24, [sp, #48]",
    "ldp x25, x26, [sp, #64]",
    "ldp x27, x28, [sp, #80]",
    "ldp x29, x30, [sp], #96",
    "ret",
    ".popsection",
);
