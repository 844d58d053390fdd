//! The state in which a hypervisor executes, which decides over its registers.

/// The execution state of EL2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExecutionState {
    /// AArch64.
    #[default]
    Aarch64,
    /// AArch32: Hyp mode, with the long descriptor format (LPAE).
    Aarch32,
}
