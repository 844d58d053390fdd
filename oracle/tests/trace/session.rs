//! Whole operations on a judge, with the memory that their events leave.

use super::*;
use oracle::judge::{Judge, Judged};
use oracle::operation::{AccessKind, Execute, MemoryType, Operation, Outcome, Prot};

pub struct Session {
    pub judge: Judge,
    pub words: Words,
}

pub const CREATE: Operation = Operation::Create { vm: 0, vmid: 1 };
pub const FREE: Operation = Operation::Free { vm: 0 };
pub const MAP: Operation = map(0, GUEST, 2 * PAGE);
pub const UNMAP: Operation = Operation::Unmap {
    vm: 0,
    ipa: 0,
    size: PAGE,
};
pub const READ: Operation = Operation::Access {
    vm: 0,
    ipa: 8,
    kind: AccessKind::Read,
};

pub const fn map(ipa: u64, pa: u64, size: u64) -> Operation {
    Operation::Map {
        vm: 0,
        ipa,
        pa,
        size,
        prot: Prot {
            read: true,
            write: true,
            execute: Execute::Never,
        },
        memory: MemoryType::Normal,
        software: 0,
        pages_only: false,
    }
}

pub fn create_events() -> Vec<Event> {
    vec![
        Event::Allocate {
            page: ROOT,
            order: 1,
        },
        Event::Zero {
            at: ROOT,
            bytes: 2 * PAGE,
        },
    ]
}

pub fn load_events() -> Vec<Event> {
    vec![Event::WriteVtcr(VTCR), Event::WriteVttbr(VTTBR), ISB]
}

pub fn unmap_events() -> Vec<Event> {
    let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
    events.push(store(L3, page(GUEST), 0));
    events.extend(invalidate(0));
    events
}

pub fn free_events() -> Vec<Event> {
    let mut events = vec![store(ROOT, table(L2), 0), ISHST, VMALLS12, ISH];
    events.extend([Event::WriteVttbr(0), ISB, release(L3), release(L2)]);
    events.push(Event::Release {
        page: ROOT,
        order: 1,
    });
    events
}

impl Session {
    pub fn new() -> Session {
        Session::on(machine())
    }

    pub fn on(machine: Machine) -> Session {
        Session {
            judge: Judge::new(machine),
            words: Words::default(),
        }
    }

    /// A VM with an empty root.
    pub fn created() -> Session {
        let mut session = Session::new();
        session
            .step(CREATE, Outcome::Done, &create_events())
            .unwrap();
        session
    }

    /// And loaded.
    pub fn loaded() -> Session {
        let mut session = Session::created();
        session.step(READ, Outcome::Done, &load_events()).unwrap();
        session
    }

    /// And with two pages mapped.
    pub fn mapped() -> Session {
        let mut session = Session::loaded();
        session.step(MAP, Outcome::Done, &map_two_pages()).unwrap();
        session
    }

    pub fn step(
        &mut self,
        operation: Operation,
        outcome: Outcome,
        events: &[Event],
    ) -> Result<Judged, Finding> {
        let events = maintained(&operation, outcome, events);
        self.step_as_is(operation, outcome, &events)
    }

    /// As [`Session::step`], without what a map owes to the caches.
    pub fn step_as_is(
        &mut self,
        operation: Operation,
        outcome: Outcome,
        events: &[Event],
    ) -> Result<Judged, Finding> {
        events.iter().for_each(|event| self.words.apply(event));
        let events = events.iter().map(|&event| record(event));
        self.judge
            .operation(&operation, outcome, events, &self.words)
    }
}
