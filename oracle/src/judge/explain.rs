//! A finding with its surroundings.

use super::Judge;
use crate::model::Meaning;
use crate::operation::Regime;
use crate::verdict::{
    Class, Finding, Guilty, Lookup, Reach, Verdict, Views, memory_word, prot_word,
};
use crate::walk::{Access, Memory, Step};

use super::contradiction::{self, Tree};
use super::whole;

impl Judge {
    /// The verdict for what [`Judge::operation`] or [`Judge::finish`] found. `index`
    /// and `text` are the caller's number and words for the operation; they are not
    /// used for what `finish` found.
    pub fn explain<M: Memory + ?Sized>(
        &self,
        finding: Finding,
        index: usize,
        text: &str,
        memory: &M,
    ) -> Verdict {
        let finding = self.widened(finding, memory);
        let finding = self.contradiction(&finding, memory).unwrap_or(finding);
        let guilty = self.current.map(|(operation, _)| Guilty {
            index,
            text: text.to_owned(),
            operation,
        });
        // Its fields are shown by the names of VTCR_EL2's.
        let shown = self.machine.regime == Regime::Stage2 && self.model.configuration().is_ok();
        Verdict {
            views: self.views(&finding, memory),
            reach: self.reach(&finding, memory),
            finding,
            guilty,
            machine: self.machine,
            machine_line: None,
            vtcr: shown.then_some(self.control),
            pages: self.observer.ledger.counts(),
        }
    }

    /// The first whole range that differs in the same way, where a probe of a single
    /// address found the difference.
    fn widened<M: Memory + ?Sized>(&self, finding: Finding, memory: &M) -> Finding {
        let applied = self.current.is_some_and(|(_, applied)| applied);
        let translation = matches!(
            finding.class,
            Class::Isolation | Class::WrongPa | Class::WrongAttributes | Class::LostMapping
        );
        match (applied && translation, finding.vm) {
            (true, Some(vm)) => match self.compare_space(vm, memory) {
                Err(whole) if whole.class == finding.class => Finding {
                    rule: finding.rule,
                    ..whole
                },
                _ => finding,
            },
            _ => finding,
        }
    }

    /// What the oracle is in two minds about, where that is behind the finding: then
    /// it says nothing about the subject.
    fn contradiction<M: Memory + ?Sized>(&self, finding: &Finding, memory: &M) -> Option<Finding> {
        if finding.class == Class::OracleDiffers {
            return None;
        }
        let counts = contradiction::check_counts(&self.observer.ledger);
        let contradiction = counts.err().or_else(|| {
            let (vm, ipa) = (finding.vm?, finding.ipa?);
            let walker = &self.walker(self.own_base(vm)?);
            Tree { vm, walker, memory }
                .check_address(ipa, self.budget())
                .err()
        })?;
        Some(Finding {
            what: format!("{}; without that it would be {finding}", contradiction.what),
            ..contradiction
        })
    }

    /// How far tables and model differ. Not known where the model has not applied the
    /// operation.
    fn reach<M: Memory + ?Sized>(&self, finding: &Finding, memory: &M) -> Option<Reach> {
        let applied = self.current.is_none_or(|(_, applied)| applied);
        let current = self.current.map(|(operation, _)| operation.vm());
        let vm = finding.vm.or(current).filter(|_| applied)?;
        let walker = self.walker(self.own_base(vm)?);
        whole::reach(self.view(vm), &walker, memory, self.budget())
    }

    /// Descriptors in all pages that were ever used: tables in which more are found are
    /// shared, linked in a loop, or not the pool's.
    fn budget(&self) -> u64 {
        let tables = self.observer.ledger.tables();
        tables.touched().len() as u64 * (tables.page_bytes() / 8)
    }

    fn lookup(&self, step: Step) -> Lookup {
        let tables = self.observer.ledger.tables();
        let writer = |descriptor| self.writers.writer(tables, step.at, descriptor);
        Lookup {
            step,
            stored_by: step.descriptor.and_then(writer),
        }
    }

    fn views<M: Memory + ?Sized>(&self, finding: &Finding, memory: &M) -> Option<Views> {
        let current = self.current.map(|(operation, _)| operation.vm());
        let vm = finding.vm.or(current)?;
        let ipa = finding.ipa?;
        let walker = self.walker(self.own_base(vm)?);
        let applied = self.current.is_none_or(|(_, applied)| applied);
        let when = if applied {
            ""
        } else {
            " (before the operation)"
        };
        let steps = walker.trace(memory, ipa, Access::Read);
        Some(Views {
            vm,
            ipa,
            model: format!("{}{when}", describe(self.model.lookup(vm, ipa))),
            steps: steps.into_iter().map(|step| self.lookup(step)).collect(),
            answer: walker.translate(memory, ipa, Access::Read),
        })
    }
}

fn describe(meaning: Meaning) -> String {
    match meaning {
        Meaning::Mapped {
            pa,
            prot,
            memory,
            level,
        } => {
            let memory = memory_word(memory);
            let prot = prot_word(prot);
            format!("pa={pa:#x} {prot} {memory} level={level}")
        }
        Meaning::Old { level } => format!("access flag fault level={level}"),
        Meaning::Unmapped { fault_level } => format!("translation fault level={fault_level}"),
        Meaning::OutOfRange => "translation fault level=0, beyond the IPA size".into(),
        Meaning::NoVm => "the VM does not exist".into(),
    }
}
