//! What the dirty log was told (H3).

use crate::event::Event;
use crate::model::Model;
use crate::verdict::{Class, Finding};

/// First IPA and bytes of what one operation told the dirty log.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    ranges: Vec<(u64, u64)>,
}

impl Told {
    /// An operation starts.
    pub(super) fn begin(&mut self) {
        self.ranges.clear();
    }

    pub(super) fn event(&mut self, event: &Event) {
        if let Event::Dirty { ipa, bytes } = *event {
            self.ranges.push((ipa, bytes));
        }
    }

    /// Each leaf that the model demands was told once, and nothing else was.
    pub(super) fn end(&mut self, vm: usize, model: &Model) -> Result<(), Finding> {
        self.ranges.sort_unstable();
        let mut told = self.ranges.iter().copied().peekable();
        for leaf in model.dirty() {
            match told.next() {
                Some(range) if range == leaf => {}
                Some(range) if range < leaf => return Err(needless(vm, range)),
                _ => return Err(untold(vm, leaf)),
            }
        }
        match told.next() {
            None => Ok(()),
            Some(range) => Err(needless(vm, range)),
        }
    }
}

fn untold(vm: usize, (ipa, bytes): (u64, u64)) -> Finding {
    let what = format!("the dirty log is not told the dirty leaf of {bytes:#x} bytes at {ipa:#x}");
    Finding::new(Class::ReturnValue, "H3", what).at(vm, ipa, bytes)
}

fn needless(vm: usize, (ipa, bytes): (u64, u64)) -> Finding {
    let what = format!(
        "the dirty log is told {bytes:#x} bytes at {ipa:#x}, no dirty leaf that goes or loses the permission to write, or not for the first time"
    );
    Finding::new(Class::ReturnValue, "H3", what).at(vm, ipa, bytes)
}
