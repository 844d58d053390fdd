//! A machine for tests: memory of the pool, and the instructions as words.

#![allow(dead_code, reason = "each file of tests uses a part of it")]

use hyp::addr::{Ipa, Pa};
use hyp::cpu::Cpu;
use hyp::descriptor::{Execute, MemoryType, Prot};
use hyp::geometry::{Configuration, ExecutionState, Features, Granule};
use hyp::pages::{PageInfo, Pool};
use hyp::platform::Platform;
use hyp::stage2::{Mapping, Stage2};
use hyp::vmid::Vmid;
use std::cell::{Cell, RefCell};

pub(crate) mod tables;

pub(crate) const POOL: u64 = 0x4800_0000;
pub(crate) const POOL_PAGES: usize = 64;
pub(crate) const RW: Prot = Prot {
    read: true,
    write: true,
    execute: Execute::Never,
};
pub(crate) const RO: Prot = Prot {
    read: true,
    write: false,
    execute: Execute::Never,
};
pub(crate) const RX: Prot = Prot {
    read: true,
    write: false,
    execute: Execute::Both,
};

/// Memory of 64 pages of up to 64 KiB, and a log of instructions.
pub(crate) struct Machine {
    words: Vec<Cell<u64>>,
    log: RefCell<Vec<String>>,
    /// Bits that hardware sets in an entry just before the next exchange.
    interference: Cell<Option<(Pa, u64)>>,
}

impl Machine {
    pub(crate) fn new() -> Machine {
        Machine {
            words: vec![Cell::new(!0); POOL_PAGES * 8192],
            log: RefCell::default(),
            interference: Cell::default(),
        }
    }

    /// Makes hardware set these bits in an entry just before the next exchange, of
    /// whatever entry.
    pub(crate) fn interfere(&self, at: Pa, bits: u64) {
        self.interference.set(Some((at, bits)));
    }

    fn let_hardware_interfere(&self) {
        if let Some((at, bits)) = self.interference.take() {
            self.word(at).set(self.word(at).get() | bits);
        }
    }

    /// What was executed since the last call.
    pub(crate) fn take_log(&self) -> Vec<String> {
        self.log.take()
    }

    fn word(&self, at: Pa) -> &Cell<u64> {
        let index = at
            .raw()
            .checked_sub(POOL)
            .expect("table memory is in the pool")
            / 8;
        &self.words[usize::try_from(index).expect("an index fits")]
    }

    fn say(&self, instruction: &str) {
        self.log.borrow_mut().push(instruction.to_owned());
    }
}

impl Platform for Machine {
    fn load(&self, at: Pa) -> u64 {
        self.word(at).get()
    }
    fn store(&self, at: Pa, value: u64) {
        self.say(&format!("str {at} {value:#x}"));
        self.word(at).set(value);
    }
    fn store_release(&self, at: Pa, value: u64) {
        self.say(&format!("stlr {at} {value:#x}"));
        self.word(at).set(value);
    }
    fn compare_exchange(&self, at: Pa, old: u64, new: u64) -> Result<(), u64> {
        self.let_hardware_interfere();
        let found = self.word(at).get();
        self.say(&format!("cas {at} {old:#x} {new:#x}"));
        if found != old {
            return Err(found);
        }
        self.word(at).set(new);
        Ok(())
    }
    fn swap(&self, at: Pa, new: u64) -> u64 {
        self.let_hardware_interfere();
        self.say(&format!("swp {at} {new:#x}"));
        self.word(at).replace(new)
    }
    fn zero(&self, at: Pa, bytes: u64) {
        self.say(&format!("zero {at}"));
        (0..bytes)
            .step_by(8)
            .for_each(|offset| self.word(at.forward(offset)).set(0));
    }
    fn tlbi_ipas2e1is(&self, operand: u64) {
        self.say(&format!("tlbi ipas2e1is {operand:#x}"));
    }
    fn tlbi_ripas2e1is(&self, operand: u64) {
        self.say(&format!("tlbi ripas2e1is {operand:#x}"));
    }
    fn tlbi_vmalle1is(&self) {
        self.say("tlbi vmalle1is");
    }
    fn tlbi_vmalls12e1is(&self) {
        self.say("tlbi vmalls12e1is");
    }
    fn tlbi_vae2is(&self, operand: u64) {
        self.say(&format!("tlbi vae2is {operand:#x}"));
    }
    fn tlbi_rvae2is(&self, operand: u64) {
        self.say(&format!("tlbi rvae2is {operand:#x}"));
    }
    fn tlbi_alle2is(&self) {
        self.say("tlbi alle2is");
    }
    fn dsb_ishst(&self) {
        self.say("dsb ishst");
    }
    fn dsb_ish(&self) {
        self.say("dsb ish");
    }
    fn isb(&self) {
        self.say("isb");
    }
    fn dc_cvac(&self, at: Pa) {
        self.say(&format!("dc cvac {at}"));
    }
    fn dc_civac(&self, at: Pa, bytes: u64) {
        self.say(&format!("dc civac {at} {bytes:#x}"));
    }
    fn dc_cvau(&self, at: Pa, bytes: u64) {
        self.say(&format!("dc cvau {at} {bytes:#x}"));
    }
    fn ic_ialluis(&self) {
        self.say("ic ialluis");
    }
    fn cache_line_bytes(&self) -> u64 {
        64
    }
    fn write_vtcr_el2(&self, value: u64) {
        self.say(&format!("vtcr {value:#x}"));
    }
    fn write_vttbr_el2(&self, value: u64) {
        self.say(&format!("vttbr {value:#x}"));
    }
    fn write_tcr_el2(&self, value: u64) {
        self.say(&format!("tcr {value:#x}"));
    }
    fn write_ttbr0_el2(&self, value: u64) {
        self.say(&format!("ttbr0 {value:#x}"));
    }
    fn write_mair_el2(&self, value: u64) {
        self.say(&format!("mair {value:#x}"));
    }
    fn mark_dirty(&self, ipa: Ipa, bytes: u64) {
        self.say(&format!("dirty {ipa} {bytes:#x}"));
    }
}

pub(crate) type TestCpu<'a> = Cpu<'a, Machine, Pool<'a>>;

/// Runs `test` with a VM of 4K pages and a 40-bit IPA, whose VMID is 1, on a
/// CPU that holds ten cached pages and has an empty log.
pub(crate) fn with_vm(
    coherent_walks: bool,
    test: impl FnOnce(&Stage2<'_>, &mut TestCpu<'_>, &Machine),
) {
    with_vm_of(&configuration(coherent_walks), test);
}

/// As `with_vm`, with another configuration of 4K pages.
pub(crate) fn with_vm_of(
    configuration: &Configuration,
    test: impl FnOnce(&Stage2<'_>, &mut TestCpu<'_>, &Machine),
) {
    let machine = Machine::new();
    let info: Vec<PageInfo> = (0..POOL_PAGES).map(|_| PageInfo::new()).collect();
    let pool = Pool::new(Pa::new(POOL), 12, &info).expect("the pool is aligned");
    let mut cpu = Cpu::new(&machine, &pool);
    let vm = Stage2::new();
    vm.create(&mut cpu, configuration, vmid(1), &[])
        .expect("it is legal");
    cpu.top_up(10);
    machine.take_log();
    test(&vm, &mut cpu, &machine);
}

pub(crate) fn configuration(coherent_walks: bool) -> Configuration {
    let granule = Granule::K4;
    Configuration {
        state: ExecutionState::Aarch64,
        granule,
        ipa_bits: 40,
        pa_bits: 40,
        start_level: None,
        ds: false,
        contiguous: false,
        coherent_walks,
        features: Features::default(),
    }
}

/// As `configuration`, on a machine with these features.
pub(crate) fn with_features(features: Features) -> Configuration {
    Configuration {
        features,
        ..configuration(true)
    }
}

pub(crate) fn mapping(ipa: u64, pa: u64, bytes: u64, prot: Prot) -> Mapping {
    let memory = MemoryType::Normal;
    Mapping {
        ipa: Ipa::new(ipa),
        pa: Pa::new(pa),
        bytes,
        prot,
        memory,
        software: 0,
        pages_only: false,
    }
}

pub(crate) fn vmid(number: u16) -> Vmid {
    Vmid::new(number).expect("it is not 0")
}
