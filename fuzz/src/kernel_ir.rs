//! What must hold for every text that is read as kernel IR.

use weft_ir::kernel::{parse, verify};

/// Panics if the reader, the printer or the verifier of kernel IR breaks one of its promises on `data`.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(plan) = parse(text) else { return };
    let verified = verify::verify(&plan);
    let printed = plan.to_string();
    match parse(&printed) {
        Ok(again) => {
            assert_eq!(again.to_string(), printed, "reading changes what was printed");
            assert_eq!(
                verify::verify(&again).is_ok(),
                verified.is_ok(),
                "reading changes what is verified:\n{printed}"
            );
        }
        Err(e) => panic!("what is printed cannot be read: {e}\n{printed}"),
    }
}
