//! What is judged in tables of a hypervisor's own beside what holds for a guest's: no live
//! entry changes, but what unmap was asked for (E4, E5).

use super::Judge;
use crate::ledger::{Broken, Place};
use crate::operation::Operation;
use crate::verdict::{Class, Finding};

impl Judge {
    /// E4 and E5: what the last event took from walkers was to go.
    pub(super) fn check_live(&self, operation: &Operation) -> Result<(), Finding> {
        if !self.machine.regime.is_own() {
            return Ok(());
        }
        let tables = self.observer.ledger.tables();
        let bytes = |broken: &Broken| tables.format().entry_bytes(broken.place.level);
        let goes = |broken: &&Broken| may_go(operation, broken, bytes(broken));
        match tables.broken().iter().find(|broken| !goes(broken)) {
            None => Ok(()),
            Some(broken) => Err(changed(operation, broken, bytes(broken))),
        }
    }
}

/// Whether an operation may take an entry of that many bytes away. A table may go: the
/// leaves that hung below it are looked at by themselves.
fn may_go(operation: &Operation, broken: &Broken, bytes: u64) -> bool {
    match *operation {
        Operation::Free { .. } => true,
        Operation::Unmap { ipa, size, .. } => {
            let first = broken.place.ipa.checked_sub(ipa);
            let end = first.map(|first| first.saturating_add(bytes));
            broken.table || end.is_some_and(|end| end <= size)
        }
        _ => false,
    }
}

fn changed(operation: &Operation, broken: &Broken, bytes: u64) -> Finding {
    let Place { vm, level, ipa } = broken.place;
    let (rule, why) = match operation {
        Operation::Unmap { .. } => ("E5", "and does not lie in the range of the unmap"),
        _ => ("E4", "by an operation that changes no live entry"),
    };
    let kind = if broken.table { "table" } else { "leaf" };
    let what = format!("the level {level} {kind} descriptor for VA {ipa:#x} is taken away {why}");
    Finding::new(Class::BreakBeforeMake, rule, what).at(vm, ipa, bytes)
}

/// The clause of section E that stands in the place of one about guests' tables.
pub(super) fn clause(rule: &'static str) -> &'static str {
    match rule {
        "M7" => "E4",
        "U6" => "E5",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNMAP: Operation = Operation::Unmap {
        vm: 0,
        ipa: 0x20_0000,
        size: 0x20_0000,
    };

    fn leaf(ipa: u64) -> Broken {
        Broken {
            place: Place {
                vm: 0,
                level: 3,
                ipa,
            },
            table: false,
            at: 0,
            descriptor: 0,
        }
    }

    #[test]
    fn unmap_takes_what_lies_in_its_range() {
        let goes = |ipa, bytes| may_go(&UNMAP, &leaf(ipa), bytes);
        assert!(goes(0x20_0000, 0x20_0000));
        assert!(goes(0x3f_f000, 0x1000));
        assert!(!goes(0x1f_f000, 0x1000));
        assert!(!goes(0x40_0000, 0x1000));
        assert!(!goes(0x20_0000, 0x4000_0000));
    }

    #[test]
    fn map_takes_nothing() {
        let access = Operation::Leaf { vm: 0, ipa: 0 };
        assert!(!may_go(&access, &leaf(0), 0x1000));
        let table = Broken {
            table: true,
            ..leaf(0)
        };
        assert!(!may_go(&access, &table, 0x20_0000));
        assert!(may_go(&UNMAP, &table, 0x20_0000));
        assert!(may_go(&Operation::Free { vm: 0 }, &leaf(0), 0x1000));
    }
}
