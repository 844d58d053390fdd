//! The model's meaning of an IPA against the walker's.

use crate::model::{Meaning, Model, Run};
use crate::operation::{Machine, MemoryType, Prot, Span};
use crate::regime::Walker;
use crate::verdict::{Class, Finding, permissions, prot_word};
use crate::walk::{Access, Answer, Fault, FaultKind, Memory, Translation, Why};

/// Two views of one address space.
pub(super) struct Views<'a, M: ?Sized> {
    pub(super) machine: &'a Machine,
    pub(super) model: &'a Model,
    pub(super) vm: usize,
    pub(super) walker: &'a Walker,
    pub(super) memory: &'a M,
    /// Tables that the VM holds, root pages included, as the ledger counts them.
    pub(super) tables_held: usize,
    /// The clause that promises what the model says.
    pub(super) rule: &'static str,
}

/// `PAR_EL1.ATTR` and `PAR_EL1.SH` of a memory type (R4), with stage 1 normal,
/// write-back and non-shareable.
pub(super) const fn reported(memory: MemoryType) -> (u8, u8) {
    match memory {
        MemoryType::Normal => (0xff, 0b11),
        MemoryType::Device => (0x04, 0b10),
        MemoryType::NonCacheable => (0x44, 0b10),
        MemoryType::DeviceStrict => (0x00, 0b10),
    }
}

/// A leaf as the model has it.
#[derive(Clone, Copy)]
struct Leaf {
    pa: u64,
    prot: Prot,
    memory: MemoryType,
    level: i8,
}

/// Whether an address lies in a span.
pub(super) fn holds(span: Span, address: u64) -> bool {
    address
        .checked_sub(span.base)
        .is_some_and(|offset| offset < span.bytes)
}

impl<M: Memory + ?Sized> Views<'_, M> {
    /// Compares loads, stores and fetches; how many were compared, and why others
    /// were not.
    pub(super) fn compare_all(&self, ipa: u64, open: &mut Vec<Why>) -> Result<u32, Finding> {
        let mut compared = 0;
        for access in [Access::Read, Access::Write, Access::Execute { el0: false }] {
            match self.compare(ipa, access)? {
                Answer::Unpredictable(why) => open.push(why),
                Answer::Translation(_) | Answer::Fault(_) => compared += 1,
            }
        }
        Ok(compared)
    }

    /// Compares one access; the walker's answer.
    pub(super) fn compare(&self, ipa: u64, access: Access) -> Result<Answer, Finding> {
        let answer = self.walker.translate(self.memory, ipa, access);
        let meaning = self.model.lookup(self.vm, ipa);
        match (meaning, answer) {
            (_, Answer::Unpredictable(_)) => {}
            (
                Meaning::Mapped {
                    pa,
                    prot,
                    memory,
                    level,
                },
                _,
            ) => {
                let leaf = Leaf {
                    pa,
                    prot,
                    memory,
                    level,
                };
                match answer {
                    Answer::Translation(found) => self.mapped(ipa, leaf, &found)?,
                    Answer::Fault(fault) => self.faults(ipa, leaf, access, &fault)?,
                    Answer::Unpredictable(_) => {}
                }
            }
            (Meaning::Old { level }, Answer::Translation(found)) => {
                let what = format!("the leaf at IPA {ipa:#x} is young");
                let finding = self.finding(Class::WrongFault, ipa, what);
                let demanded = format!("AccessFlag level={level}");
                return Err(finding.differs("result", demanded, format!("pa={:#x}", found.pa)));
            }
            (_, Answer::Translation(found)) => return Err(self.not_given(ipa, &found)),
            (Meaning::Unmapped { fault_level }, Answer::Fault(fault)) => {
                self.unmapped(ipa, fault_level, &fault)?;
            }
            (Meaning::Old { level }, Answer::Fault(fault)) => {
                self.takes(ipa, FaultKind::AccessFlag, level, &fault)?;
            }
            (Meaning::OutOfRange, Answer::Fault(fault)) => {
                if fault.kind != FaultKind::Stage1AddressSize {
                    self.unmapped(ipa, self.walker.unread_level(), &fault)?;
                }
            }
            (Meaning::NoVm, _) => {}
        }
        Ok(answer)
    }

    fn finding(&self, class: Class, ipa: u64, what: String) -> Finding {
        Finding::new(class, self.rule, what).at(self.vm, ipa, 0)
    }

    fn sentinel(&self, ipa: u64, pa: u64) -> Option<Finding> {
        let what =
            || format!("IPA {ipa:#x} translates to {pa:#x}, where the poison of free pages points");
        holds(self.machine.sentinel, pa).then(|| self.finding(Class::UseAfterFree, ipa, what()))
    }

    fn not_given(&self, ipa: u64, found: &Translation) -> Finding {
        self.sentinel(ipa, found.pa).unwrap_or_else(|| {
            let what = format!(
                "IPA {ipa:#x} translates to {:#x}, and nothing is mapped there",
                found.pa
            );
            let shown = format!("{:#x}", found.pa);
            self.finding(Class::Isolation, ipa, what)
                .differs("pa", "none".into(), shown)
        })
    }

    fn mapped(&self, ipa: u64, leaf: Leaf, found: &Translation) -> Result<(), Finding> {
        let (attributes, shareability) = reported(leaf.memory);
        if found.pa != leaf.pa {
            return Err(self.wrong_pa(ipa, leaf.pa, found.pa));
        }
        let same = found.read == leaf.prot.read
            && found.write == leaf.prot.write
            && found.execute_el1 == leaf.prot.execute.at_el1()
            && found.execute_el0 == leaf.prot.execute.at_el0()
            && found.attributes == attributes
            && found.shareability == shareability
            && found.level == leaf.level;
        if same {
            return Ok(());
        }
        let what = format!("the leaf that maps IPA {ipa:#x} to {:#x} differs", leaf.pa);
        let finding = self.finding(Class::WrongAttributes, ipa, what);
        Err(differences(finding, leaf, found))
    }

    fn wrong_pa(&self, ipa: u64, wanted: u64, found: u64) -> Finding {
        let finding = wrong_pa(self.machine, self.model, self.vm, ipa, wanted, found);
        Finding {
            rule: self.rule,
            ..finding.at(self.vm, ipa, 0)
        }
    }

    fn faults(&self, ipa: u64, leaf: Leaf, access: Access, fault: &Fault) -> Result<(), Finding> {
        let permitted = match access {
            Access::Read | Access::AtRead => leaf.prot.read,
            Access::Write | Access::AtWrite => leaf.prot.write,
            Access::Execute { el0: false } => leaf.prot.execute.at_el1(),
            Access::Execute { el0: true } => leaf.prot.execute.at_el0(),
        };
        if !permitted && fault.kind == FaultKind::Permission && fault.level == leaf.level {
            return Ok(());
        }
        let class = match fault.kind {
            FaultKind::Translation => Class::LostMapping,
            FaultKind::Permission if permitted => Class::WrongAttributes,
            _ => Class::WrongFault,
        };
        let demanded = if permitted {
            format!("pa={:#x}", leaf.pa)
        } else {
            format!("Permission level={}", leaf.level)
        };
        let what = format!(
            "{} at IPA {ipa:#x} takes a {:?} fault at level {}",
            verb(access),
            fault.kind,
            fault.level
        );
        let finding = self.finding(class, ipa, what);
        Err(finding.differs("result", demanded, shown(fault)))
    }

    /// Whether a fault comes from a table that the contract does not have there:
    /// the cause is the page, the level of the fault its consequence.
    fn holds_empty_table(&self, level: i8, fault: &Fault) -> bool {
        fault.kind == FaultKind::Translation
            && fault.level > level
            && self.tables_held > self.model.tables(self.vm) as usize
    }

    fn unmapped(&self, ipa: u64, level: i8, fault: &Fault) -> Result<(), Finding> {
        if self.holds_empty_table(level, fault) {
            let what = format!(
                "an empty level {} table stays linked at IPA {ipa:#x}",
                fault.level
            );
            let mut finding = self.finding(Class::Leak, ipa, what);
            finding.rule = "U8";
            let demanded = self.model.tables(self.vm).to_string();
            return Err(finding.differs("tables", demanded, self.tables_held.to_string()));
        }
        self.takes(ipa, FaultKind::Translation, level, fault)
    }

    /// Every access takes this fault.
    fn takes(&self, ipa: u64, kind: FaultKind, level: i8, fault: &Fault) -> Result<(), Finding> {
        if (fault.kind, fault.level) == (kind, level) {
            return Ok(());
        }
        let what = format!(
            "an access to IPA {ipa:#x} takes a {:?} fault at level {}",
            fault.kind, fault.level
        );
        let finding = self.finding(Class::WrongFault, ipa, what);
        let demanded = format!("{kind:?} level={level}");
        Err(finding.differs("fault", demanded, shown(fault)))
    }
}

fn shown(fault: &Fault) -> String {
    format!("{:?} level={}", fault.kind, fault.level)
}

fn verb(access: Access) -> &'static str {
    match access {
        Access::Read | Access::AtRead => "a load",
        Access::Write | Access::AtWrite => "a store",
        Access::Execute { .. } => "a fetch",
    }
}

/// An IPA that should translate to `wanted` translates to `found`.
pub(super) fn wrong_pa(
    machine: &Machine,
    model: &Model,
    vm: usize,
    ipa: u64,
    wanted: u64,
    found: u64,
) -> Finding {
    let within = |run: Run| {
        let offset = found.checked_sub(run.pa);
        offset.is_some_and(|offset| offset < run.bytes)
    };
    let (class, whose) = if holds(machine.sentinel, found) {
        (
            Class::UseAfterFree,
            ", where the poison of free pages points",
        )
    } else if model.runs(vm).any(within) {
        (Class::WrongPa, "")
    } else {
        (Class::Isolation, ", which the VM was not given")
    };
    let what = format!("IPA {ipa:#x} translates to {found:#x}{whose}");
    Finding::new(class, "M15", what).differs("pa", format!("{wanted:#x}"), format!("{found:#x}"))
}

/// Adds each field in which a leaf differs.
fn differences(mut finding: Finding, leaf: Leaf, found: &Translation) -> Finding {
    let (attributes, shareability) = reported(leaf.memory);
    let fields = [
        (
            "prot",
            prot_word(leaf.prot),
            permissions(
                found.read,
                found.write,
                found.execute_el1,
                found.execute_el0,
            ),
        ),
        (
            "attributes",
            format!("{attributes:#04x}"),
            format!("{:#04x}", found.attributes),
        ),
        (
            "sh",
            shareability.to_string(),
            found.shareability.to_string(),
        ),
        ("level", leaf.level.to_string(), found.level.to_string()),
    ];
    for (field, demanded, found) in fields {
        if demanded != found {
            finding = finding.differs(field, demanded, found);
        }
    }
    finding
}
