//! The machine line.

use ops::{Granule, Machine, Pool, Regime, Window};

use super::error::{ErrorKind, ParseError};
use super::fault::MachineFault;
use super::fields::{Fields, Line, Word, Words, alternatives};
use super::words::{granule_word, regime_word, walks_word};

const KEYS: [&str; 11] = [
    "granule", "pa", "ipa", "start", "pool", "memory", "stub", "walks", "cache", "regime",
    "features",
];

pub(super) fn machine_line(line: Line<'_>) -> Result<Machine, ParseError> {
    let mut words = Words::new(line);
    let verb = words.word();
    if verb.text != "machine" {
        return Err(verb.expected("the machine line, \"machine granule=…\""));
    }
    let fields = Fields::take(&mut words, &KEYS, &[])?;
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
    if let Some(word) = fields.value("regime") {
        machine.regime = word.one_of(&Regime::ALL, regime_word)?;
    }
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
        machine.coherent_walks = word.one_of(&[true, false], walks_word)?;
    }
    if let Some(word) = fields.value("features") {
        machine = machine.with_options(options(word)?);
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

/// Options as bits, from their words between `+`.
fn options(list: Word<'_>) -> Result<u16, ParseError> {
    let mut options = 0;
    for word in list.pieces() {
        let bit = Machine::OPTIONS
            .iter()
            .position(|known| *known == word.text);
        let bit = bit.ok_or_else(|| word.expected(alternatives(&Machine::OPTIONS)))?;
        if options >> bit & 1 != 0 {
            return Err(word.error(ErrorKind::Twice(word.text.to_owned())));
        }
        options |= 1 << bit;
    }
    Ok(options)
}
