//! EL2's own Stage-1: every part of memory at its physical address, with no more
//! rights than it needs. What is not listed here is not mapped.
//!
//! Code of the image's own, since what `hyp` does is what is being tested. 4K
//! granule, 39-bit addresses: level 1 is the root. Built once with the MMU off,
//! never changed.

use crate::convert::to_usize;
use crate::memory::TABLES_AND_GUESTS;
use crate::registers::{read, write};
use crate::{uart, watchdog};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use ops::Window;
use ops::mailbox::MAILBOX;

const ENTRIES: usize = 512;
const PAGE: u64 = 1 << 12;
const BLOCK: u64 = 1 << 21;
const LEVEL_1: u64 = 1 << 30;

const TABLE_OR_PAGE: u64 = 0b11;
const BLOCK_ENTRY: u64 = 0b01;
/// `MAIR_EL2` index 0 is Device-nGnRnE, 1 is Normal write-back.
const MAIR: u64 = 0xff00;
const DEVICE: u64 = 0;
const NORMAL_INNER: u64 = 1 << 2 | 3 << 8;
/// AP[1] is RES1 in a regime of one privilege level.
const AF_AP1: u64 = 1 << 10 | 1 << 6;
const READ_ONLY: u64 = 1 << 7;
const XN: u64 = 1 << 54;

const CODE: u64 = AF_AP1 | NORMAL_INNER | READ_ONLY;
const CONSTANTS: u64 = AF_AP1 | NORMAL_INNER | READ_ONLY | XN;
const DATA: u64 = AF_AP1 | NORMAL_INNER | XN;
const REGISTERS: u64 = AF_AP1 | DEVICE | XN;

/// `TCR_EL2`: T0SZ 25, walks write-back and inner shareable, TG0 4K, RES1 bits.
/// PS is added.
const TCR: u64 = 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 1 << 31;
/// `SCTLR_EL2`: RES1 bits, MMU and caches on, SP alignment, writable means never
/// executable.
const SCTLR: u64 = 0x30c5_0830 | 1 | 1 << 2 | 1 << 3 | 1 << 12 | 1 << 19;

#[repr(C, align(4096))]
struct Table([AtomicU64; ENTRIES]);

/// The root, a level 2 table each for devices and RAM, and a level 3 table for
/// each 2 MiB of which only a part is mapped: UART, GIC, the image's code and its data,
/// sentinel.
const TABLES: usize = 8;
static ARENA: [Table; TABLES] = [const { Table([const { AtomicU64::new(0) }; ENTRIES]) }; TABLES];
/// Tables of `ARENA` in use; the first is the root.
static USED: AtomicUsize = AtomicUsize::new(1);

unsafe extern "C" {
    static image_text_start: u8;
    static image_text_end: u8;
    static image_rodata_start: u8;
    static image_rodata_end: u8;
    static image_data_start: u8;
    static image_data_end: u8;
    static image_stack_start: u8;
    static image_stack_end: u8;
    static image_emergency_start: u8;
    static image_emergency_end: u8;
}

/// Builds the tables and turns MMU and caches on.
pub(crate) fn enable() {
    map(
        between(&raw const image_text_start, &raw const image_text_end),
        CODE,
    );
    map(
        between(&raw const image_rodata_start, &raw const image_rodata_end),
        CONSTANTS,
    );
    map(
        between(&raw const image_data_start, &raw const image_data_end),
        DATA,
    );
    map(
        between(&raw const image_stack_start, &raw const image_stack_end),
        DATA,
    );
    map(
        between(
            &raw const image_emergency_start,
            &raw const image_emergency_end,
        ),
        DATA,
    );
    map(MAILBOX, DATA);
    map(TABLES_AND_GUESTS, DATA);
    map(
        Window {
            base: uart::BASE,
            bytes: uart::BYTES,
        },
        REGISTERS,
    );
    map(watchdog::GIC, REGISTERS);
    turn_on();
}

fn between(start: *const u8, end: *const u8) -> Window {
    let base = start as u64;
    Window {
        base,
        bytes: end as u64 - base,
    }
}

/// Maps a window of whole pages to itself, by blocks where they fit.
fn map(window: Window, attributes: u64) {
    let end = window.base + window.bytes;
    let mut at = window.base;
    while at < end {
        let level_2 = next(&ARENA[0], index(at, LEVEL_1));
        let index_2 = index(at, BLOCK);
        if at.is_multiple_of(BLOCK) && end - at >= BLOCK {
            set(level_2, index_2, at | attributes | BLOCK_ENTRY);
            at += BLOCK;
        } else {
            set(
                next(level_2, index_2),
                index(at, PAGE),
                at | attributes | TABLE_OR_PAGE,
            );
            at += PAGE;
        }
    }
}

/// Index of the entry for an address in a table of entries of this size.
fn index(at: u64, entry_bytes: u64) -> usize {
    to_usize(at / entry_bytes) % ENTRIES
}

/// The table behind an entry, linked if there is none.
fn next(table: &Table, index: usize) -> &'static Table {
    let entry = table.0[index].load(Ordering::Relaxed);
    if entry != 0 {
        let address = entry & !0xfff;
        let found = ARENA
            .iter()
            .find(|table| core::ptr::from_ref(*table) as u64 == address);
        return found.expect("a block where EL2's tables need a table");
    }
    let used = USED.load(Ordering::Relaxed);
    let fresh = ARENA
        .get(used)
        .expect("EL2's tables need more pages than they have");
    USED.store(used + 1, Ordering::Relaxed);
    set(
        table,
        index,
        core::ptr::from_ref(fresh) as u64 | TABLE_OR_PAGE,
    );
    fresh
}

fn set(table: &Table, index: usize, entry: u64) {
    table.0[index].store(entry, Ordering::Relaxed);
}

fn turn_on() {
    // PARange and PS have the same encoding; 6 is for 52-bit descriptors, which
    // these are not.
    let ps = (read!("id_aa64mmfr0_el1") & 0xf).min(5);
    // Nothing has been cacheable yet: the caches hold no line older than these stores.
    // SAFETY: the tables map the code that runs, its stack and its data to where
    // they are with the rights they need, and nothing was in the TLB of this regime
    // that differs.
    unsafe {
        write!("mair_el2", MAIR);
        write!("tcr_el2", TCR | ps << 16);
        write!("ttbr0_el2", core::ptr::from_ref(&ARENA[0]) as u64);
        asm!(
            "dsb ish",
            "isb",
            "tlbi alle2",
            "ic iallu",
            "dsb ish",
            "isb",
            options(nostack, preserves_flags)
        );
        write!("sctlr_el2", SCTLR);
        asm!("isb", options(nostack, preserves_flags));
    }
}
