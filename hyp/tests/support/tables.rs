//! What the tables of a VM with 4K pages and a root at level 1 hold, read and
//! written past `hyp`: as hardware does, and to count.

use super::{Machine, TestCpu};
use hyp::addr::{Ipa, Pa};
use hyp::descriptor::Descriptor;
use hyp::pages::PageSource;
use hyp::stage2::{Decision, Entry, Leaf, Stage2};

const ENTRIES: u64 = 512;
const ROOT_PAGES: u64 = 2;
const ADDRESS: u64 = 0xffff_ffff_f000;
pub(crate) const ACCESS_FLAG: u64 = 1 << 10;
pub(crate) const S2AP_WRITE: u64 = 1 << 7;

fn root(vm: &Stage2<'_>, machine: &Machine) -> Pa {
    let registers = vm.registers(machine).expect("the VM exists");
    Pa::new(registers.vttbr & ADDRESS)
}

fn is_table(level: u32, descriptor: u64) -> bool {
    level < 3 && descriptor & 3 == 3
}

/// Where the entry that decides over `ipa` stands.
pub(crate) fn entry(vm: &Stage2<'_>, machine: &Machine, ipa: u64) -> Pa {
    let mut level = 1;
    let mut at = root(vm, machine).forward((ipa >> 30) * 8);
    while is_table(level, machine.word(at).get()) {
        level += 1;
        let index = ipa >> (12 + 9 * (3 - level)) & (ENTRIES - 1);
        at = Pa::new(machine.word(at).get() & ADDRESS).forward(index * 8);
    }
    at
}

/// The descriptor of the entry that decides over `ipa`.
pub(crate) fn raw(vm: &Stage2<'_>, machine: &Machine, ipa: u64) -> Descriptor {
    Descriptor::from_raw(machine.word(entry(vm, machine, ipa)).get())
}

/// Hardware sets these bits in the leaf that covers `ipa`.
pub(crate) fn set(vm: &Stage2<'_>, machine: &Machine, ipa: u64, bits: u64) {
    let word = machine.word(entry(vm, machine, ipa));
    assert!(word.get() & 1 == 1, "hardware changes valid entries only");
    word.set(word.get() | bits);
}

/// The level and content of the leaf that covers `ipa`.
pub(crate) fn leaf(vm: &Stage2<'_>, cpu: &mut TestCpu<'_>, ipa: u64) -> (i8, Leaf) {
    match vm.leaf(cpu, Ipa::new(ipa)) {
        Ok(Decision {
            level,
            entry: Entry::Leaf(leaf),
        }) => (level.number(), leaf),
        other => panic!("no leaf at {ipa:#x}: {other:?}"),
    }
}

/// What decides over `ipa`, by level.
pub(crate) fn decision(vm: &Stage2<'_>, cpu: &mut TestCpu<'_>, ipa: u64) -> (i8, Entry) {
    let Decision { level, entry } = vm.leaf(cpu, Ipa::new(ipa)).expect("the VM exists");
    (level.number(), entry)
}

/// Holds what the page source counts against what each table holds (clause G9).
pub(crate) fn assert_counted(vm: &Stage2<'_>, cpu: &TestCpu<'_>, machine: &Machine) {
    for page in 0..ROOT_PAGES {
        assert_table_counted(cpu, machine, root(vm, machine).forward(page << 12), 1);
    }
}

fn assert_table_counted(cpu: &TestCpu<'_>, machine: &Machine, table: Pa, level: u32) {
    let mut held = 0;
    for index in 0..ENTRIES {
        let descriptor = machine.word(table.forward(index * 8)).get();
        held += u16::from(descriptor != 0);
        if is_table(level, descriptor) {
            assert_table_counted(cpu, machine, Pa::new(descriptor & ADDRESS), level + 1);
        }
    }
    let counted = cpu.pages().references(table);
    assert_eq!(counted, held, "level {level} table {table}");
}
