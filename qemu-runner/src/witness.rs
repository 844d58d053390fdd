//! One sequence, which the host has run, in front of the machine: executed at EL2,
//! compared.

use crate::compare::{Counts, Difference, Evidence};
use crate::host::Run;
use crate::machine::Boot;
use crate::mailbox::Failed;
use crate::ram::Ram;
use fuzz::Sequence;
use fuzz::host::Engine;
use std::collections::BTreeMap;

/// What the machine says about a sequence that it can run (`plan::not_runnable`
/// and `cpu::missing` say whether): what was compared, or the first difference. `host` is the engine's
/// last run, for this boot. After it, table
/// memory is in the boot's RAM as the sequence left it. A boot that showed a
/// difference may hold more than that, and should not be used again.
///
/// # Errors
/// `Failed`, where the machine did not answer.
pub fn witness(
    engine: &Engine,
    host: &Run,
    boot: &mut Boot,
    sequence: &Sequence,
) -> Result<Result<Counts, Box<Difference>>, Failed> {
    let plan = &host.plan;
    put(boot.ram(), &plan.before)?;
    let answered = boot.execute(&fuzz::wire::to_bytes(sequence), &plan.probes)?;
    let evidence = Evidence {
        sequence,
        host,
        memory: engine.memory(),
        answered: &answered,
        ram: boot.ram(),
    };
    let compared = evidence.compare();
    let zeroes = plan.before.keys().map(|at| (*at, 0)).collect();
    put(boot.ram(), &zeroes)?;
    Ok(compared)
}

fn put(ram: &Ram, words: &BTreeMap<u64, u64>) -> Result<(), Failed> {
    for (at, word) in words {
        ram.store(*at, *word)
            .map_err(|error| Failed::Host(std::io::Error::other(error)))?;
    }
    Ok(())
}
