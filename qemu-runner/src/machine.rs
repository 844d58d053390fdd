//! One boot of the image on one CPU model: many sequences, one after another.

use crate::cpu::Cpu;
use crate::image::Image;
use crate::mailbox::{Answered, Failed, Mailbox};
use crate::qemu::{Process, Qemu, QemuError};
use crate::ram::Ram;
use ops::mailbox::{Description, Probe};
use std::time::Duration;

/// A machine whose image waits for sequences. Dropping it ends the emulator.
pub struct Boot {
    process: Process,
    mailbox: Mailbox,
    timeout: Duration,
    description: Description,
}

impl Boot {
    /// Starts the emulator and waits until the image has booted.
    ///
    /// # Errors
    /// `QemuError`; nothing is left running.
    pub fn start(qemu: &Qemu, image: &Image, cpu: Cpu) -> Result<Boot, QemuError> {
        let ram = Ram::new()?;
        let process = qemu.boot(cpu.name(), &image.path, &ram.path())?;
        let mailbox = Mailbox::new(ram);
        match mailbox.description(&process, qemu.timeout) {
            Ok(description) => Ok(Boot {
                process,
                mailbox,
                timeout: qemu.timeout,
                description,
            }),
            Err(failed) => {
                let doing = format!("while booting the image on {}", cpu.name());
                Err(failed.explain(process, qemu.timeout, &doing))
            }
        }
    }

    /// The CPU, as the image has read it from the ID registers.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The machine's RAM, which the image leaves alone between sequences.
    #[must_use]
    pub fn ram(&self) -> &Ram {
        self.mailbox.ram()
    }

    /// The emulator's command line.
    #[must_use]
    pub fn command(&self) -> &str {
        self.process.command()
    }

    /// Has a sequence executed.
    ///
    /// # Errors
    /// `Failed`; the boot is then of no more use, and `explain` ends it.
    pub fn execute(&mut self, sequence: &[u8], probes: &[Probe]) -> Result<Answered, Failed> {
        self.mailbox
            .execute(&self.process, self.timeout, sequence, probes)
    }

    /// Ends the machine and says why it gave no answer to the sequence of this
    /// name.
    #[must_use]
    pub fn explain(self, failed: Failed, sequence: &str) -> QemuError {
        let at = self
            .mailbox
            .progress()
            .map(|step| format!(", at its step {step}"));
        let doing = format!("while it ran {sequence}{}", at.unwrap_or_default());
        failed.explain(self.process, self.timeout, &doing)
    }
}
