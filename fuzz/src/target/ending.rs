//! How a divergence ends a run: in a panic that fuzzing infrastructure can group.
//!
//! It groups by the message or by the functions on the stack. The message names class
//! and rule, and nothing that changes from input to input; and each class panics in a
//! function of its own, since the rest of the stack is the same for all.

use oracle::verdict::Class;

macro_rules! one_function_for_each_class {
    ($($function:ident $class:ident)*) => {
        /// Ends in the panic of this class.
        pub(super) fn end(class: Class, rule: &str) -> ! {
            match class {
                $(Class::$class => $function(rule),)*
            }
        }

        $(
            #[cold]
            #[inline(never)]
            fn $function(rule: &str) -> ! {
                let message = format!("stage2: {}: {rule}", Class::$class);
                // The line that Rust printed up to 1.72: ClusterFuzz knows no other, and
                // takes the message from between its quotes.
                eprintln!("thread 'fuzz' panicked at '{message}', {}:{}", file!(), line!());
                panic!("{message}")
            }
        )*
    };
}

one_function_for_each_class! {
    isolation Isolation
    wrong_pa WrongPa
    wrong_attributes WrongAttributes
    wrong_fault WrongFault
    lost_mapping LostMapping
    stale_tlb StaleTlb
    break_before_make BreakBeforeMake
    barrier Barrier
    cache Cache
    torn_update TornUpdate
    leak Leak
    use_after_free UseAfterFree
    partial_on_error PartialOnError
    return_value ReturnValue
    register Register
    machine_differs MachineDiffers
    oracle_differs OracleDiffers
    no_progress NoProgress
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic;

    #[test]
    fn the_message_names_class_and_rule() {
        let payload = panic::catch_unwind(|| end(Class::StaleTlb, "G3")).unwrap_err();
        assert_eq!(
            *payload.downcast::<String>().unwrap(),
            "stage2: stale-tlb: G3"
        );
    }
}
