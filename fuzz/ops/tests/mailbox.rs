//! Arbitrary bytes in the mailbox: every decoder answers, none panics, and what
//! it accepts encodes to the same bytes again.

use ops::mailbox::{
    DESCRIPTION_BYTES, PROBE_BYTES, STEP_BYTES, decode_description, decode_note, decode_probe,
    decode_reply, decode_request, decode_step, encode_probe, encode_step,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Mostly zeroes, so that tags and reserved bytes are right often enough.
fn sparse_byte() -> impl Strategy<Value = u8> {
    prop_oneof![6 => Just(0), 2 => 1..10_u8, 1 => any::<u8>()]
}

proptest! {
    #[test]
    fn frames_of_any_bytes_never_panic(bytes in vec(sparse_byte(), 0..600)) {
        // No checksum is right by chance.
        prop_assert!(decode_request(&bytes).is_err());
        prop_assert!(decode_reply(&bytes).is_err());
        prop_assert!(decode_note(&bytes[..bytes.len().min(23)]).is_err());
    }

    #[test]
    fn descriptions_of_any_bytes_are_refused(bytes in vec(any::<u8>(), DESCRIPTION_BYTES)) {
        let bytes = bytes.try_into().expect("as long as asked for");
        prop_assert!(decode_description(&bytes).is_err());
    }

    #[test]
    fn accepted_steps_encode_to_the_same_bytes(bytes in vec(sparse_byte(), STEP_BYTES)) {
        let bytes = bytes.try_into().expect("as long as asked for");
        if let Ok(step) = decode_step(&bytes) {
            prop_assert_eq!(encode_step(&step), bytes);
        }
    }

    #[test]
    fn accepted_probes_encode_to_the_same_bytes(bytes in vec(sparse_byte(), PROBE_BYTES)) {
        let bytes = bytes.try_into().expect("as long as asked for");
        if let Some(probe) = decode_probe(&bytes) {
            prop_assert_eq!(encode_probe(&probe), bytes);
        }
    }
}
