//! One sequence, judged operation by operation.
//!
//! The first thing that is wrong ends the sequence, and the order of the checks puts
//! causes before their consequences:
//!
//! 1. each event in turn: pages used against their state, break-before-make,
//!    registers written, attribute bits of leaves and the cache maintenance that they
//!    wait for, pages that go back too early;
//! 2. a refused operation that changed something;
//! 3. what is open on return: invalidations, barriers, cleaning, lost pages, a page
//!    cache that was not topped up, memory that was not flushed;
//! 4. the answer, and what the dirty log was told;
//! 5. what the registers hold;
//! 6. translations and entries at the edges of what the operation touched;
//! 7. cache maintenance that nothing asked for, and the number of pages in tables.
//!
//! `finish` compares the whole of every address space, and every entry. What two parts of the oracle
//! say differently is found there as well, and again before a difference in a
//! translation is put down to the subject.

mod caches;
mod clauses;
mod compare;
mod contradiction;
mod dirty;
mod entries;
mod explain;
mod leaf;
mod observer;
mod registers;
mod stored;
mod whole;
mod writers;

use crate::event::{Event, Record};
use crate::ledger::{State, Work};
use crate::model::registers::MAIR;
use crate::model::{self, Model};
use crate::operation::{AccessKind, Action, Machine, Operation, Outcome};
use crate::protocol::{Discipline, InPlace};
use crate::regime::{Registers, Walker};
use crate::verdict::{Class, Finding};
use crate::walk::{Access, Answer, FaultKind, Memory, Update, Why};

pub use crate::regime::{HCR, hcr};
use caches::Caches;
use compare::Views;
use dirty::Told;
use entries::Entries;
use leaf::LeafFormat;
pub use observer::Observer;
use registers::{Names, Writes};
use whole::View;
use writers::Writers;

/// The number of the first operation, where the caller gives none.
const FIRST_NUMBER: usize = 1;

/// What a judged operation adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// The walker's answer of an access, with [`hcr`]. Where it has an update that memory
    /// does not hold yet, the caller is to store it, in the place of hardware.
    pub access: Option<Answer>,
    /// Translations that were compared.
    pub compared: u32,
    /// Why others were not: one item for each.
    pub not_comparable: Vec<Why>,
}

/// Judges one sequence after another.
#[derive(Clone, Debug)]
pub struct Judge {
    machine: Machine,
    /// R1, E2, Z1, Z3; 0 where the configuration is illegal.
    control: u64,
    model: Model,
    observer: Observer,
    /// VMs that exist, with their base registers.
    vms: Vec<(usize, u64)>,
    writes: Writes,
    writers: Writers,
    caches: Caches,
    told: Told,
    /// What the caller counts the next operation as.
    number: usize,
    /// The operation that is being judged, and whether the model has applied it.
    current: Option<(Operation, bool)>,
}

/// What the operation's events did, as far as a refusal forbids it.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    change: Option<Event>,
}

fn control(model: &Model, machine: &Machine) -> u64 {
    let configuration = model.configuration();
    configuration.map_or(0, |c| model::registers::control(&c, machine))
}

/// The walker with these registers, and those that every address space has alike.
fn walker(machine: &Machine, control: u64, root: u64) -> Walker {
    let registers = Registers {
        control,
        root,
        attributes: MAIR,
    };
    Walker::new(machine, &registers)
}

impl Judge {
    /// Nothing has been executed on the machine.
    pub fn new(machine: Machine) -> Judge {
        let model = Model::new(&machine);
        let control = control(&model, &machine);
        let walker = walker(&machine, control, 0);
        let observer = Observer::new(&machine, walker);
        let writes = Writes::new(machine.regime, control, &observer.protocol, 0, None);
        Judge {
            machine,
            control,
            model,
            observer,
            vms: Vec::new(),
            writes,
            writers: Writers::default(),
            caches: Caches::new(&machine),
            told: Told::default(),
            number: FIRST_NUMBER,
            current: None,
        }
    }

    /// As [`Judge::new`], but keeps the buffers.
    pub fn reset(&mut self, machine: Machine) {
        self.machine = machine;
        self.model.reset(&machine);
        self.control = control(&self.model, &machine);
        let walker = walker(&machine, self.control, 0);
        self.observer.reset(&machine, walker);
        self.caches = Caches::new(&machine);
        self.vms.clear();
        self.writers.reset();
        self.number = FIRST_NUMBER;
        self.current = None;
    }

    /// How the subject that is judged from now on changes live descriptors; a reset
    /// keeps it.
    pub fn judge_by(&mut self, discipline: Discipline) {
        self.observer.protocol.judge_by(discipline);
    }

    /// Says what the caller counts the next operation as: verdicts name the operation
    /// that stored a descriptor by it. Unless this is called, operations count on from
    /// 1.
    pub fn number_next(&mut self, number: usize) {
        self.number = number;
    }

    /// Judges one operation after the subject has executed it: its answer, its events
    /// in order, and the memory that it left. It ran on the CPU of its first event, or
    /// on CPU 0 where it has none.
    ///
    /// # Errors
    /// The first thing that is wrong; the judge then waits for [`Judge::explain`] and
    /// [`Judge::reset`].
    pub fn operation<M: Memory + ?Sized>(
        &mut self,
        operation: &Operation,
        outcome: Outcome,
        events: impl Iterator<Item = Record>,
        memory: &M,
    ) -> Result<Judged, Finding> {
        let mut events = events.peekable();
        self.begin(operation, events.peek().map_or(0, |first| first.cpu));
        let mut tally = Tally::default();
        for record in events {
            self.event(operation, &record, &mut tally)?;
        }
        check_refused(operation, outcome, &tally)?;
        self.observer.end()?;
        let mut supply = self.observer.ledger.supply();
        if matches!(outcome, Outcome::Refused(_)) {
            // It may have been refused before its top-up. Had it gone on, it had pages.
            supply.available = supply.available.max(self.observer.ledger.top_up_target());
        } else {
            self.observer.ledger.end_top_up()?;
        }
        self.caches.end(operation, outcome, &self.model)?;
        let demanded = self.model.apply(operation, supply);
        self.current = Some((*operation, true));
        check_answer(operation, demanded, outcome)?;
        self.told.end(operation.vm(), &self.model)?;
        self.follow(operation, outcome)?;
        let protocol = &self.observer.protocol;
        self.writes.end(operation, outcome, protocol)?;
        let judged = self.check_translations(operation, outcome, memory)?;
        self.caches.nothing_beyond()?;
        self.follow_access(operation, &judged)?;
        self.check_accounts(operation)?;
        Ok(judged)
    }

    /// Judges what the sequence left: the whole of every address space, and every
    /// table.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn finish<M: Memory + ?Sized>(&mut self, memory: &M) -> Result<(), Finding> {
        self.current = None;
        contradiction::check_counts(&self.observer.ledger)?;
        for &(vm, _) in &self.vms {
            self.compare_space(vm, memory)?;
            self.entries()
                .check_all(vm, self.observer.ledger.tables(), memory)?;
        }
        whole::compare_memory(self.observer.ledger.tables(), memory)
    }

    /// Judges the reference counts of a page source at rest, between two operations:
    /// physical address and count of each page, in any order.
    ///
    /// # Errors
    /// G9: the first page whose count is not its valid entries.
    pub fn references(&mut self, counts: impl Iterator<Item = (u64, u16)>) -> Result<(), Finding> {
        self.observer.ledger.references(counts)
    }

    /// Ledger and protocol as they are.
    pub fn observer(&self) -> &Observer {
        &self.observer
    }

    /// The model as it is.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The first piece of a VM's address space that differs from the model's.
    fn compare_space<M: Memory + ?Sized>(&self, vm: usize, memory: &M) -> Result<(), Finding> {
        let Some(base) = self.own_base(vm) else {
            return Ok(());
        };
        let walker = self.walker(base);
        whole::compare_space(self.view(vm), &walker, memory)
    }

    fn view(&self, vm: usize) -> View<'_> {
        let (machine, model) = (&self.machine, &self.model);
        View { machine, model, vm }
    }

    fn entries(&self) -> Entries<'_> {
        Entries {
            model: &self.model,
            format: LeafFormat::new(&self.machine),
        }
    }

    /// The walker with a VM's registers.
    fn walker(&self, base: u64) -> Walker {
        walker(&self.machine, self.control, base)
    }

    fn own_base(&self, vm: usize) -> Option<u64> {
        let own = self.vms.iter().find(|(number, _)| *number == vm);
        own.map(|&(_, base)| base)
    }

    fn begin(&mut self, operation: &Operation, cpu: u8) {
        let vm = operation.vm();
        let exists = self.model.exists(vm);
        let work = self.work(operation, exists);
        let in_place = InPlace::of(operation, self.machine.bbm);
        self.observer.begin(work, in_place);
        self.writers.begin(self.number);
        self.caches.begin();
        self.told.begin();
        self.number = self.number.saturating_add(1);
        let own = self.own_base(vm);
        self.writes = Writes::new(
            self.machine.regime,
            self.control,
            &self.observer.protocol,
            cpu,
            own,
        );
        self.current = Some((*operation, false));
    }

    fn cache_capacity(&self) -> u32 {
        self.model.cache_capacity().unwrap_or_default().into()
    }

    fn work(&self, operation: &Operation, exists: bool) -> Work {
        let vm = operation.vm();
        match (operation, self.model.root_order()) {
            (Operation::Create { .. }, Some(order)) if !exists => Work::Create { vm, order },
            (Operation::Free { .. }, _) if exists => Work::Free { vm },
            (Operation::Build { .. }, _) if exists => {
                let capacity = self.cache_capacity();
                Work::Build { vm, capacity }
            }
            (
                Operation::Discard { .. }
                | Operation::Range {
                    action: Action::Destroy,
                    ..
                },
                _,
            ) if exists => Work::Discard { vm },
            _ if exists && tops_up(operation) => Work::Change {
                capacity: self.cache_capacity(),
            },
            _ => Work::Other,
        }
    }

    fn event(
        &mut self,
        operation: &Operation,
        record: &Record,
        tally: &mut Tally,
    ) -> Result<(), Finding> {
        // Before anything that may be wrong with it: the verdict then names it.
        let tables = self.observer.ledger.tables();
        self.writers.event(&record.event, tables);
        self.writes.event(operation, &record.event)?;
        let tables = self.observer.ledger.tables();
        self.caches.event(record, |at| tables.number(at).is_some());
        self.told.event(&record.event);
        let live = self.observer.event(record)?;
        if let Some(live) = live {
            self.check_leaves(operation, &live)?;
        }
        if tally.change.is_none() && self.changes(operation, &record.event) {
            tally.change = Some(record.event);
        }
        Ok(())
    }

    /// Whether an event is a change in the sense of G2. A top-up is not, nor is what
    /// it does to its own pages.
    fn changes(&self, operation: &Operation, event: &Event) -> bool {
        match *event {
            Event::Store { .. }
            | Event::Exchange { .. }
            | Event::Tlbi { .. }
            | Event::Cache { .. }
            | Event::InstructionCaches
            | Event::Dirty { .. }
            | Event::Release { .. } => true,
            Event::Zero { at, .. } => {
                let tables = self.observer.ledger.tables();
                let state = tables.number(at).map(|number| tables.state(number));
                state != Some(State::Cached)
            }
            Event::Allocate { .. } => !tops_up(operation),
            Event::AllocateFailed { .. }
            | Event::Barrier(_)
            | Event::WriteVtcr(_)
            | Event::WriteVttbr(_)
            | Event::WriteTcr(_)
            | Event::WriteTtbr0(_)
            | Event::WriteMair(_) => false,
        }
    }

    /// What hardware writes, of which no event tells. Beside a Permission fault it may set
    /// the access flag, and need not.
    fn follow_access(&mut self, operation: &Operation, judged: &Judged) -> Result<(), Finding> {
        let Operation::Access { vm, ipa, .. } = *operation else {
            return Ok(());
        };
        match judged.access {
            Some(Answer::Translation(translation)) => match translation.update {
                Some(Update { at, new }) => self.observer.ledger.updated_by_hardware(at, new),
                None => Ok(()),
            },
            Some(Answer::Fault(fault))
                if fault.kind == FaultKind::Permission
                    && fault.permitted_update.is_none()
                    && self.machine.features.haf =>
            {
                self.model.hardware_made_young(vm, ipa);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Keeps account of the VMs that exist, once the answer is known to be right.
    fn follow(&mut self, operation: &Operation, outcome: Outcome) -> Result<(), Finding> {
        match (*operation, outcome) {
            (Operation::Create { vm, vmid }, Outcome::Done) => self.enter(vm, vmid),
            (Operation::Free { vm }, Outcome::Freed { .. }) => {
                self.vms.retain(|&(number, _)| number != vm);
                self.observer.protocol.leave(vm);
                Ok(())
            }
            (Operation::Conflict { vm }, Outcome::Done) => {
                self.observer.protocol.whole_vmid_is_invalidated(vm)
            }
            _ => Ok(()),
        }
    }

    /// C3 and C4.
    fn enter(&mut self, vm: usize, vmid: u16) -> Result<(), Finding> {
        let Observer { ledger, protocol } = &mut self.observer;
        let Some(root) = ledger.root(vm) else {
            let what = "create answers ok, and no page was allocated for a root";
            return Err(Finding::new(Class::UseAfterFree, "C3", what.into()).of(vm));
        };
        let Some(base) = self.model.base(vm, root) else {
            let name = Names::of(self.machine.regime);
            let what = format!(
                "{} cannot hold VMID {vmid} with a root at {root:#x}",
                name.base
            );
            return Err(Finding::new(Class::Register, name.base_rule, what).of(vm));
        };
        let pages = 1 << self.model.root_order().unwrap_or_default();
        ledger.root_is_zero(vm)?;
        protocol.root_is_ready(ledger.tables(), root, pages)?;
        protocol.enter(vm, vmid, base);
        self.vms.push((vm, base));
        Ok(())
    }

    fn check_translations<M: Memory + ?Sized>(
        &self,
        operation: &Operation,
        outcome: Outcome,
        memory: &M,
    ) -> Result<Judged, Finding> {
        let mut judged = Judged::default();
        let vm = operation.vm();
        let Some(base) = self.own_base(vm) else {
            return Ok(judged);
        };
        let walker = self.walker(base);
        let views = Views {
            machine: &self.machine,
            model: &self.model,
            vm,
            walker: &walker,
            memory,
            tables_held: self.observer.ledger.held_by(vm),
            rule: clauses::promise(operation, outcome),
        };
        let entries = self.entries();
        // An access changes no entry but as hardware does, which may be still to come.
        let settled = !matches!(operation, Operation::Access { .. });
        for &ipa in self.model.edges() {
            judged.compared += views.compare_all(ipa, &mut judged.not_comparable)?;
            if settled {
                entries.check_at(vm, ipa, &walker, memory)?;
            }
        }
        if let (Operation::Access { ipa, kind, .. }, Outcome::Done) = (*operation, outcome) {
            let access = match kind {
                AccessKind::Read => Access::Read,
                AccessKind::Write => Access::Write,
                AccessKind::Execute => Access::Execute { el0: false },
            };
            judged.access = Some(views.compare(ipa, access)?);
        }
        Ok(judged)
    }

    /// The pages in tables are as many as the model's.
    fn check_accounts(&self, operation: &Operation) -> Result<(), Finding> {
        let (demanded, found) = (self.model.tables_of_all(), self.observer.ledger.in_use());
        let (class, rule) = match found.cmp(&demanded) {
            std::cmp::Ordering::Equal => return Ok(()),
            std::cmp::Ordering::Greater => (Class::Leak, "U8"),
            std::cmp::Ordering::Less => (Class::UseAfterFree, "U8"),
        };
        let what = format!("{found} pages are in tables, and {demanded} are needed");
        let finding = Finding::new(class, rule, what).of(operation.vm());
        Err(finding.differs("pages", demanded.to_string(), found.to_string()))
    }
}

/// P2.
fn tops_up(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Map { .. }
            | Operation::Unmap { .. }
            | Operation::Protect { .. }
            | Operation::Annotate { .. }
            | Operation::Build { .. }
            | Operation::Range {
                action: Action::Split,
                ..
            }
    )
}

/// G2, and what each page need's clause says of nothing done.
fn check_refused(operation: &Operation, outcome: Outcome, tally: &Tally) -> Result<(), Finding> {
    let rule = clauses::nothing_changed(operation, outcome);
    match (rule, tally.change) {
        (Some(rule), Some(event)) => {
            let what = format!("the operation answers {outcome:?}, and has done {event:x?}");
            let finding = Finding::new(Class::PartialOnError, rule, what);
            Err(finding.of(operation.vm()))
        }
        _ => Ok(()),
    }
}

fn check_answer(operation: &Operation, demanded: Outcome, outcome: Outcome) -> Result<(), Finding> {
    if demanded == outcome {
        return Ok(());
    }
    let rule = clauses::of_answer(operation, demanded, outcome);
    let what = format!("the answer is {outcome:?}, and must be {demanded:?}");
    let finding = Finding::new(Class::ReturnValue, rule, what).of(operation.vm());
    Err(finding.differs("answer", format!("{demanded:?}"), format!("{outcome:?}")))
}
