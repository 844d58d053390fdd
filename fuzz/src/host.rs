//! The host engine: the subject as ordinary code on the machine that fuzzes,
//! over memory and a journal that serve one sequence after another.
//!
//! It executes and records; it judges nothing. That is `lockstep`.

mod memory;

pub use memory::{Memory, Reach, Stray};

use driver::{Driver, Lab, Log};
use hyp::cpu::Registers;
use hyp::pages::PageInfo;
use ops::{Event, Machine, Operation, Outcome, Record, Vm};
use oracle::regime::Registers as Space;
use std::cell::{Ref, RefCell};

/// What one CPU did, in order.
#[derive(Default)]
pub struct Journal(RefCell<Vec<Record>>);

impl Log for Journal {
    fn record(&self, event: Event) {
        self.0.borrow_mut().push(Record { cpu: 0, event });
    }
}

/// Everything that outlives a sequence: buffers that grow to what sequences need
/// and are not given back.
#[derive(Default)]
pub struct Engine {
    memory: Memory,
    journal: Journal,
    info: Vec<PageInfo>,
}

impl Engine {
    /// An engine that has run nothing.
    #[must_use]
    pub fn new() -> Engine {
        Engine::default()
    }

    /// Runs `body` on a fresh machine of this description: its pool all poison, no
    /// VM, no page in use.
    ///
    /// # Panics
    /// If `Machine::check` refuses the machine, which both written forms of a
    /// sequence exclude.
    pub fn run<R>(&mut self, machine: &Machine, body: impl FnOnce(&mut Session<'_>) -> R) -> R {
        self.memory.reset(machine.pool_window());
        self.info.clear();
        let pages = usize::from(machine.pool.pages);
        self.info.resize_with(pages, PageInfo::new);
        let Engine {
            memory,
            journal,
            info,
        } = &*self;
        let lab = Lab::new(machine, memory, journal, info).expect("the machine was checked");
        body(&mut Session {
            driver: lab.driver(),
            is_own: machine.regime.is_own(),
            memory,
            journal,
        })
    }

    /// Memory as the last sequence left it.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }
}

/// A sequence that runs on an engine.
pub struct Session<'a> {
    driver: Driver<'a, 'a, Memory, Journal>,
    /// Whether the regime is a hypervisor's own.
    is_own: bool,
    memory: &'a Memory,
    journal: &'a Journal,
}

impl Session<'_> {
    /// Executes one operation; of a guest access, what precedes it.
    pub fn execute(&mut self, operation: &Operation) -> Outcome {
        self.journal.0.borrow_mut().clear();
        self.driver.execute(operation)
    }

    /// Has hardware update a descriptor, as a walk for the guest does (contract H).
    pub fn update(&self, update: oracle::walk::Update) {
        self.memory.update(update.at, update.new);
    }

    /// What the last operation did, in order.
    #[must_use]
    pub fn events(&self) -> Ref<'_, [Record]> {
        Ref::map(self.journal.0.borrow(), Vec::as_slice)
    }

    /// Physical memory as it is now.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        self.memory
    }

    /// Each page of the pool that is not free, by physical address, and the
    /// references that the page source counts to it.
    pub fn references(&self) -> impl Iterator<Item = (u64, u16)> {
        self.driver.references()
    }

    /// The registers of an address space in any regime, as the subject computed them;
    /// `None` where it does not exist.
    #[must_use]
    pub fn space(&self, vm: Vm) -> Option<Space> {
        if self.is_own {
            let own = self.driver.own_registers().filter(|_| vm == Vm::A)?;
            return Some(Space {
                control: own.tcr,
                root: own.ttbr0,
                attributes: own.mair,
            });
        }
        let registers = self.driver.registers(vm)?;
        Some(Space {
            control: registers.vtcr,
            root: registers.vttbr,
            attributes: 0,
        })
    }

    /// `VTCR_EL2` and `VTTBR_EL2` of a VM, as the subject computed them; `None`
    /// where the VM does not exist.
    #[must_use]
    pub fn registers(&self, vm: Vm) -> Option<Registers> {
        self.driver.registers(vm)
    }
}
