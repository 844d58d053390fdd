//! In words: which descriptor, and what its invalidation lacks.

use super::Protocol;
use super::pending::{Item, Progress};
use crate::ledger::{Place, Tables};
use crate::verdict::{Class, Finding};

impl Protocol {
    /// What is missing, and of which class that is where nothing worse follows.
    pub(super) fn explain(&self, vmid: u16, progress: Progress) -> (Class, String) {
        let text = |class, text: &str| (class, text.to_owned());
        match progress {
            Progress::Done => text(Class::OracleDiffers, "it is complete"),
            Progress::NotInvalidated => (Class::StaleTlb, self.no_invalidation()),
            Progress::NotOrdered => text(
                Class::Barrier,
                "no DSB of the CPU that stored between its store and the TLBI that covers it",
            ),
            Progress::WrongVmid(other) => (
                Class::StaleTlb,
                format!("the TLBI was for VMID {other} of VTTBR_EL2, the VM has VMID {vmid}"),
            ),
            Progress::WrongHint(operand) => (
                Class::StaleTlb,
                format!("the TLBI with {operand} need not concern it"),
            ),
            Progress::Local => text(
                Class::StaleTlb,
                "the TLBI that names it covers the TLB of its own CPU only",
            ),
            Progress::NoStage1 => text(
                Class::StaleTlb,
                "no TLBI VMALLE1IS after the TLBI by IPA: combined stage 1 and 2 entries remain",
            ),
            Progress::Stage1TooEarly => text(
                Class::Barrier,
                "no DSB ISH between the TLBI by IPA and TLBI VMALLE1IS",
            ),
            Progress::NotComplete => text(
                Class::Barrier,
                "no DSB ISH of the CPU that issued it after the last TLBI that it needs",
            ),
        }
    }

    fn no_invalidation(&self) -> String {
        match self.last_operand {
            None => "no TLBI covers it".to_owned(),
            Some(operand) => {
                format!("no TLBI covers it; the last one by address had {operand}")
            }
        }
    }
}

/// The descriptor in words.
pub(super) fn name(item: &Item) -> String {
    let kind = if item.table { "table" } else { "leaf" };
    let Place { level, ipa, .. } = item.place;
    format!("the old level {level} {kind} descriptor for IPA {ipa:#x}")
}

/// Adds the descriptor's region.
pub(super) fn located(finding: Finding, item: &Item, tables: &Tables) -> Finding {
    let Place { vm, level, ipa } = item.place;
    finding.at(vm, ipa, tables.format().entry_bytes(level))
}
