//! Judgements for programs: one JSON object a file, in the schema that
//! `docs/verdict.md` describes.
//!
//! It leaves out the sequence, which the caller has.

use crate::compare::{Between, Difference};
use crate::error::{Error, Exit};
use crate::plan::Reasons;
use crate::runner::{HostFailure, Judgement, Machine};
use fuzz::lockstep;
use fuzz::text::Text;
use oracle::verdict::json::Document;
use serde::Serialize;

/// The version of the schema, which counts as that of verdicts does.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    file: &'a str,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<Host<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<El2<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Host<'a> {
    Agrees {
        operations: u64,
        compared: u64,
        not_compared: Vec<Left>,
    },
    Diverges {
        verdict: Box<Document<'a>>,
    },
    Panicked {
        message: &'a str,
    },
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum El2<'a> {
    Agrees {
        cpu: &'static str,
        steps: u64,
        events: u64,
        accesses: u64,
        translations: u64,
        table_bytes: u64,
        not_compared: Vec<Left>,
    },
    Differs {
        cpu: &'static str,
        id: String,
        between: &'static str,
        operation: Option<Step>,
        fields: Vec<Field<'a>>,
    },
    CannotRun {
        reason: String,
    },
    Failed {
        error: &'a str,
    },
    NotAsked,
}

/// What was left out, and how often.
#[derive(Serialize)]
struct Left {
    reason: String,
    times: u64,
}

#[derive(Serialize)]
struct Step {
    number: usize,
    text: String,
}

#[derive(Serialize)]
struct Field<'a> {
    name: &'a str,
    expected: &'a str,
    found: &'a str,
}

/// The line of a file that was judged, with its line feed.
#[must_use]
pub fn judgement(file: &str, judgement: &Judgement) -> String {
    let result = match judgement.exit() {
        Exit::Agrees => "agrees",
        Exit::Diverges => "diverges",
        Exit::Input | Exit::Surroundings => "not-run",
    };
    written(&Line {
        version: VERSION,
        file,
        result,
        error: None,
        host: Some(host(judgement)),
        machine: Some(machine(&judgement.machine)),
    })
}

/// The line of a file that is no sequence, with its line feed.
#[must_use]
pub fn unreadable(file: &str, error: &Error) -> String {
    written(&Line {
        version: VERSION,
        file,
        result: "unreadable",
        error: Some(error.to_string()),
        host: None,
        machine: None,
    })
}

fn written(line: &Line<'_>) -> String {
    let json = serde_json::to_string(line).expect("strings and numbers have a JSON form");
    json + "\n"
}

fn host(judgement: &Judgement) -> Host<'_> {
    match &judgement.host {
        Ok(lockstep::Counts {
            operations,
            compared,
            not_comparable,
        }) => Host::Agrees {
            operations: *operations,
            compared: *compared,
            not_compared: not_comparable
                .iter()
                .map(|(why, times)| Left {
                    reason: format!("{why:?}"),
                    times: *times,
                })
                .collect(),
        },
        Err(HostFailure::Verdict(verdict)) => Host::Diverges {
            verdict: Box::new(Document::from(&**verdict)),
        },
        Err(HostFailure::Panicked(message)) => Host::Panicked { message },
    }
}

fn machine(machine: &Machine) -> El2<'_> {
    match machine {
        Machine::Agrees(cpu, counts) => El2::Agrees {
            cpu: cpu.name(),
            steps: counts.steps,
            events: counts.events,
            accesses: counts.accesses,
            translations: counts.translations,
            table_bytes: counts.table_bytes,
            not_compared: left(&counts.reasons),
        },
        Machine::Differs(cpu, difference) => differs(cpu.name(), difference),
        Machine::CannotRun(reason) => El2::CannotRun {
            reason: reason.to_string(),
        },
        Machine::Failed(error, _) => El2::Failed { error },
        Machine::NotAsked => El2::NotAsked,
    }
}

fn left(reasons: &Reasons) -> Vec<Left> {
    let left = |(reason, times): (&crate::plan::Reason, &u64)| Left {
        reason: reason.to_string(),
        times: *times,
    };
    reasons.iter().map(left).collect()
}

fn differs<'a>(cpu: &'static str, difference: &'a Difference) -> El2<'a> {
    let fields = difference.fields.iter().map(|field| Field {
        name: &field.name,
        expected: &field.expected,
        found: &field.found,
    });
    El2::Differs {
        cpu,
        id: difference.id(),
        between: match difference.between {
            Between::HostAndEl2 => "host-and-el2",
            Between::WalkerAndMachine => "walker-and-machine",
        },
        operation: difference.place.as_ref().map(|place| Step {
            number: place.number,
            text: Text(&place.operation).to_string(),
        }),
        fields: fields.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare;
    use crate::cpu::Cpu;
    use ops::Operation;
    use serde_json::{Value, json};

    fn parsed(machine: Machine) -> Value {
        let host = Ok(lockstep::Counts::default());
        let line = judgement("a.s2", &Judgement { host, machine });
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn what_the_machine_saw_is_told_by_kind() {
        let agrees = parsed(Machine::Agrees(Cpu::Max, compare::Counts::default()));
        assert_eq!(agrees["result"], "agrees");
        assert_eq!(agrees["machine"]["cpu"], "max");
        let failed = parsed(Machine::Failed("QEMU died".into(), Exit::Surroundings));
        assert_eq!(failed["result"], "not-run");
        let expected = json!({"kind": "failed", "error": "QEMU died"});
        assert_eq!(failed["machine"], expected);
        assert_eq!(parsed(Machine::NotAsked)["machine"]["kind"], "not-asked");
    }

    #[test]
    fn a_difference_on_the_machine_has_its_fields() {
        let machine = fuzz::text::parse("machine\nvm a\n").unwrap().machine;
        let difference = Difference {
            between: Between::WalkerAndMachine,
            machine,
            place: Some(compare::Place {
                number: 2,
                operation: Operation::Fail { after: 3 },
                prediction: None,
            }),
            fields: vec![compare::Field::new("FAR", "0x1", "0x2")],
        };
        let id = difference.id();
        let line = parsed(Machine::Differs(Cpu::Max, Box::new(difference)));
        assert_eq!(line["result"], "diverges");
        let expected = json!({
            "kind": "differs",
            "cpu": "max",
            "id": id,
            "between": "walker-and-machine",
            "operation": {"number": 2, "text": "fail after=3"},
            "fields": [{"name": "FAR", "expected": "0x1", "found": "0x2"}],
        });
        assert_eq!(line["machine"], expected);
    }
}
