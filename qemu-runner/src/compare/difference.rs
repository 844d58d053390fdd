//! A difference on the machine, as data and as the verdict that a person reads:
//! cause first, then configuration, operation, fields and walk.

use crate::host::Prediction;
use fuzz::text::Text;
use ops::{Machine, Operation};
use oracle::verdict::Class;
use oracle::walk::Answer;
use std::fmt;

/// Which two disagree. It claims no vote: either may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// The subject on the host, and the same code at EL2.
    HostAndEl2,
    /// The oracle's walker, and the emulated CPU.
    WalkerAndMachine,
}

/// One thing in which they differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name in the architecture's or the protocol's words.
    pub name: String,
    /// What the first of the two says.
    pub expected: String,
    /// What the second says.
    pub found: String,
}

impl Field {
    /// A field with two values that differ.
    pub fn new(
        name: impl fmt::Display,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Field {
        Field {
            name: name.to_string(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    /// A field of numbers, where they differ.
    #[must_use]
    pub fn unless_equal(name: &'static str, expected: u64, found: u64) -> Option<Field> {
        (expected != found).then(|| {
            Field::new(
                name,
                format_args!("{expected:#x}"),
                format_args!("{found:#x}"),
            )
        })
    }
}

/// At which step.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its number: 0 for the stub's operations, the others count from 1.
    pub number: usize,
    /// What was asked.
    pub operation: Operation,
    /// What the walker says about it, where it is an access.
    pub prediction: Option<Prediction>,
}

/// The first difference of a sequence.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Between whom.
    pub between: Between,
    /// The machine line.
    pub machine: Machine,
    /// At which step; `None` where it showed at the end.
    pub place: Option<Place>,
    /// In what.
    pub fields: Vec<Field>,
}

impl Difference {
    /// A short name for differences of the same kind; it depends on no number of
    /// the sequence.
    #[must_use]
    pub fn id(&self) -> String {
        let place = self.place.as_ref();
        let kind = place.map_or_else(|| "end".to_owned(), |place| word(&place.operation));
        let name = self.fields.first().map_or("", |field| &field.name);
        let name: String = name.chars().filter(|c| !c.is_ascii_digit()).collect();
        let (first, second) = self.sides();
        let parts = [first, second, &kind, &name];
        let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
        // FNV-1a, folded to 24 bits.
        let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        format!("TF-{:06x}", (hash >> 24) ^ (hash & 0x00ff_ffff))
    }

    fn sides(&self) -> (&'static str, &'static str) {
        match self.between {
            Between::HostAndEl2 => ("host", "EL2"),
            Between::WalkerAndMachine => ("walker", "machine"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.sides();
        let cause = match self.between {
            Between::HostAndEl2 => "the same code did another thing at EL2 than on the host",
            Between::WalkerAndMachine => "the emulated CPU and the oracle's walker disagree",
        };
        let names: Vec<_> = self
            .fields
            .iter()
            .map(|field| field.name.as_str())
            .collect();
        writeln!(
            f,
            "{} {}: {cause}: {}",
            self.id(),
            Class::MachineDiffers,
            names.join(", ")
        )?;
        writeln!(f, "  {}", Text(&self.machine))?;
        match &self.place {
            Some(place) => writeln!(
                f,
                "  operation  {}: {}",
                place.number,
                Text(&place.operation)
            )?,
            None => writeln!(f, "  operation  none: found after the last one")?,
        }
        for Field {
            name,
            expected,
            found,
        } in &self.fields
        {
            writeln!(
                f,
                "  differs    {name}: {first} {expected}, {second} {found}"
            )?;
        }
        if let Some(prediction) = self
            .place
            .as_ref()
            .and_then(|place| place.prediction.as_ref())
        {
            show_walk(f, prediction)?;
        }
        let suspects = match self.between {
            Between::HostAndEl2 => "the image's platform, or code that depends on where it runs",
            Between::WalkerAndMachine => {
                "an invalidation or barrier that is missing, the walker, or the emulator"
            }
        };
        write!(f, "  suspect    {suspects}")
    }
}

fn show_walk(f: &mut fmt::Formatter<'_>, prediction: &Prediction) -> fmt::Result {
    for step in &prediction.walk {
        write!(f, "  walk       level {}: [{:#x}] = ", step.level, step.at)?;
        match step.descriptor {
            Some(descriptor) => writeln!(f, "{descriptor:#018x}")?,
            None => writeln!(f, "not readable")?,
        }
    }
    match prediction.access {
        Answer::Translation(translation) => {
            writeln!(
                f,
                "  walk       ends: PA {:#x}, level {}",
                translation.pa, translation.level
            )
        }
        Answer::Fault(fault) => {
            writeln!(
                f,
                "  walk       ends: {:?} fault, level {}",
                fault.kind, fault.level
            )
        }
        Answer::Unpredictable(why) => {
            writeln!(
                f,
                "  walk       ends: left open by the architecture ({why:?})"
            )
        }
    }
}

/// The word that the text has for it.
fn word(operation: &Operation) -> String {
    let text = Text(operation).to_string();
    text.split(' ').next().unwrap_or_default().to_owned()
}
