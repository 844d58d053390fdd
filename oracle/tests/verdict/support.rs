//! Sequences of a few operations, up to the verdict on the last.

use oracle::event::Event;
use oracle::judge::Judge;
use oracle::operation::{AccessKind, Execute, MemoryType, Operation, Outcome, Prot};
use oracle::verdict::{Finding, Verdict};
use oracle::walk::Memory;

use crate::trace::*;

pub(crate) const CREATE: Operation = Operation::Create { vm: 0, vmid: 1 };
pub(crate) const READ: Operation = Operation::Access {
    vm: 0,
    ipa: 8,
    kind: AccessKind::Read,
};
pub(crate) const MAP: Operation = Operation::Map {
    vm: 0,
    ipa: 0,
    pa: GUEST,
    size: 2 * PAGE,
    prot: Prot {
        read: true,
        write: true,
        execute: Execute::Never,
    },
    memory: MemoryType::Normal,
    software: 0,
    pages_only: false,
};

pub(crate) struct Session {
    pub(crate) judge: Judge,
    pub(crate) words: Words,
}

impl Session {
    /// A VM with an empty root that VTTBR_EL2 holds: operations 1 and 2.
    pub(crate) fn loaded() -> Session {
        let mut session = Session {
            judge: Judge::new(machine()),
            words: Words::default(),
        };
        session.begin();
        session
    }

    /// Creates and loads the VM.
    pub(crate) fn begin(&mut self) {
        let root = [
            Event::Allocate {
                page: ROOT,
                order: 1,
            },
            Event::Zero {
                at: ROOT,
                bytes: 2 * PAGE,
            },
        ];
        self.step(CREATE, &root).expect("a right create");
        let load = [Event::WriteVtcr(VTCR), Event::WriteVttbr(VTTBR), ISB];
        self.step(READ, &load).expect("a right load");
    }

    /// And with two pages mapped: operation 3.
    pub(crate) fn mapped() -> Session {
        let mut session = Session::loaded();
        session.step(MAP, &map_two_pages()).expect("a right map");
        session
    }

    /// An operation that answers that it is done.
    pub(crate) fn step(&mut self, operation: Operation, events: &[Event]) -> Result<(), Finding> {
        let events = maintained(&operation, Outcome::Done, events);
        events.iter().for_each(|event| self.words.apply(event));
        let records = events.iter().map(|&event| record(event));
        let judged = self
            .judge
            .operation(&operation, Outcome::Done, records, &self.words);
        judged.map(|_| ())
    }

    pub(crate) fn explain(&self, finding: Finding) -> Verdict {
        self.explain_with(finding, &self.words)
    }

    pub(crate) fn explain_with(&self, finding: Finding, memory: &impl Memory) -> Verdict {
        let text = "map a ipa=0x0 pa=0x50000000 size=8K prot=rw- mem=normal";
        self.judge.explain(finding, 3, text, memory)
    }
}

/// The verdict on a map of two pages that has these events.
pub(crate) fn verdict_of_map(events: &[Event]) -> Verdict {
    let mut session = Session::loaded();
    let finding = session.step(MAP, events).expect_err("the map is wrong");
    session.explain(finding)
}

/// A map whose second page leads to the memory of the first.
pub(crate) fn wrong_second_page() -> Vec<Event> {
    with(&map_two_pages(), 9, store(L3 + 8, 0, page(GUEST)))
}
