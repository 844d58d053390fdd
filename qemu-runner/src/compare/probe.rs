//! One probe: what the emulated CPU reported, against what the walker predicts,
//! in those fields that the architecture makes valid.

use super::Field;
use crate::host::Prediction;
use crate::plan::{immediate, stamp};
use ops::AccessKind;
use ops::mailbox::{Answer, StepReply};
use oracle::walk::{self, Fault, FaultKind, Translation};

/// `HPFAR_EL2.FIPA`: `IPA[55:12]` from bit 4 on.
const FIPA: u64 = 0x0000_ffff_ffff_fff0;
/// `PAR_EL1.PA`.
const PAR_PA: u64 = 0x000f_ffff_ffff_f000;

/// A guest access that was tried.
pub(super) struct Probe<'a> {
    /// Where.
    pub(super) ipa: u64,
    /// How.
    pub(super) kind: AccessKind,
    /// What the walker says.
    pub(super) prediction: &'a Prediction,
    /// What a load that completes gives.
    pub(super) loaded: Option<u64>,
}

impl Probe<'_> {
    /// The fields in which a real access differs.
    pub(super) fn compare_access(&self, reply: &StepReply) -> Vec<Field> {
        match self.prediction.access {
            walk::Answer::Translation(translation) => self.compare_completed(&translation, reply),
            walk::Answer::Fault(fault) => self.compare_abort(&fault, reply),
            // The plan makes no such access.
            walk::Answer::Unpredictable(_) => Vec::new(),
        }
    }

    fn compare_completed(&self, translation: &Translation, reply: &StepReply) -> Vec<Field> {
        if reply.answer != Answer::Completed {
            return vec![Field::new("access", "completes", describe(reply))];
        }
        let pa = translation.pa;
        let mut fields = Vec::new();
        match self.kind {
            AccessKind::Read => {
                let expected = self.loaded.unwrap_or(stamp(pa));
                if reply.value != expected {
                    fields.push(Field::new(
                        "loaded",
                        meaning(expected),
                        meaning(reply.value),
                    ));
                }
            }
            // Where a store went is seen in guest memory, at the end.
            AccessKind::Write => {}
            AccessKind::Execute => {
                fields.extend(Field::unless_equal(
                    "fetched hvc",
                    u64::from(immediate(pa)),
                    reply.value,
                ));
                fields.extend(Field::unless_equal(
                    "ELR_EL2",
                    self.ipa.wrapping_add(4),
                    reply.elr,
                ));
            }
        }
        fields
    }

    fn compare_abort(&self, fault: &Fault, reply: &StepReply) -> Vec<Field> {
        let goes_to_el2 = self.prediction.is_el2 || fault.is_stage2();
        let expected = if goes_to_el2 {
            Answer::Stage2Abort
        } else {
            Answer::GuestException
        };
        if reply.answer != expected {
            let abort = describe_fault(fault, goes_to_el2);
            return vec![Field::new("access", abort, describe(reply))];
        }
        let is_fetch = self.kind == AccessKind::Execute;
        let mut fields = Vec::new();
        let mut compare = |name: &'static str, expected, found| {
            fields.extend(Field::unless_equal(name, expected, found));
        };
        // ESR_ELx.EC (DDI 0487 K.a): aborts from a lower level, or from the same.
        let class = match (is_fetch, self.has_stage2(fault)) {
            (true, true) => 0x20,
            (true, false) => 0x21,
            (false, true) => 0x24,
            (false, false) => 0x25,
        };
        compare("ESR.EC", class, reply.esr >> 26 & 0x3f);
        compare("ESR.xFSC", u64::from(fault.fsc()), reply.esr & 0x3f);
        compare("ESR.S1PTW", 0, reply.esr >> 7 & 1);
        if !is_fetch {
            compare(
                "ESR.WnR",
                u64::from(self.kind == AccessKind::Write),
                reply.esr >> 6 & 1,
            );
        }
        compare("FAR", self.ipa, reply.far);
        // HPFAR_EL2 is UNKNOWN after an ordinary permission fault (IPAValid).
        if self.has_stage2(fault) && fault.kind != FaultKind::Permission {
            compare("HPFAR_EL2.FIPA", self.ipa >> 8 & FIPA, reply.hpfar & FIPA);
        }
        fields
    }

    /// Whether a second stage made the fault. EL2's own tables have none.
    fn has_stage2(&self, fault: &Fault) -> bool {
        fault.is_stage2() && !self.prediction.is_el2
    }

    /// The fields in which `AT` differs.
    pub(super) fn compare_translation(&self, reply: &StepReply) -> Vec<Field> {
        if reply.answer != Answer::Translated {
            return vec![Field::new("AT", "is executed", describe(reply))];
        }
        let par = reply.par;
        let mut fields = Vec::new();
        let mut compare = |name: &'static str, expected, found| {
            fields.extend(Field::unless_equal(name, expected, found));
        };
        match self.prediction.at {
            walk::Answer::Translation(translation) => {
                compare("PAR_EL1.F", 0, par & 1);
                if par & 1 == 0 {
                    compare("PAR_EL1.PA", translation.pa & PAR_PA, par & PAR_PA);
                    compare("PAR_EL1.ATTR", u64::from(translation.attributes), par >> 56);
                    compare(
                        "PAR_EL1.SH",
                        u64::from(translation.shareability),
                        par >> 7 & 3,
                    );
                }
            }
            walk::Answer::Fault(fault) => {
                compare("PAR_EL1.F", 1, par & 1);
                if par & 1 == 1 {
                    compare("PAR_EL1.FST", u64::from(fault.fsc()), par >> 1 & 0x3f);
                    compare(
                        "PAR_EL1.S",
                        u64::from(self.has_stage2(&fault)),
                        par >> 9 & 1,
                    );
                    compare("PAR_EL1.PTW", 0, par >> 8 & 1);
                }
            }
            // The plan asks for no such translation.
            walk::Answer::Unpredictable(_) => {}
        }
        fields
    }
}

/// 8 bytes of guest memory as a reader wants them: whose stamp it is.
pub(super) fn meaning(value: u64) -> String {
    let page = |value: u64| (value >> 32) << 12;
    if value == stamp(page(value)) {
        return format!("the stamp of page {:#x}", page(value));
    }
    if !value == stamp(page(!value)) {
        return format!("what was stored to page {:#x}", page(!value));
    }
    format!("{value:#018x}")
}

fn describe_fault(fault: &Fault, goes_to_el2: bool) -> String {
    let exception = if goes_to_el2 {
        "abort to EL2"
    } else {
        "exception to EL1"
    };
    format!(
        "{exception}, {:?} at level {} (FSC {:#04x})",
        fault.kind,
        fault.level,
        fault.fsc()
    )
}

fn describe(reply: &StepReply) -> String {
    let StepReply {
        value,
        esr,
        far,
        hpfar,
        elr,
        par,
        ..
    } = *reply;
    match reply.answer {
        Answer::Nothing => "no answer".into(),
        Answer::Completed => format!("completes with {}", meaning(value)),
        Answer::Stage2Abort => format!("abort to EL2, ESR {esr:#x} FAR {far:#x} HPFAR {hpfar:#x}"),
        Answer::GuestException => {
            format!("exception to EL1, ESR {esr:#x} FAR {far:#x} ELR {elr:#x}")
        }
        Answer::Translated => format!("PAR {par:#x}"),
        Answer::NotReached => {
            format!("abort on the stub, ESR {esr:#x} FAR {far:#x} HPFAR {hpfar:#x}")
        }
        Answer::Stuck => format!("no return from the guest, which was at {elr:#x}"),
        Answer::Other => {
            format!("another exception to EL2, ESR {esr:#x} FAR {far:#x} ELR {elr:#x}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oracle::walk::Answer as Walked;

    const IPA: u64 = 0x8000_1000;

    fn prediction(answer: Walked) -> Prediction {
        Prediction {
            is_el2: false,
            access: answer,
            at: answer,
            walk: Vec::new(),
            code_ready: true,
            code_update: None,
        }
    }

    fn translation(pa: u64) -> Walked {
        Walked::Translation(Translation {
            pa,
            level: 3,
            size: 4096,
            read: true,
            write: true,
            execute_el1: true,
            execute_el0: true,
            attributes: 0,
            shareability: 2,
            update: None,
        })
    }

    fn fault(kind: FaultKind, level: i8) -> Walked {
        Walked::Fault(Fault {
            kind,
            level,
            permitted_update: None,
        })
    }

    fn reply(answer: Answer) -> StepReply {
        StepReply {
            answer,
            ..StepReply::without_probe(ops::Outcome::Nothing)
        }
    }

    fn names(fields: &[Field]) -> Vec<&str> {
        fields.iter().map(|field| field.name.as_str()).collect()
    }

    #[test]
    fn a_load_from_another_page_names_it() {
        let prediction = prediction(translation(0x5000_1000));
        let probe = Probe {
            ipa: IPA,
            kind: AccessKind::Read,
            prediction: &prediction,
            loaded: None,
        };
        let stale = StepReply {
            value: stamp(0x5000_2000),
            ..reply(Answer::Completed)
        };
        let fields = probe.compare_access(&stale);
        assert_eq!(fields[0].found, "the stamp of page 0x50002000");
        let right = StepReply {
            value: stamp(0x5000_1000),
            ..stale
        };
        assert!(probe.compare_access(&right).is_empty());
    }

    #[test]
    fn each_valid_field_of_an_abort_counts() {
        let prediction = prediction(fault(FaultKind::Translation, 2));
        let probe = Probe {
            ipa: IPA,
            kind: AccessKind::Write,
            prediction: &prediction,
            loaded: None,
        };
        let esr = 0x24 << 26 | 1 << 25 | 1 << 6 | 0b00_0110;
        let right = StepReply {
            esr,
            far: IPA,
            hpfar: IPA >> 8,
            ..reply(Answer::Stage2Abort)
        };
        assert_eq!(names(&probe.compare_access(&right)), [""; 0]);
        let read = StepReply {
            esr: esr & !(1 << 6),
            ..right
        };
        assert_eq!(names(&probe.compare_access(&read)), ["ESR.WnR"]);
        let level = StepReply {
            esr: esr | 1,
            far: 0,
            hpfar: 0,
            ..right
        };
        assert_eq!(
            names(&probe.compare_access(&level)),
            ["ESR.xFSC", "FAR", "HPFAR_EL2.FIPA"]
        );
    }

    #[test]
    fn hpfar_is_unknown_after_a_permission_fault() {
        let prediction = prediction(fault(FaultKind::Permission, 3));
        let probe = Probe {
            ipa: IPA,
            kind: AccessKind::Read,
            prediction: &prediction,
            loaded: None,
        };
        let esr = 0x24 << 26 | 0b00_1111;
        let right = StepReply {
            esr,
            far: IPA,
            hpfar: 0xdead_0000,
            ..reply(Answer::Stage2Abort)
        };
        assert!(probe.compare_access(&right).is_empty());
    }

    #[test]
    fn a_fault_in_place_of_a_completed_fetch_is_told() {
        let prediction = prediction(translation(0x5002_0000));
        let probe = Probe {
            ipa: IPA,
            kind: AccessKind::Execute,
            prediction: &prediction,
            loaded: None,
        };
        assert_eq!(
            names(&probe.compare_access(&reply(Answer::Stage2Abort))),
            ["access"]
        );
        let fetched = StepReply {
            value: 0x20,
            elr: IPA + 4,
            ..reply(Answer::Completed)
        };
        assert_eq!(names(&probe.compare_access(&fetched)), [""; 0]);
    }

    #[test]
    fn par_is_compared_by_field() {
        let prediction = prediction(translation(0x5000_1008));
        let probe = Probe {
            ipa: IPA,
            kind: AccessKind::Read,
            prediction: &prediction,
            loaded: None,
        };
        let right = StepReply {
            par: 0x5000_1000 | 2 << 7 | 1 << 11,
            ..reply(Answer::Translated)
        };
        assert!(probe.compare_translation(&right).is_empty());
        let wrong = StepReply {
            par: right.par | 4 << 56,
            ..right
        };
        assert_eq!(names(&probe.compare_translation(&wrong)), ["PAR_EL1.ATTR"]);
    }

    #[test]
    fn el2s_own_abort_has_its_own_class_and_no_ipa() {
        let prediction = Prediction {
            is_el2: true,
            ..prediction(fault(FaultKind::Translation, 2))
        };
        let probe = Probe {
            ipa: IPA,
            kind: AccessKind::Read,
            prediction: &prediction,
            loaded: None,
        };
        let right = StepReply {
            esr: 0x25 << 26 | 0b00_0110,
            far: IPA,
            ..reply(Answer::Stage2Abort)
        };
        assert_eq!(names(&probe.compare_access(&right)), [""; 0]);
        let of_guest = StepReply {
            esr: 0x24 << 26 | 0b00_0110,
            ..right
        };
        assert_eq!(names(&probe.compare_access(&of_guest)), ["ESR.EC"]);
        let by_at = StepReply {
            par: 0b00_0110 << 1 | 1,
            ..reply(Answer::Translated)
        };
        assert_eq!(names(&probe.compare_translation(&by_at)), [""; 0]);
        let of_stage2 = StepReply {
            par: by_at.par | 1 << 9,
            ..by_at
        };
        assert_eq!(names(&probe.compare_translation(&of_stage2)), ["PAR_EL1.S"]);
    }
}
