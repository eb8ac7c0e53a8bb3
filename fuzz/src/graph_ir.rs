//! What must hold for every text that is read as graph IR.

use weft_ir::graph::Graph;

/// Panics if the reader, the printer or the verifier of graph IR breaks one of its promises on `data`.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(graph) = Graph::parse(text) else { return };
    assert!(graph.verify().is_ok(), "the reader lets through what the verifier refuses:\n{text}");
    let printed = graph.to_string();
    match Graph::parse(&printed) {
        Ok(again) => assert_eq!(again.to_string(), printed, "reading changes what was printed"),
        Err(e) => panic!("what is printed cannot be read: {e}\n{printed}"),
    }
}
