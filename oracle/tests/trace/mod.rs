//! Hand-made traces: a machine with a few named pages, and events in short words.
//!
//! It leaves out every computation of a subject: addresses and descriptors are
//! written out, for a 4K granule and a 40-bit IPA size (start level 1, two root
//! tables).

// Each test file uses its own part.
#![allow(dead_code, unreachable_pub)]

pub mod machines;
pub mod session;

use std::cell::RefCell;
use std::collections::HashMap;

use oracle::arch::{Features, Granule};
use oracle::event::{Barrier, CacheOperation, Event, Record, Tlbi};
use oracle::judge::Observer;
use oracle::ledger::Work;
use oracle::operation::{Execute, Machine, Operation, Outcome, Regime, Span};
use oracle::protocol::InPlace;
use oracle::verdict::{Class, Finding};
use oracle::walk::{Memory, Registers, Stage2};

pub const PAGE: u64 = 0x1000;
pub const POOL: u64 = 0x4800_0000;
pub const ROOT: u64 = POOL;
pub const L2: u64 = POOL + 2 * PAGE;
pub const L3: u64 = POOL + 3 * PAGE;
pub const SPARE: u64 = POOL + 4 * PAGE;
pub const SPARE_2: u64 = POOL + 5 * PAGE;
pub const OTHER_ROOT: u64 = POOL + 8 * PAGE;
pub const GUEST: u64 = 0x5000_0000;
pub const SENTINEL: u64 = 0x7000_0000;
pub const VTCR: u64 = 0x8002_3558;
pub const VTTBR: u64 = 1 << 48 | ROOT;
pub const OTHER_VTTBR: u64 = 2 << 48 | OTHER_ROOT;

/// P3: twice the two levels below the root.
pub const CAPACITY: u32 = 4;

pub const CHANGE: Work = Work::Change { capacity: CAPACITY };

pub fn machine() -> Machine {
    Machine {
        regime: Regime::Stage2,
        granule: Granule::K4,
        pa_bits: 40,
        ipa_bits: 40,
        start_level: None,
        ds: false,
        features: Features::of_contract(40),
        contiguous: false,
        ttl: false,
        tlb_range: false,
        vmid16: false,
        idc: false,
        dic: false,
        coherent_walks: true,
        bbm: 0,
        cache_pages: None,
        pool: Span {
            base: POOL,
            bytes: 64 * PAGE,
        },
        hypervisor: Span {
            base: 0x4000_0000,
            bytes: 16 * PAGE,
        },
        sentinel: Span {
            base: SENTINEL,
            bytes: PAGE,
        },
    }
}

pub fn stage2() -> Stage2 {
    let features = Features {
        pa_bits: 40,
        lpa2_4k: false,
        lpa2_16k: false,
        granule_16k: true,
        haf: false,
        dbm: false,
        xnx: false,
        ttst: false,
        fwb: false,
        bbm: 0,
    };
    let registers = Registers {
        vtcr: VTCR,
        vttbr: 0,
        hcr: 1 << 31 | 1,
    };
    Stage2::new(features, registers)
}

pub fn table(next: u64) -> u64 {
    next | 0b11
}

/// A page, read and write, normal memory, not executable.
pub fn page(pa: u64) -> u64 {
    pa | 0b11 | 0b1111 << 2 | 0b11 << 6 | 0b11 << 8 | 1 << 10 | 1 << 54
}

/// A block with the same attributes.
pub fn block(pa: u64) -> u64 {
    page(pa) & !0b10
}

pub fn store(at: u64, old: u64, new: u64) -> Event {
    Event::Store {
        at,
        old,
        new,
        release: false,
    }
}

pub fn release_store(at: u64, old: u64, new: u64) -> Event {
    Event::Store {
        at,
        old,
        new,
        release: true,
    }
}

pub fn zero(at: u64) -> Event {
    Event::Zero { at, bytes: PAGE }
}

pub fn allocate(page: u64) -> Event {
    Event::Allocate { page, order: 0 }
}

pub fn release(page: u64) -> Event {
    Event::Release { page, order: 0 }
}

/// `IPAS2E1IS` of an IPA, as its operand is defined.
pub fn ipas2(ipa: u64) -> Event {
    raw_ipas2(ipa >> 12)
}

pub fn raw_ipas2(operand: u64) -> Event {
    Event::Tlbi {
        operation: Tlbi::Ipas2e1is,
        operand,
    }
}

pub const VMALLE1: Event = Event::Tlbi {
    operation: Tlbi::Vmalle1is,
    operand: 0,
};
pub const VMALLS12: Event = Event::Tlbi {
    operation: Tlbi::Vmalls12e1is,
    operand: 0,
};
pub const ISHST: Event = Event::Barrier(Barrier::DsbIshst);
pub const ISH: Event = Event::Barrier(Barrier::DsbIsh);
pub const ISB: Event = Event::Barrier(Barrier::Isb);

pub fn clean(at: u64) -> Event {
    Event::Cache {
        operation: CacheOperation::Cvac,
        at,
        bytes: 1,
    }
}

/// A page's 64 lines.
pub fn clean_page(page: u64) -> Vec<Event> {
    (0..64).map(|line| clean(page + 64 * line)).collect()
}

pub fn record(event: Event) -> Record {
    Record { cpu: 0, event }
}

/// Table memory, as the events leave it.
#[derive(Default)]
pub struct Words(RefCell<HashMap<u64, u64>>);

impl Words {
    pub fn apply(&self, event: &Event) {
        let mut words = self.0.borrow_mut();
        match *event {
            Event::Store { at, new, .. } | Event::Exchange { at, new, .. } => {
                words.insert(at, new);
            }
            Event::Zero { at, bytes } => {
                for at in (at..at + bytes).step_by(8) {
                    words.insert(at, 0);
                }
            }
            _ => {}
        }
    }

    pub fn set(&self, at: u64, value: u64) {
        self.0.borrow_mut().insert(at, value);
    }
}

impl Memory for Words {
    fn read(&self, at: u64) -> Option<u64> {
        self.0.borrow().get(&at).copied()
    }
}

/// The events that map two pages at IPA 0 and 0x1000 of VM 0, from an empty root.
pub fn map_two_pages() -> Vec<Event> {
    let mut events = top_up(&[L2, L3, SPARE, SPARE_2]);
    events.extend([
        zero(L2),
        release_store(ROOT, 0, table(L2)),
        zero(L3),
        release_store(L2, 0, table(L3)),
        store(L3, 0, page(GUEST)),
        store(L3 + 8, 0, page(GUEST + PAGE)),
        ISHST,
    ]);
    events
}

/// The same in tables of the hypervisor's own, where an `ISB` follows (E6).
pub fn map_two_own_pages() -> Vec<Event> {
    let mut events = map_two_pages();
    events.push(ISB);
    events
}

/// The events of an operation that answers `outcome`, with what a map owes to the caches
/// before its first store (K1, K2).
pub fn maintained(operation: &Operation, outcome: Outcome, events: &[Event]) -> Vec<Event> {
    let mut events = events.to_vec();
    let Operation::Map { pa, size, prot, .. } = *operation else {
        return events;
    };
    if outcome != Outcome::Done {
        return events;
    }
    let is_top_up = |event: &Event| matches!(event, Event::Allocate { .. });
    let first = events.iter().position(|event| !is_top_up(event));
    let flush = Event::Cache {
        operation: CacheOperation::Civac,
        at: pa,
        bytes: size,
    };
    let mut owed = vec![flush, ISH];
    if prot.execute != Execute::Never {
        owed.extend([Event::InstructionCaches, ISH]);
    }
    let first = first.unwrap_or(events.len());
    events.splice(first..first, owed);
    events
}

pub fn top_up(pages: &[u64]) -> Vec<Event> {
    pages.iter().map(|&page| allocate(page)).collect()
}

/// What follows a store of an invalid descriptor, by IPA.
pub fn invalidate(ipa: u64) -> Vec<Event> {
    vec![ISHST, ipas2(ipa), ISH, VMALLE1, ISH]
}

/// VM 0 with VMID 1 and an empty root, and VTTBR_EL2 holding it.
pub fn bench() -> Observer {
    bench_on(&machine())
}

pub fn bench_on(machine: &Machine) -> Observer {
    bench_of(machine, stage2())
}

pub fn bench_of(machine: &Machine, stage2: Stage2) -> Observer {
    let mut observer = Observer::new(machine, stage2);
    create(&mut observer, 0, ROOT);
    observer.protocol.enter(0, 1, VTTBR);
    run(
        &mut observer,
        Work::Other,
        &[Event::WriteVtcr(VTCR), Event::WriteVttbr(VTTBR), ISB],
    )
    .unwrap();
    observer
}

pub fn create(observer: &mut Observer, vm: usize, root: u64) {
    let events = [
        Event::Allocate {
            page: root,
            order: 1,
        },
        Event::Zero {
            at: root,
            bytes: 2 * PAGE,
        },
    ];
    run(observer, Work::Create { vm, order: 1 }, &events).unwrap();
}

/// [`bench`], with two pages mapped.
pub fn mapped() -> Observer {
    let mut observer = bench();
    run(&mut observer, CHANGE, &map_two_pages()).unwrap();
    observer
}

/// One operation.
pub fn run(observer: &mut Observer, work: Work, events: &[Event]) -> Result<(), Finding> {
    run_as(observer, work, InPlace::default(), events)
}

/// One operation, which may change these in place.
pub fn run_as(
    observer: &mut Observer,
    work: Work,
    in_place: InPlace,
    events: &[Event],
) -> Result<(), Finding> {
    observer.begin(work, in_place);
    for &event in events {
        observer.event(&record(event))?;
    }
    observer.end()?;
    observer.ledger.end_top_up()
}

/// A change of [`mapped`], after the pages that top its cache up.
pub fn change(events: &[Event]) -> Result<(), Finding> {
    let mut all = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    all.extend(events);
    run(&mut mapped(), CHANGE, &all)
}

pub fn without(events: &[Event], index: usize) -> Vec<Event> {
    let mut events = events.to_vec();
    events.remove(index);
    events
}

pub fn with(events: &[Event], index: usize, event: Event) -> Vec<Event> {
    let mut events = events.to_vec();
    events[index] = event;
    events
}

#[track_caller]
pub fn assert_found<T>(result: Result<T, Finding>, class: Class, rule: &str) -> Finding {
    match result {
        Ok(_) => panic!("nothing was found, {class} ({rule}) expected"),
        Err(finding) => {
            assert_eq!((finding.class, finding.rule), (class, rule), "{finding}");
            finding
        }
    }
}
