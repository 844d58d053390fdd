//! Requests: each is copied, judged in full, executed and answered.

use crate::log::EventLog;
use crate::mailbox::Mailbox;
use crate::memory::TABLES_AND_GUESTS;
use crate::sequence;
use hyp::pages::PageInfo;
use ops::mailbox::{
    CHECKSUM_START, MAX_REQUEST_BYTES, MAX_STEPS, Method, Reply, Request, RequestError, STEP_BYTES,
    decode_request, encode_reply,
};
use ops::wire::Reader;
use ops::{Machine, Operation, Regime, SENTINEL, Window};

/// Answers requests for ever.
pub(crate) fn serve() -> ! {
    let mut mailbox = Mailbox::open();
    let mut bytes = [0; MAX_REQUEST_BYTES];
    let mut records = [[0; STEP_BYTES]; MAX_STEPS];
    let mut info = [const { PageInfo::new() }; Machine::MAX_POOL_PAGES as usize];
    loop {
        let (number, is_next) = mailbox.wait(&mut bytes);
        let mut reply = Reply {
            number,
            steps: Ok(0),
            events: 0,
            events_lost: 0,
            events_checksum: CHECKSUM_START,
        };
        reply.steps = accept(number, is_next, &bytes).and_then(|(request, sequence)| {
            let log = EventLog::new(mailbox.words(), request.events);
            let steps = sequence::run(&request, sequence, &mailbox, &log, &mut info, &mut records)?;
            (reply.events, reply.events_lost) = (log.stored(), log.lost());
            reply.events_checksum = log.checksum();
            Ok(steps)
        });
        let steps = reply.steps.unwrap_or(0) as usize;
        let records = records[..steps].as_flattened();
        mailbox.reply(number, &encode_reply(&reply, records), records);
    }
}

/// Judges a request as a whole, before any of it is executed.
fn accept(
    number: u64,
    is_next: bool,
    bytes: &[u8],
) -> Result<(Request<'_>, Reader<'_>), RequestError> {
    if !is_next {
        return Err(RequestError::Number(number));
    }
    let request = decode_request(bytes)?;
    if request.number != number {
        return Err(RequestError::Number(request.number));
    }
    let sequence = Reader::new(request.sequence).map_err(|_| RequestError::Sequence(u64::MAX))?;
    check_regime(sequence.machine().regime)?;
    check_places(sequence.machine())?;
    if request.probes() != sequence.len() {
        return Err(RequestError::Probe(sequence.len() as u64));
    }
    for (index, operation) in sequence.clone().enumerate() {
        let operation = operation.map_err(|_| RequestError::Sequence(index as u64))?;
        check_probe(&request, index, &operation, sequence.machine())?;
    }
    Ok((request, sequence))
}

fn check_regime(regime: Regime) -> Result<(), RequestError> {
    match regime {
        Regime::Stage2 | Regime::El2 => Ok(()),
        Regime::Aarch32 | Regime::Aarch32Hyp => Err(RequestError::Regime(regime as u64)),
    }
}

/// Pool and guest memory have their place behind the sentinel and in RAM.
/// `Machine::check` has kept them out of the hypervisor's memory.
fn check_places(machine: &Machine) -> Result<(), RequestError> {
    let (pool, memory) = (machine.pool_window(), machine.memory);
    if !is_in_ram(pool) {
        return Err(RequestError::PoolPlace(pool.base));
    }
    if !is_in_ram(memory) {
        return Err(RequestError::MemoryPlace(memory.base));
    }
    Ok(())
}

fn is_in_ram(window: Window) -> bool {
    let ends = window
        .end()
        .is_some_and(|end| end <= TABLES_AND_GUESTS.base + TABLES_AND_GUESTS.bytes);
    window.base >= SENTINEL.base + SENTINEL.bytes && ends
}

fn check_probe(
    request: &Request<'_>,
    index: usize,
    operation: &Operation,
    machine: &Machine,
) -> Result<(), RequestError> {
    let method = request.probe(index)?.method;
    let is_access = matches!(operation, Operation::Access { .. });
    match method {
        Method::None => Ok(()),
        _ if !is_access => Err(RequestError::Probe(index as u64)),
        Method::Access if machine.regime == Regime::Stage2 && machine.stub.is_none() => {
            Err(RequestError::NoStub(index as u64))
        }
        Method::Access | Method::Translate => Ok(()),
    }
}
