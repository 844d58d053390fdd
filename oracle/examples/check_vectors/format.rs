//! The vectors format: what the architecture answers for given registers and memory.
//! `corpora/vectors/README.md` describes it.
//!
//! It knows nothing of the command line; the test over the tracked files uses it too.

use std::collections::HashMap;
use std::fmt;

use oracle::arch::Features;
use oracle::walk::{Access, Answer, FaultKind, Memory, Registers, Stage2, Update};
use serde::Deserialize;

/// Why a file cannot be read, with the number of the line, from 1.
#[derive(Debug)]
pub(crate) struct Malformed {
    /// Line number.
    pub(crate) line: usize,
    /// What is wrong with it.
    pub(crate) what: String,
}

/// What became of the queries of a file.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Queries that agree.
    pub(crate) passed: usize,
    /// One sentence for each query that does not.
    pub(crate) disagreements: Vec<String>,
}

/// Asks the walker every query in `text`. `name` is the file's name, whose first word
/// says whether its queries are `AT` instructions or real accesses.
///
/// # Errors
/// A line is not of the format.
pub(crate) fn check(name: &str, text: &str) -> Result<Report, Malformed> {
    let is_at = asks_at(name, text);
    let mut lines = text.lines().zip(1..);
    let (first, line) = lines.next().ok_or(Malformed {
        line: 1,
        what: "the file is empty".to_owned(),
    })?;
    let features = parse::<MachineLine>(first, line)?.features.into();
    let mut report = Report::default();
    for (text, line) in lines {
        let group = Group::parse(text, line)?;
        group.check(features, is_at, line, &mut report);
    }
    if report.passed == 0 && report.disagreements.is_empty() {
        return Err(Malformed {
            line: text.lines().count(),
            what: "the file ends without a query".to_owned(),
        });
    }
    Ok(report)
}

/// Files are named `at-*` or `access-*`; under any other name, the attributes that
/// only `AT` reports tell.
fn asks_at(name: &str, text: &str) -> bool {
    name.starts_with("at-") || !name.starts_with("access-") && text.contains(" attr=")
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str, line: usize) -> Result<T, Malformed> {
    serde_json::from_str(text).map_err(|error| {
        // Its own place is one within this line.
        let place = format!(" at line 1 column {}", error.column());
        let what = error.to_string();
        Malformed {
            line,
            what: match what.strip_suffix(&place) {
                Some(what) => format!("column {}: {what}", error.column()),
                None => what,
            },
        }
    })
}

#[derive(Deserialize)]
struct MachineLine {
    features: FeaturesOfFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FeaturesOfFile {
    pamax: u8,
    lpa2_4k: bool,
    lpa2_16k: bool,
    g16: bool,
    haf: bool,
    dbm: bool,
    xnx: bool,
    ttst: bool,
    fwb: bool,
    bbm: u8,
}

impl From<FeaturesOfFile> for Features {
    fn from(file: FeaturesOfFile) -> Features {
        Features {
            pa_bits: file.pamax,
            lpa2_4k: file.lpa2_4k,
            lpa2_16k: file.lpa2_16k,
            granule_16k: file.g16,
            haf: file.haf,
            dbm: file.dbm,
            xnx: file.xnx,
            ttst: file.ttst,
            fwb: file.fwb,
            bbm: file.bbm,
        }
    }
}

/// A number as `0x` and hexadecimal digits.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Hex(u64);

impl TryFrom<String> for Hex {
    type Error = String;

    fn try_from(text: String) -> Result<Hex, String> {
        hex(&text).map(Hex)
    }
}

fn hex(text: &str) -> Result<u64, String> {
    text.strip_prefix("0x")
        .and_then(digits)
        .ok_or_else(|| format!("`{text}` is no hexadecimal number of 64 bits with 0x before it"))
}

fn digits(text: &str) -> Option<u64> {
    // from_str_radix takes a sign.
    text.bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then(|| u64::from_str_radix(text, 16).ok())?
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupLine {
    vtcr: Hex,
    vttbr: Hex,
    hcr: Hex,
    mem: Vec<(Hex, Hex)>,
    q: Vec<(Hex, Kind, Expected)>,
}

/// What a query does at its address.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    R,
    W,
    X1,
    X0,
}

impl Kind {
    fn access(self, is_at: bool) -> Access {
        match (self, is_at) {
            (Kind::R, false) => Access::Read,
            (Kind::W, false) => Access::Write,
            (Kind::R, true) => Access::AtRead,
            (Kind::W, true) => Access::AtWrite,
            (Kind::X1, _) => Access::Execute { el0: false },
            (Kind::X0, _) => Access::Execute { el0: true },
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::R => "r",
            Kind::W => "w",
            Kind::X1 => "x1",
            Kind::X0 => "x0",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
enum Expected {
    Ok {
        pa: u64,
        /// ATTR and SH.
        reported: Option<(u8, u8)>,
        update: Option<Update>,
    },
    Fault {
        kind: FaultKind,
        level: i8,
    },
}

impl TryFrom<String> for Expected {
    type Error = String;

    fn try_from(text: String) -> Result<Expected, String> {
        let parsed = match text.strip_prefix("ok ") {
            Some(rest) => ok(rest),
            None => fault(&text),
        };
        parsed.ok_or_else(|| format!("`{text}` is no answer"))
    }
}

fn fault(text: &str) -> Option<Expected> {
    let (kind, level) = text.split_once('@')?;
    let kind = match kind {
        "trans" => FaultKind::Translation,
        "asize" => FaultKind::AddressSize,
        "af" => FaultKind::AccessFlag,
        "perm" => FaultKind::Permission,
        "s1_asize" => FaultKind::Stage1AddressSize,
        _ => return None,
    };
    let level = level
        .parse()
        .ok()
        .filter(|level| (-1..=3).contains(level))?;
    Some(Expected::Fault { kind, level })
}

/// `PA [attr=hh sh=n] [upd=ADDR:NEW]`
fn ok(text: &str) -> Option<Expected> {
    let mut words = text.split(' ').peekable();
    let pa = hex(words.next()?).ok()?;
    let mut reported = None;
    if let Some(attributes) = words.peek().and_then(|word| word.strip_prefix("attr=")) {
        words.next();
        let shareability = words.next()?.strip_prefix("sh=")?;
        let byte = |text| digits(text).and_then(|value| u8::try_from(value).ok());
        reported = Some((byte(attributes)?, byte(shareability)?));
    }
    let mut update = None;
    if let Some(word) = words.next() {
        let (at, new) = word.strip_prefix("upd=")?.split_once(':')?;
        update = Some(Update {
            at: hex(at).ok()?,
            new: hex(new).ok()?,
        });
    }
    words.next().is_none().then_some(Expected::Ok {
        pa,
        reported,
        update,
    })
}

/// Addresses that the file does not name read 0.
struct Sparse(HashMap<u64, u64>);

impl Memory for Sparse {
    fn read(&self, at: u64) -> Option<u64> {
        Some(self.0.get(&at).copied().unwrap_or(0))
    }
}

struct Group {
    registers: Registers,
    memory: Sparse,
    queries: Vec<(Hex, Kind, Expected)>,
}

impl Group {
    fn parse(text: &str, line: usize) -> Result<Group, Malformed> {
        let group: GroupLine = parse(text, line)?;
        if let Some((Hex(at), _)) = group.mem.iter().find(|(Hex(at), _)| at % 8 != 0) {
            return Err(Malformed {
                line,
                what: format!("the memory address {at:#x} is no multiple of 8"),
            });
        }
        Ok(Group {
            registers: Registers {
                vtcr: group.vtcr.0,
                vttbr: group.vttbr.0,
                hcr: group.hcr.0,
            },
            memory: Sparse(
                group
                    .mem
                    .iter()
                    .map(|&(at, value)| (at.0, value.0))
                    .collect(),
            ),
            queries: group.q,
        })
    }

    fn check(&self, features: Features, is_at: bool, line: usize, report: &mut Report) {
        let stage2 = Stage2::new(features, self.registers);
        for &(Hex(ipa), kind, expected) in &self.queries {
            let answer = stage2.translate(&self.memory, ipa, kind.access(is_at));
            if expected.is(&answer) {
                report.passed += 1;
            } else {
                report.disagreements.push(format!(
                    "line {line}: {ipa:#x} {kind}: expected {expected}, walker: {}",
                    Given(answer)
                ));
            }
        }
    }
}

impl Expected {
    /// Attributes count only where the file gives them. An answer that is left open
    /// agrees with nothing.
    fn is(&self, answer: &Answer) -> bool {
        match (*self, answer) {
            (Expected::Fault { kind, level }, Answer::Fault(fault)) => {
                kind == fault.kind && level == fault.level
            }
            (
                Expected::Ok {
                    pa,
                    reported,
                    update,
                },
                Answer::Translation(given),
            ) => {
                pa == given.pa
                    && update == given.update
                    && reported
                        .is_none_or(|expected| expected == (given.attributes, given.shareability))
            }
            _ => false,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Fault { kind, level } => write!(f, "{}@{level}", word(*kind)),
            Expected::Ok {
                pa,
                reported,
                update,
            } => {
                write!(f, "ok {pa:#x}")?;
                if let Some((attributes, shareability)) = reported {
                    write!(f, " attr={attributes:02x} sh={shareability}")?;
                }
                match update {
                    Some(Update { at, new }) => write!(f, " upd={at:#x}:{new:#x}"),
                    None => Ok(()),
                }
            }
        }
    }
}

fn word(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Translation => "trans",
        FaultKind::AddressSize => "asize",
        FaultKind::AccessFlag => "af",
        FaultKind::Permission => "perm",
        FaultKind::Stage1AddressSize => "s1_asize",
        FaultKind::ExternalAbort => "abort",
    }
}

/// The walker's answer in the words of the format.
struct Given(Answer);

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = match self.0 {
            Answer::Unpredictable(why) => return write!(f, "unpredictable ({why:?})"),
            Answer::Fault(fault) => Expected::Fault {
                kind: fault.kind,
                level: fault.level,
            },
            Answer::Translation(given) => Expected::Ok {
                pa: given.pa,
                reported: Some((given.attributes, given.shareability)),
                update: given.update,
            },
        };
        expected.fmt(f)
    }
}
