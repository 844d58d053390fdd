//! A probe: how the guest access of a step is tried on the machine, and what
//! kinds of answers there are.

use super::{field, put, u64_at};

/// Length of an encoded `Probe`.
pub const PROBE_BYTES: usize = 16;

/// How an access is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Not at all.
    None,
    /// By a real load, store or fetch at EL1, where the stub must be mapped; in EL2's own
    /// regime at EL2, where the image's code must be.
    Access,
    /// By `AT S12E1R` (reads and fetches) or `AT S12E1W` alone; in EL2's own regime by
    /// `AT S1E2R` or `AT S1E2W`, where the image's code must be mapped.
    Translate,
}

/// The probe of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// How.
    pub method: Method,
    /// What a real store stores. For a real fetch, the physical address of the
    /// stamp that should be fetched, or 0: the image rewrites it in place, so that
    /// an emulator drops code that it translated from there before the runner
    /// changed it from outside. 0 for everything else.
    pub value: u64,
}

impl Probe {
    /// No probe.
    pub const NONE: Probe = Probe {
        method: Method::None,
        value: 0,
    };
}

/// The probe as 16 bytes: method, seven zeroes, value.
#[must_use]
pub fn encode_probe(probe: &Probe) -> [u8; PROBE_BYTES] {
    let mut bytes = [0; PROBE_BYTES];
    bytes[0] = match probe.method {
        Method::None => 0,
        Method::Access => 1,
        Method::Translate => 2,
    };
    put(&mut bytes, 8, &probe.value.to_le_bytes());
    bytes
}

/// Reads a probe; `None` where no method has the tag, or a reserved byte is set.
#[must_use]
pub fn decode_probe(bytes: &[u8; PROBE_BYTES]) -> Option<Probe> {
    let reserved: [u8; 7] = field(bytes, 1);
    let method = match bytes[0] {
        0 => Method::None,
        1 => Method::Access,
        2 => Method::Translate,
        _ => return None,
    };
    (reserved == [0; 7]).then(|| Probe {
        method,
        value: u64_at(bytes, 8),
    })
}

/// What a probe came to. Which other fields of a `StepReply` it fills is said
/// with each; those that it does not fill are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Answer {
    /// There was no probe, or the step was refused.
    #[default]
    Nothing,
    /// The access completed. `value` is what was loaded, what was stored, or the
    /// immediate of the `hvc` that was fetched, and `elr` the address behind that
    /// `hvc`.
    Completed,
    /// An abort taken to EL2: `esr`, `far`, `hpfar` (as the CPU left it, valid or
    /// not) and `elr` are the EL2 registers.
    Stage2Abort,
    /// An exception taken to EL1: `esr`, `far` and `elr` are the EL1 registers.
    GuestException,
    /// `AT` was executed: `par` is `PAR_EL1`.
    Translated,
    /// The guest did not get as far as the access: an abort on the stub itself.
    /// Fields as for `Stage2Abort`.
    NotReached,
    /// The guest came back neither by an exception nor by `hvc`; the timer took
    /// it. `elr` is where it was.
    Stuck,
    /// Any other exception taken to EL2. Fields as for `Stage2Abort`.
    Other,
}

impl Answer {
    /// All of them, in the order of their wire tags.
    const ALL: [Answer; 8] = [
        Answer::Nothing,
        Answer::Completed,
        Answer::Stage2Abort,
        Answer::GuestException,
        Answer::Translated,
        Answer::NotReached,
        Answer::Stuck,
        Answer::Other,
    ];

    pub(super) fn tag(self) -> u8 {
        self as u8
    }

    pub(super) fn from_tag(tag: u8) -> Option<Answer> {
        Answer::ALL.get(usize::from(tag)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_round_trip() {
        for method in [Method::None, Method::Access, Method::Translate] {
            let probe = Probe {
                method,
                value: 0xfedc_ba98_7654_3210,
            };
            assert_eq!(decode_probe(&encode_probe(&probe)), Some(probe));
        }
    }

    #[test]
    fn unknown_methods_and_reserved_bytes_are_refused() {
        let mut bytes = [0; PROBE_BYTES];
        bytes[0] = 3;
        assert_eq!(decode_probe(&bytes), None);
        bytes[0] = 1;
        bytes[7] = 1;
        assert_eq!(decode_probe(&bytes), None);
    }

    #[test]
    fn answers_have_the_tag_of_their_place() {
        for (i, answer) in Answer::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(answer.tag()), i);
            assert_eq!(Answer::from_tag(answer.tag()), Some(answer));
        }
        assert_eq!(Answer::from_tag(8), None);
    }
}
