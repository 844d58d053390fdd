//! One operation.

use ops::{AccessKind, Action, Execute, MemoryType, Operation, Prot, VMS, Vm};

use super::error::ParseError;
use super::fields::{Fields, Word, Words, alternatives};
use super::words::{access_word, action_word, memory_word};

const ACCESSES: [AccessKind; 3] = [AccessKind::Read, AccessKind::Write, AccessKind::Execute];

/// Verbs other than those of the range operations.
const VERBS: [&str; 15] = [
    "vm",
    "map",
    "unmap",
    "protect",
    "annotate",
    "relax",
    "make-young",
    "leaf",
    "build",
    "link",
    "discard",
    "conflict",
    "access",
    "free",
    "fail",
];

/// Reads an operation, up to its end or `->`.
pub(super) fn operation(words: &mut Words<'_>) -> Result<Operation, ParseError> {
    let verb = words.word();
    let action = Action::ALL
        .into_iter()
        .find(|action| action_word(*action) == verb.text);
    if let Some(action) = action {
        let vm = vm(words)?;
        let fields = Fields::take(words, &["ipa", "size"], &[])?;
        let (ipa, size) = range(&fields)?;
        return Ok(Operation::Range {
            vm,
            action,
            ipa,
            size,
        });
    }
    match verb.text {
        "vm" => Ok(Operation::Create { vm: vm(words)? }),
        "free" => Ok(Operation::Free { vm: vm(words)? }),
        "link" => Ok(Operation::Link { vm: vm(words)? }),
        "discard" => Ok(Operation::Discard { vm: vm(words)? }),
        "conflict" => Ok(Operation::Conflict { vm: vm(words)? }),
        "map" => map(words),
        "build" => build(words),
        "unmap" => unmap(words),
        "protect" => protect(words),
        "annotate" => annotate(words),
        "relax" => relax(words),
        "make-young" => address(words).map(|(vm, ipa)| Operation::MakeYoung { vm, ipa }),
        "leaf" => address(words).map(|(vm, ipa)| Operation::Leaf { vm, ipa }),
        "access" => access(words),
        "fail" => fail(words),
        _ => {
            let actions = Action::ALL.map(action_word);
            let verbs: Vec<_> = VERBS.into_iter().chain(actions).collect();
            Err(verb.expected(alternatives(&verbs)))
        }
    }
}

fn map(words: &mut Words<'_>) -> Result<Operation, ParseError> {
    let vm = vm(words)?;
    let fields = Fields::take(
        words,
        &["ipa", "pa", "size", "prot", "mem", "sw"],
        &[&["pages"]],
    )?;
    Ok(Operation::Map {
        vm,
        ipa: fields.require("ipa")?.address()?,
        pa: fields.require("pa")?.address()?,
        size: fields.require("size")?.size()?,
        prot: prot(fields.require("prot")?)?,
        memory: memory(fields.require("mem")?)?,
        software: fields.value("sw").map_or(Ok(0), software)?,
        pages_only: fields.plain(0).text == "pages",
    })
}

fn build(words: &mut Words<'_>) -> Result<Operation, ParseError> {
    let vm = vm(words)?;
    let fields = Fields::take(
        words,
        &["ipa", "pa", "level", "prot", "mem", "sw"],
        &[&["pages"]],
    )?;
    Ok(Operation::Build {
        vm,
        ipa: fields.require("ipa")?.address()?,
        pa: fields.require("pa")?.address()?,
        level: fields.require("level")?.level()?,
        prot: prot(fields.require("prot")?)?,
        memory: memory(fields.require("mem")?)?,
        software: fields.value("sw").map_or(Ok(0), software)?,
        pages_only: fields.plain(0).text == "pages",
    })
}

fn unmap(words: &mut Words<'_>) -> Result<Operation, ParseError> {
    let vm = vm(words)?;
    let (ipa, size) = range(&Fields::take(words, &["ipa", "size"], &[])?)?;
    Ok(Operation::Unmap { vm, ipa, size })
}

fn protect(words: &mut Words<'_>) -> Result<Operation, ParseError> {
    let vm = vm(words)?;
    let fields = Fields::take(words, &["ipa", "size", "prot"], &[])?;
    let (ipa, size) = range(&fields)?;
    Ok(Operation::Protect {
        vm,
        ipa,
        size,
        prot: prot(fields.require("prot")?)?,
    })
}

fn annotate(words: &mut Words<'_>) -> Result<Operation, ParseError> {
    let vm = vm(words)?;
    let fields = Fields::take(words, &["ipa", "size", "owner"], &[])?;
    let (ipa, size) = range(&fields)?;
    Ok(Operation::Annotate {
        vm,
        ipa,
        size,
        owner: fields.require("owner")?.count(u64::from(u8::MAX))?,
    })
}

fn relax(words: &mut Words<'_>) -> Result<Operation, ParseError> {
    let vm = vm(words)?;
    let fields = Fields::take(words, &["ipa", "prot"], &[])?;
    Ok(Operation::Relax {
        vm,
        ipa: fields.require("ipa")?.address()?,
        prot: prot(fields.require("prot")?)?,
    })
}

fn access(words: &mut Words<'_>) -> Result<Operation, ParseError> {
    let vm = vm(words)?;
    let fields = Fields::take(words, &["ipa"], &[&["read", "write", "execute"]])?;
    let ipa = fields.require("ipa")?.address()?;
    Ok(Operation::Access {
        vm,
        ipa,
        kind: fields.plain(0).one_of(&ACCESSES, access_word)?,
    })
}

fn fail(words: &mut Words<'_>) -> Result<Operation, ParseError> {
    let fields = Fields::take(words, &["after"], &[])?;
    Ok(Operation::Fail {
        after: fields.require("after")?.count(u64::from(u16::MAX))?,
    })
}

fn range(fields: &Fields<'_>) -> Result<(u64, u64), ParseError> {
    let ipa = fields.require("ipa")?.address()?;
    Ok((ipa, fields.require("size")?.size()?))
}

fn address(words: &mut Words<'_>) -> Result<(Vm, u64), ParseError> {
    let vm = vm(words)?;
    let fields = Fields::take(words, &["ipa"], &[])?;
    Ok((vm, fields.require("ipa")?.address()?))
}

fn vm(words: &mut Words<'_>) -> Result<Vm, ParseError> {
    let word = words.word();
    let vms = (0..VMS).filter_map(|index| Vm::new(u8::try_from(index).ok()?));
    let named = vms.into_iter().find(|vm| word.text.chars().eq([vm.name()]));
    named.ok_or_else(|| word.expected("a VM: a, b, c or d"))
}

pub(super) fn memory(word: Word<'_>) -> Result<MemoryType, ParseError> {
    word.one_of(&MemoryType::ALL, memory_word)
}

/// Software bits.
pub(super) fn software(word: Word<'_>) -> Result<u8, ParseError> {
    word.count(15)
}

pub(super) fn prot(word: Word<'_>) -> Result<Prot, ParseError> {
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
        execute: match letters[2] {
            '-' => Execute::Never,
            'x' => Execute::Both,
            'p' => Execute::El1,
            'u' => Execute::El0,
            _ => return Err(wrong()),
        },
    })
}
