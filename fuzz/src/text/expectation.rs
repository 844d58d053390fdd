//! What stands behind `->`.

use ops::{AccessOutcome, FaultKind, Operation, Outcome, Refusal};

use super::error::ParseError;
use super::fields::{Fields, Word, Words};
use super::print::{fault_word, refusal_word};
use crate::sequence::Expectation;

const REFUSALS: [Refusal; 11] = [
    Refusal::NoVm,
    Refusal::Exists,
    Refusal::IllegalConfiguration,
    Refusal::NoMemory,
    Refusal::Empty,
    Refusal::Misaligned,
    Refusal::Wraps,
    Refusal::IpaRange,
    Refusal::PaRange,
    Refusal::BadAttributes,
    Refusal::Denied,
];

const FAULTS: [FaultKind; 5] = [
    FaultKind::Translation,
    FaultKind::AddressSize,
    FaultKind::AccessFlag,
    FaultKind::Permission,
    FaultKind::Stage1AddressSize,
];

/// What is expected of `operation`: only what can come of it at all.
pub(super) fn parse(
    words: &mut Words<'_>,
    operation: &Operation,
) -> Result<Expectation, ParseError> {
    let word = words.word();
    match operation {
        Operation::Access { .. } => of_access(word, words),
        Operation::Fail { .. } if word.text == "nothing" => {
            Ok(Expectation::Outcome(Outcome::Nothing))
        }
        Operation::Fail { .. } => Err(word.expected("\"nothing\"")),
        _ => of_change(word, words).map(Expectation::Outcome),
    }
}

fn of_access(word: Word<'_>, words: &mut Words<'_>) -> Result<Expectation, ParseError> {
    match word.text {
        "ok" => {
            let fields = Fields::take(words, &["pa"], &[])?;
            Ok(Expectation::Access(AccessOutcome::Ok {
                pa: fields.require("pa")?.address()?,
            }))
        }
        "fault" => {
            let kind = words.word().one_of(&FAULTS, fault_word)?;
            let fields = Fields::take(words, &["level"], &[])?;
            Ok(Expectation::Access(AccessOutcome::Fault {
                kind,
                level: fields.require("level")?.level()?,
            }))
        }
        "no-vm" => Ok(Expectation::Outcome(Outcome::Refused(Refusal::NoVm))),
        "nothing" => Ok(Expectation::Outcome(Outcome::Nothing)),
        _ => Err(word.expected("ok pa=, fault, no-vm or nothing")),
    }
}

fn of_change(word: Word<'_>, words: &mut Words<'_>) -> Result<Outcome, ParseError> {
    match word.text {
        "ok" => {
            let fields = Fields::take(words, &["pages"], &[])?;
            let pages = fields
                .value("pages")
                .map(|word| word.count(u64::from(u32::MAX)))
                .transpose()?;
            Ok(pages.map_or(Outcome::Done, |pages| Outcome::Freed { pages }))
        }
        "no-pages" => {
            let fields = Fields::take(words, &["done", "need"], &[])?;
            let need = fields.require("need")?.count(u64::from(u16::MAX))?;
            Ok(Outcome::NoPages {
                done: fields.require("done")?.size()?,
                need,
            })
        }
        _ => {
            let refusal = REFUSALS
                .into_iter()
                .find(|refusal| refusal_word(*refusal) == word.text);
            refusal
                .map(Outcome::Refused)
                .ok_or_else(|| word.expected("ok, no-pages or a refusal such as denied"))
        }
    }
}
