//! Layers of many lines, each of which builds on the last.

use super::Folder;
use std::fmt::Write as _;

#[test]
fn a_long_chain_is_compiled() {
    let folder = Folder::new();
    let mut layer = "layer chain {\n  size D = 2\n  axis b, t: time\n  index j: t, d: D\n  in q[b,t,d], k[b,t,d]\n  \
                     let y0[b,t,d] = sum(j: sum(d: q * k[b,j,d]) * k[b,j,d] where j <= t)\n"
        .to_owned();
    for n in 1..700 {
        let _ = writeln!(layer, "  let y{n}[b,t,d] = tanh(y{} * 0.5) + k", n - 1);
    }
    layer.push_str("  out z[b,t,d] = y699\n}\n");
    folder.write("chain.weft", &layer);
    folder.weft(&["check", "chain.weft", "-D", "b=1", "-D", "t=9", "--backend", "interpreter"]).good();
}
