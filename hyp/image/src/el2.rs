//! Accesses of EL2 itself, on the tables that a sequence made.
//!
//! A probe is one routine that needs no stack and no data, only its own page at its
//! physical address, readable and executable: whoever asks for one knows that the
//! sequence's tables map it. It turns the MMU off, loads the sequence's registers, turns
//! it on, tries the access under vectors of its own, and goes back the same way. All of
//! EL2's TLB is invalidated both times, since the image's tables and the sequence's share
//! addresses: what a sequence failed to invalidate does not show here, but in the log.

use crate::guest::Access;
use crate::stamps;
use core::arch::global_asm;
use ops::mailbox::{Answer, StepReply};
use ops::{AccessKind, Window};

/// Registers that select tables of EL2's own regime.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tables {
    /// `MAIR_EL2`.
    pub(crate) mair: u64,
    /// `TCR_EL2`.
    pub(crate) tcr: u64,
    /// `TTBR0_EL2`.
    pub(crate) ttbr0: u64,
}

/// What the routine is told, and what it tells.
#[repr(C)]
struct Frame {
    va: u64,
    what: u64,
    /// To be stored; what was loaded.
    value: u64,
    mair: u64,
    tcr: u64,
    ttbr0: u64,
    /// Offset of the vector that was taken, plus 1; 0 if none was.
    vector: u64,
    esr: u64,
    far: u64,
    elr: u64,
    par: u64,
}

const LOAD: u64 = 0;
const STORE: u64 = 1;
const FETCH: u64 = 2;
const AT_READ: u64 = 3;
const AT_WRITE: u64 = 4;

/// A synchronous exception from EL2 with its own stack pointer, in `Frame::vector`.
const SYNCHRONOUS: u64 = 0x200 + 1;

const EC_HVC64: u64 = 0x16;
const EC_INSTRUCTION_ABORT_SAME_EL: u64 = 0x21;
const EC_DATA_ABORT_SAME_EL: u64 = 0x25;

/// Tries an access on these tables. `memory` is the sequence's window.
pub(crate) fn access(access: &Access, tables: Tables, memory: Window, step: &mut StepReply) {
    if access.kind == AccessKind::Execute {
        stamps::refresh(access.value, memory);
    }
    let what = match access.kind {
        AccessKind::Read => LOAD,
        AccessKind::Write => STORE,
        AccessKind::Execute => FETCH,
    };
    describe(&run(access, what, tables), access.kind, step);
}

/// Translates on these tables, without an access. `AT` knows no fetches.
pub(crate) fn translate(access: &Access, tables: Tables, step: &mut StepReply) {
    let what = match access.kind {
        AccessKind::Write => AT_WRITE,
        AccessKind::Read | AccessKind::Execute => AT_READ,
    };
    let frame = run(access, what, tables);
    if frame.vector == 0 {
        step.answer = Answer::Translated;
        step.par = frame.par;
    } else {
        tell(Answer::Other, &frame, step);
    }
}

fn run(access: &Access, what: u64, tables: Tables) -> Frame {
    let mut frame = Frame {
        va: access.ipa,
        what,
        value: access.value,
        mair: tables.mair,
        tcr: tables.tcr,
        ttbr0: tables.ttbr0,
        vector: 0,
        esr: 0,
        far: 0,
        elr: 0,
        par: 0,
    };
    // The runner asks for this only where the tables, as they are, map the routine, and for
    // accesses only where they lead into the sequence's window or fault.
    // SAFETY: so the routine runs to its end, and reaches nothing of Rust's but `frame`,
    // which is whole and outlives the call. Interrupts are masked, registers put back.
    unsafe { image_el2_probe(&raw mut frame) }
    frame
}

fn describe(frame: &Frame, kind: AccessKind, step: &mut StepReply) {
    let (class, immediate) = (frame.esr >> 26, frame.esr & 0xffff);
    match (frame.vector, class) {
        (0, _) => {
            step.answer = Answer::Completed;
            step.value = frame.value;
        }
        (SYNCHRONOUS, EC_HVC64) if kind == AccessKind::Execute => {
            step.answer = Answer::Completed;
            step.value = immediate;
            step.elr = frame.elr;
        }
        (SYNCHRONOUS, EC_INSTRUCTION_ABORT_SAME_EL | EC_DATA_ABORT_SAME_EL) => {
            tell(Answer::Stage2Abort, frame, step);
        }
        _ => tell(Answer::Other, frame, step),
    }
}

/// An exception, which no second stage has anything to do with.
fn tell(answer: Answer, frame: &Frame, step: &mut StepReply) {
    step.answer = answer;
    (step.esr, step.far, step.elr) = (frame.esr, frame.far, frame.elr);
}

unsafe extern "C" {
    /// Tries one access on other tables, and comes back on those that were in use.
    fn image_el2_probe(frame: *mut Frame);
}

// Vectors and routine are in one piece. Between the two times that the MMU goes off,
// nothing is accessed but what is to be tried.
global_asm!(
    ".macro el2_vector offset",
    ".balign 0x80",
    "mov x8, #(\\offset + 1)",
    "b image_el2_back",
    ".endm",
    // Loads x4, x5, x6 and x7 into MAIR_EL2, TCR_EL2, TTBR0_EL2 and VBAR_EL2, with the
    // MMU off meanwhile. x13 is SCTLR_EL2 with the MMU on, x14 with it off.
    ".macro el2_switch",
    "dsb sy",
    "msr sctlr_el2, x14",
    "isb",
    "msr mair_el2, x4",
    "msr tcr_el2, x5",
    "msr ttbr0_el2, x6",
    "msr vbar_el2, x7",
    "isb",
    "tlbi alle2",
    "dsb nsh",
    "isb",
    "msr sctlr_el2, x13",
    "isb",
    ".endm",
    ".pushsection .text.vectors, \"ax\"",
    ".balign 0x800",
    "image_el2_vectors:",
    ".irp offset, 0x000,0x080,0x100,0x180,0x200,0x280,0x300,0x380",
    "el2_vector \\offset",
    ".endr",
    ".irp offset, 0x400,0x480,0x500,0x580,0x600,0x680,0x700,0x780",
    "el2_vector \\offset",
    ".endr",
    ".global image_el2_probe",
    "image_el2_probe:",
    "ldp x1, x2, [x0]",
    "ldp x3, x4, [x0, #16]",
    "ldp x5, x6, [x0, #32]",
    "mrs x9, mair_el2",
    "mrs x10, tcr_el2",
    "mrs x11, ttbr0_el2",
    "mrs x12, vbar_el2",
    "mrs x13, sctlr_el2",
    "bic x14, x13, #1",
    "adr x7, image_el2_vectors",
    "mov x8, xzr",
    "el2_switch",
    "cmp x2, #{STORE}",
    "b.lo 1f",
    "b.eq 2f",
    "cmp x2, #{AT_READ}",
    "b.lo 3f",
    "b.eq 4f",
    "at s1e2w, x1",
    "b image_el2_back",
    "1: ldr x3, [x1]",
    "b image_el2_back",
    "2: str x3, [x1]",
    "b image_el2_back",
    "3: br x1",
    "4: at s1e2r, x1",
    "image_el2_back:",
    "isb",
    "mrs x15, esr_el2",
    "mrs x16, far_el2",
    "mrs x17, elr_el2",
    "mrs x2, par_el1",
    "mov x4, x9",
    "mov x5, x10",
    "mov x6, x11",
    "mov x7, x12",
    "el2_switch",
    "str x3, [x0, #16]",
    "stp x8, x15, [x0, #48]",
    "stp x16, x17, [x0, #64]",
    "str x2, [x0, #80]",
    "ret",
    ".popsection",
    STORE = const STORE,
    AT_READ = const AT_READ,
);
