//! From text to a sequence.

use ops::{AccessKind, Granule, Machine, MemoryType, Operation, Pool, Prot, VMS, Vm, Window};

use super::error::{ErrorKind, ParseError};
use super::expectation;
use super::fields::{Fields, Line, Word, Words, alternatives};
use super::machine::MachineFault;
use super::print::{access_word, granule_word, memory_word};
use crate::sequence::{Sequence, Step};
use crate::wire::MAX_OPERATIONS;

const MACHINE_KEYS: [&str; 9] = [
    "granule", "pa", "ipa", "start", "pool", "memory", "stub", "walks", "cache",
];
const ACCESSES: [AccessKind; 3] = [AccessKind::Read, AccessKind::Write, AccessKind::Execute];

/// The sequence that this text describes.
///
/// # Errors
/// The first place at which something else was expected.
pub fn parse(text: &str) -> Result<Sequence, ParseError> {
    let mut lines = text
        .lines()
        .enumerate()
        .map(without_comment)
        .filter(|line| !line.text.trim().is_empty());
    let end = Line {
        number: text.lines().count().max(1),
        text: "",
    };
    let machine = machine_line(lines.next().unwrap_or(end))?;
    let mut steps = Vec::new();
    for line in lines {
        let mut words = Words::new(line);
        if steps.len() == MAX_OPERATIONS {
            return Err(words.word().error(ErrorKind::TooMany {
                most: MAX_OPERATIONS,
            }));
        }
        steps.push(step(&mut words)?);
        words.finish()?;
    }
    Ok(Sequence { machine, steps })
}

fn without_comment((index, text): (usize, &str)) -> Line<'_> {
    let text = text.split_once('#').map_or(text, |(before, _)| before);
    Line {
        number: index + 1,
        text,
    }
}

fn machine_line(line: Line<'_>) -> Result<Machine, ParseError> {
    let mut words = Words::new(line);
    let verb = words.word();
    if verb.text != "machine" {
        return Err(verb.expected("the machine line, \"machine granule=…\""));
    }
    let fields = Fields::take(&mut words, &MACHINE_KEYS, &[])?;
    let machine = machine(&fields)?;
    words.finish()?;
    machine.check().map_err(|error| {
        let fault = MachineFault::of(&machine, error);
        // Where the key at fault is not given, what it collides with is.
        let word = fields.key(fault.key()).or_else(|| fields.key("pool"));
        word.unwrap_or(verb).error(ErrorKind::Machine(fault))
    })?;
    Ok(machine)
}

fn machine(fields: &Fields<'_>) -> Result<Machine, ParseError> {
    let mut machine = Machine::PLAIN;
    if let Some(word) = fields.value("granule") {
        machine.granule = word.one_of(&Granule::ALL, granule_word)?;
    }
    if let Some(word) = fields.value("pa") {
        machine.pa_bits = word.count(u64::from(u8::MAX))?;
    }
    if let Some(word) = fields.value("ipa") {
        machine.ipa_bits = word.count(u64::from(u8::MAX))?;
    }
    if let Some(word) = fields.value("pool") {
        let (base, pages) = word.split_plus("BASE+PAGES")?;
        machine.pool = Pool {
            base: base.address()?,
            pages: pages.count(u64::from(u16::MAX))?,
        };
    }
    if let Some(word) = fields.value("memory") {
        let (base, bytes) = word.split_plus("BASE+SIZE")?;
        machine.memory = Window {
            base: base.address()?,
            bytes: bytes.size()?,
        };
    }
    if let Some(word) = fields.value("walks") {
        machine.coherent_walks = word.one_of(&[true, false], |coherent| {
            if coherent { "coherent" } else { "noncoherent" }
        })?;
    }
    machine.start_level = fields.value("start").map(|word| word.level()).transpose()?;
    machine.stub = fields
        .value("stub")
        .map(|word| word.address())
        .transpose()?;
    machine.cache_pages = fields
        .value("cache")
        .map(|word| word.count(u64::from(u16::MAX)))
        .transpose()?;
    Ok(machine)
}

fn step(words: &mut Words<'_>) -> Result<Step, ParseError> {
    let operation = operation(words)?;
    let arrow = words.word();
    let expected = match arrow.text {
        "" => None,
        "->" => Some(expectation::parse(words, &operation)?),
        _ => return Err(arrow.expected("the end of the line or \"->\"")),
    };
    Ok(Step {
        operation,
        expected,
    })
}

fn operation(words: &mut Words<'_>) -> Result<Operation, ParseError> {
    let verb = words.word();
    match verb.text {
        "vm" => Ok(Operation::Create { vm: vm(words)? }),
        "free" => Ok(Operation::Free { vm: vm(words)? }),
        "map" => map(words),
        "unmap" => {
            let vm = vm(words)?;
            let fields = Fields::take(words, &["ipa", "size"], &[])?;
            Ok(Operation::Unmap {
                vm,
                ipa: fields.require("ipa")?.address()?,
                size: fields.require("size")?.size()?,
            })
        }
        "access" => {
            let vm = vm(words)?;
            let fields = Fields::take(words, &["ipa"], &["read", "write", "execute"])?;
            let ipa = fields.require("ipa")?.address()?;
            Ok(Operation::Access {
                vm,
                ipa,
                kind: fields.plain().one_of(&ACCESSES, access_word)?,
            })
        }
        "fail" => {
            let fields = Fields::take(words, &["after"], &[])?;
            Ok(Operation::Fail {
                after: fields.require("after")?.count(u64::from(u16::MAX))?,
            })
        }
        _ => Err(verb.expected(alternatives(&[
            "vm", "map", "unmap", "access", "free", "fail",
        ]))),
    }
}

fn map(words: &mut Words<'_>) -> Result<Operation, ParseError> {
    let vm = vm(words)?;
    let fields = Fields::take(words, &["ipa", "pa", "size", "prot", "mem"], &["pages"])?;
    Ok(Operation::Map {
        vm,
        ipa: fields.require("ipa")?.address()?,
        pa: fields.require("pa")?.address()?,
        size: fields.require("size")?.size()?,
        prot: prot(fields.require("prot")?)?,
        memory: fields
            .require("mem")?
            .one_of(&[MemoryType::Normal, MemoryType::Device], memory_word)?,
        pages_only: fields.plain().text == "pages",
    })
}

fn vm(words: &mut Words<'_>) -> Result<Vm, ParseError> {
    let word = words.word();
    let vms = (0..VMS).filter_map(|index| Vm::new(u8::try_from(index).ok()?));
    let named = vms.into_iter().find(|vm| word.text.chars().eq([vm.name()]));
    named.ok_or_else(|| word.expected("a VM: a, b, c or d"))
}

fn prot(word: Word<'_>) -> Result<Prot, ParseError> {
    let wrong = || word.expected("permissions such as rw-, r-x or ---");
    let letters: [char; 3] = word
        .text
        .chars()
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| wrong())?;
    let granted = |index: usize, letter: char| match letters[index] {
        '-' => Ok(false),
        found if found == letter => Ok(true),
        _ => Err(wrong()),
    };
    Ok(Prot {
        read: granted(0, 'r')?,
        write: granted(1, 'w')?,
        execute: granted(2, 'x')?,
    })
}
