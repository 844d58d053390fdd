//! A platform that logs each instruction before it delegates it.

use crate::Log;
use hyp::addr::{Ipa, Pa};
use hyp::platform::Platform;
use ops::{Barrier, CacheOperation, Event, Tlbi};

/// The machine as one CPU sees it, with a log of what it executes. Loads are not
/// logged: nobody else can tell them.
#[derive(Debug)]
pub struct Recorder<'a, P, L> {
    machine: &'a P,
    log: &'a L,
}

impl<'a, P: Platform, L: Log> Recorder<'a, P, L> {
    /// Logs to `log` what it passes on to `machine`.
    pub fn new(machine: &'a P, log: &'a L) -> Recorder<'a, P, L> {
        Recorder { machine, log }
    }

    fn log_store(&self, at: Pa, new: u64, release: bool) {
        let old = self.machine.load(at);
        self.log.record(Event::Store {
            at: at.raw(),
            old,
            new,
            release,
        });
    }

    fn log_exchange(&self, at: Pa, old: u64, new: u64) {
        self.log.record(Event::Exchange {
            at: at.raw(),
            old,
            new,
        });
    }

    fn log_cache(&self, operation: CacheOperation, at: Pa, bytes: u64) {
        self.log.record(Event::Cache {
            operation,
            at: at.raw(),
            bytes,
        });
    }

    fn log_tlbi(&self, operation: Tlbi, operand: u64) {
        self.log.record(Event::Tlbi { operation, operand });
    }
}

impl<P: Platform, L: Log> Platform for Recorder<'_, P, L> {
    #[inline]
    fn load(&self, at: Pa) -> u64 {
        self.machine.load(at)
    }

    fn store(&self, at: Pa, value: u64) {
        self.log_store(at, value, false);
        self.machine.store(at, value);
    }

    fn store_release(&self, at: Pa, value: u64) {
        self.log_store(at, value, true);
        self.machine.store_release(at, value);
    }

    /// One that does not take place stores nothing, and no other observer can tell it.
    fn compare_exchange(&self, at: Pa, old: u64, new: u64) -> Result<(), u64> {
        self.machine.compare_exchange(at, old, new)?;
        self.log_exchange(at, old, new);
        Ok(())
    }

    fn swap(&self, at: Pa, new: u64) -> u64 {
        // What the instruction returns, not what an earlier load saw: hardware may
        // write in between.
        let old = self.machine.swap(at, new);
        self.log_exchange(at, old, new);
        old
    }

    fn zero(&self, at: Pa, bytes: u64) {
        self.log.record(Event::Zero {
            at: at.raw(),
            bytes,
        });
        self.machine.zero(at, bytes);
    }

    fn tlbi_ipas2e1is(&self, operand: u64) {
        self.log_tlbi(Tlbi::Ipas2e1is, operand);
        self.machine.tlbi_ipas2e1is(operand);
    }

    fn tlbi_ripas2e1is(&self, operand: u64) {
        self.log_tlbi(Tlbi::Ripas2e1is, operand);
        self.machine.tlbi_ripas2e1is(operand);
    }

    fn tlbi_vmalle1is(&self) {
        self.log_tlbi(Tlbi::Vmalle1is, 0);
        self.machine.tlbi_vmalle1is();
    }

    fn tlbi_vmalls12e1is(&self) {
        self.log_tlbi(Tlbi::Vmalls12e1is, 0);
        self.machine.tlbi_vmalls12e1is();
    }

    fn tlbi_vae2is(&self, operand: u64) {
        self.log_tlbi(Tlbi::Vae2is, operand);
        self.machine.tlbi_vae2is(operand);
    }

    fn tlbi_rvae2is(&self, operand: u64) {
        self.log_tlbi(Tlbi::Rvae2is, operand);
        self.machine.tlbi_rvae2is(operand);
    }

    fn tlbi_alle2is(&self) {
        self.log_tlbi(Tlbi::Alle2is, 0);
        self.machine.tlbi_alle2is();
    }

    fn dsb_ishst(&self) {
        self.log.record(Event::Barrier(Barrier::DsbIshst));
        self.machine.dsb_ishst();
    }

    fn dsb_ish(&self) {
        self.log.record(Event::Barrier(Barrier::DsbIsh));
        self.machine.dsb_ish();
    }

    fn isb(&self) {
        self.log.record(Event::Barrier(Barrier::Isb));
        self.machine.isb();
    }

    fn dc_cvac(&self, at: Pa) {
        self.log_cache(CacheOperation::Cvac, at, 1);
        self.machine.dc_cvac(at);
    }

    fn dc_civac(&self, at: Pa, bytes: u64) {
        self.log_cache(CacheOperation::Civac, at, bytes);
        self.machine.dc_civac(at, bytes);
    }

    fn dc_cvau(&self, at: Pa, bytes: u64) {
        self.log_cache(CacheOperation::Cvau, at, bytes);
        self.machine.dc_cvau(at, bytes);
    }

    fn ic_ialluis(&self) {
        self.log.record(Event::InstructionCaches);
        self.machine.ic_ialluis();
    }

    fn cache_line_bytes(&self) -> u64 {
        self.machine.cache_line_bytes()
    }

    fn write_vtcr_el2(&self, value: u64) {
        self.log.record(Event::WriteVtcr(value));
        self.machine.write_vtcr_el2(value);
    }

    fn write_vttbr_el2(&self, value: u64) {
        self.log.record(Event::WriteVttbr(value));
        self.machine.write_vttbr_el2(value);
    }

    fn write_tcr_el2(&self, value: u64) {
        self.log.record(Event::WriteTcr(value));
        self.machine.write_tcr_el2(value);
    }

    fn write_ttbr0_el2(&self, value: u64) {
        self.log.record(Event::WriteTtbr0(value));
        self.machine.write_ttbr0_el2(value);
    }

    fn write_mair_el2(&self, value: u64) {
        self.log.record(Event::WriteMair(value));
        self.machine.write_mair_el2(value);
    }

    fn mark_dirty(&self, ipa: Ipa, bytes: u64) {
        self.log.record(Event::Dirty {
            ipa: ipa.raw(),
            bytes,
        });
        self.machine.mark_dirty(ipa, bytes);
    }

    fn wait(&self) {
        self.machine.wait();
    }
}
