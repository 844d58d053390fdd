//! What stands behind `->`.

use ops::{AccessOutcome, Action, Entry, FaultKind, LeafContent, Operation, Outcome, Refusal};

use super::error::ParseError;
use super::fields::{Fields, Word, Words};
use super::operation::{memory, prot, software};
use super::words::{dirty_word, fault_word, refusal_word, young_word};
use crate::sequence::Expectation;

const FAULTS: [FaultKind; 5] = [
    FaultKind::Translation,
    FaultKind::AddressSize,
    FaultKind::AccessFlag,
    FaultKind::Permission,
    FaultKind::Stage1AddressSize,
];

/// What the subject can refuse of a guest access.
const ACCESS_REFUSALS: [Refusal; 3] = [Refusal::NoVm, Refusal::Dying, Refusal::NotHere];

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
        Operation::Range {
            action: Action::TestYoung | Action::ClearYoung,
            ..
        } => of_young(word).map(Expectation::Outcome),
        Operation::Leaf { .. } => of_leaf(word, words).map(Expectation::Outcome),
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
        "nothing" => Ok(Expectation::Outcome(Outcome::Nothing)),
        _ => {
            let refused = refusal(word, &ACCESS_REFUSALS);
            refused
                .map(Expectation::Outcome)
                .ok_or_else(|| word.expected("ok pa=, fault, no-vm, dying, not-here or nothing"))
        }
    }
}

fn of_young(word: Word<'_>) -> Result<Outcome, ParseError> {
    let young = [true, false]
        .into_iter()
        .find(|young| young_word(*young) == word.text);
    let answer = young.map(Outcome::Young);
    answer
        .or_else(|| refusal(word, &Refusal::ALL))
        .ok_or_else(|| word.expected("young, old or a refusal such as no-vm"))
}

fn of_leaf(word: Word<'_>, words: &mut Words<'_>) -> Result<Outcome, ParseError> {
    if word.text == "entry" {
        let level = words.word();
        let value = level.value_of("level");
        return Ok(Outcome::Entry {
            level: value.ok_or_else(|| level.expected("level="))?.level()?,
            entry: entry(words)?,
        });
    }
    refusal(word, &Refusal::ALL)
        .ok_or_else(|| word.expected("entry level= or a refusal such as no-vm"))
}

fn entry(words: &mut Words<'_>) -> Result<Entry, ParseError> {
    let word = words.word();
    match word.text {
        "empty" => Ok(Entry::Empty),
        "leaf" => content(words).map(Entry::Leaf),
        "softened" => content(words).map(Entry::Softened),
        _ => {
            let owner = word.value_of("owner");
            let owner = owner.ok_or_else(|| word.expected("empty, owner=, leaf or softened"))?;
            Ok(Entry::Annotated {
                owner: owner.count(u64::from(u8::MAX))?,
            })
        }
    }
}

fn content(words: &mut Words<'_>) -> Result<LeafContent, ParseError> {
    let fields = Fields::take(
        words,
        &["pa", "prot", "mem", "sw"],
        &[&["young", "old"], &["dirty", "clean"]],
    )?;
    Ok(LeafContent {
        pa: fields.require("pa")?.address()?,
        prot: prot(fields.require("prot")?)?,
        memory: memory(fields.require("mem")?)?,
        software: software(fields.require("sw")?)?,
        young: fields.plain(0).one_of(&[true, false], young_word)?,
        dirty: fields.plain(1).one_of(&[true, false], dirty_word)?,
    })
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
        _ => refusal(word, &Refusal::ALL)
            .ok_or_else(|| word.expected("ok, no-pages or a refusal such as denied")),
    }
}

fn refusal(word: Word<'_>, refusals: &[Refusal]) -> Option<Outcome> {
    let refusal = refusals
        .iter()
        .find(|refusal| refusal_word(**refusal) == word.text);
    refusal.copied().map(Outcome::Refused)
}
